"""Class-activation maps: bring them to a common range and hide all but the known objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Normalisation = Literal["spatial", "batch_minmax", "batch_div_max"]

# A map whose values lie closer together than this points nowhere.
FLAT = 1e-8


@dataclass(frozen=True)
class Salient:
    """Images reduced to the regions of their known objects."""

    images: Tensor  # (B, 3, H, W)
    mask: Tensor  # (B, H, W) bool, True where the image was kept
    located: Tensor  # (B,) bool, False where nothing could be hidden and the image is whole


def normalise(maps: Tensor, valid: Tensor, how: Normalisation = "spatial") -> tuple[Tensor, Tensor]:
    """Bring the maps of known objects to a common range.

    ``spatial`` scales each map on its own from its minimum to its maximum. The two others repeat
    what released code does: both take the extremes per pixel over the maps of a batch, so that
    the map of one image depends on its neighbours; ``batch_div_max`` even divides by the maximum
    before the shift is accounted for and leaves the range [0, 1].

    Args:
        maps: (B, K, h, w), one map for each of up to K known objects.
        valid: (B, K) bool, which of them exist.
        how: The rule.

    Returns:
        The scaled maps, and which of them are flat and therefore point nowhere, (B, K) bool.
    """
    if how == "spatial":
        low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        flat = ((high - low) < FLAT)[..., 0, 0] & valid
        return (maps - low) / (high - low + FLAT), flat
    exists = valid[..., None, None]
    low = maps.masked_fill(~exists, torch.inf).amin((0, 1))
    high = maps.masked_fill(~exists, -torch.inf).amax((0, 1))
    scale = high - low if how == "batch_minmax" else high
    return (maps - low) / scale, torch.zeros_like(valid)


def keep_salient(
    images: Tensor,
    cam: Tensor,
    positive: Tensor,
    threshold: float,
    *,
    how: Normalisation = "spatial",
    relu: bool = False,
    most_positives: int | None = None,
    fill: Tensor | None = None,
) -> Salient:
    """Hide everything in each image but what its known objects activate.

    With several known objects their regions are united. An image without one, or whose map points
    nowhere, stays whole. Nothing here makes the host wait for the device if ``most_positives`` is
    given.

    Args:
        images: (B, 3, H, W), normalised, so that 0 is the mean colour.
        cam: (B, C, h, w), a map for every class.
        positive: (B, C) bool, the known objects.
        threshold: Pixels whose scaled and upsampled activation is larger are kept.
        how: See `normalise`.
        relu: Drop negative activation before scaling.
        most_positives: An upper bound on the known objects of one image.
        fill: The colour of hidden pixels, broadcastable to the images; the mean colour if None.
    """
    slots = most_positives if most_positives is not None else int(positive.sum(1).max())
    exists, classes = positive.to(torch.uint8).topk(max(slots, 1), dim=1)
    valid = exists.bool()  # (B, K)
    cam = cam.detach()
    cam = cam if cam.dtype == torch.float64 else cam.float()
    maps = cam.gather(1, classes[..., None, None].expand(-1, -1, *cam.shape[2:]))
    maps, flat = normalise(maps.relu() if relu else maps, valid, how)

    kept = torch.zeros_like(images[:, 0], dtype=torch.bool)
    for slot in range(maps.shape[1]):
        large = F.interpolate(
            maps[:, slot : slot + 1], images.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]
        kept |= (large > threshold) & valid[:, slot, None, None]

    located = valid.any(1) & ~flat.any(1)
    kept |= ~located[:, None, None]
    background = images.new_zeros(()) if fill is None else fill.to(images.dtype)
    return Salient(torch.where(kept[:, None], images, background), kept, located)
