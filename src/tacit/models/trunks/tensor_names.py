"""Names of tensors: what training code writes before them, and what torchvision calls them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "trunk.", "network.")
"""What training code writes before the names of a network that stands inside another."""

# timm's name -> torchvision's. Each pair computes the same from the same weights, which tests
# check. ResNets and DenseNets need no entry: their tensors have the same names in both, or timm
# translates them itself.
TWINS = {
    "mobilenetv2_100": "mobilenet_v2",
    "mnasnet_100": "mnasnet1_0",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b1": "efficientnet_b1",
    "efficientnet_b2": "efficientnet_b2",
    "convnext_tiny": "convnext_tiny",
    "convnext_small": "convnext_small",
    "convnext_base": "convnext_base",
    "convnext_large": "convnext_large",
    "swin_tiny_patch4_window7_224": "swin_t",
    "swin_small_patch4_window7_224": "swin_s",
    "vit_base_patch16_224": "vit_b_16",
    "vit_base_patch32_224": "vit_b_32",
    "vit_large_patch16_224": "vit_l_16",
}


def strip(state: Mapping[str, Tensor], expected: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take prefixes of training code off names that a network does not know as they are."""
    stripped: dict[str, Tensor] = {}
    for key, value in state.items():
        bare = key
        while bare not in expected:
            prefix = next((each for each in PREFIXES if bare.startswith(each)), None)
            if prefix is None:
                break
            bare = bare.removeprefix(prefix)
        if bare == key or bare not in state:  # a name that was there without a prefix comes first
            stripped.setdefault(bare, value)
    return stripped


def from_torchvision(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's tensors, or return none if these are not of the same network.

    Both libraries define the layers of a network one after the other. So the tensors of one shape
    stand in the same order in both, and the first of torchvision's is the first of timm's.
    """
    bare = name.partition(".")[0]
    if bare not in TWINS:
        return {}
    import timm
    from torchvision.models import get_model

    with torch.device("meta"):  # at the size of both, whatever the trunk is built for
        theirs = get_model(TWINS[bare], weights=None).state_dict()
        ours = timm.create_model(bare, num_classes=0).state_dict()
    state = strip(state, theirs)
    if any(key not in state and not key.endswith("num_batches_tracked") for key in theirs):
        return {}
    waiting: defaultdict[tuple[int, ...], deque[str]] = defaultdict(deque)
    for key, value in theirs.items():
        waiting[_shape(value)].append(key)
    renamed: dict[str, Tensor] = {}
    for key, value in ours.items():
        if value.ndim and waiting[_shape(value)]:
            found = state[waiting[_shape(value)].popleft()]
            renamed[key] = found.reshape(value.shape) if _shape(found) == _shape(value) else found
    return renamed


def _shape(value: Tensor) -> tuple[int, ...]:
    """Return a tensor's shape without axes of length one, which one of the two may leave out."""
    return tuple(side for side in value.shape if side > 1)
