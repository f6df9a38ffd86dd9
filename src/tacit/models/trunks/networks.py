"""Trunks: images in, one feature map out, (B, D, h, w), whatever the family."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.models.trunks.layouts import (
    NoMapError,
    choose_reader,
    drop_unread,
    find_working,
    list_neighbours,
    looking,
    make_black_image,
)

# What networks say, in their own ways, of images that they do not take.
REFUSALS = (AssertionError, RuntimeError, ValueError, TypeError, IndexError)


class Trunk(nn.Module):
    """Images in, a feature map out.

    Attributes:
        channels: Channels of the map.
        exempt: Names of parameters that its authors exempt from weight decay beside norms.
        recomputes: Whether the backward pass computes activations again, see `keep_less`.
    """

    channels: int
    exempt: frozenset[str] = frozenset()
    recomputes = False

    def keep_less(self) -> None:
        """Keep few activations for the backward pass, which computes the others again."""
        raise UsageError(
            f"The trunk {type(self).__name__} cannot compute its activations twice. To save "
            f"memory, compute a batch in parts: set phases.accumulate."
        )

    def depths(self, coarse: bool = False) -> dict[str, int]:
        """Return how deep each parameter lies, from 0 at the images.

        Args:
            coarse: Count stages instead of layers.
        """
        raise UsageError(
            f"The trunk {type(self).__name__} does not say how deep its layers lie, so there is "
            f"no decay over layers, and stages cannot be frozen by number."
        )


class TinyTrunk(Trunk):
    """Five small convolutions, 0.3 M parameters, for images of about 48 pixels."""

    channels = 128

    def __init__(self) -> None:
        super().__init__()
        widths = ((3, 24, 2), (24, 48, 2), (48, 96, 1), (96, 128, 2), (128, 128, 1))
        self.layers = nn.Sequential(*(self._layer(*width) for width in widths))

    @staticmethod
    def _layer(inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features

    def depths(self, coarse: bool = False) -> dict[str, int]:
        return {name: int(name.split(".")[1]) for name, _ in self.named_parameters()}


class TimmTrunk(Trunk):
    """A timm network, read as a map.

    Args:
        name: What timm calls it.
        network: The network, without a classifier.
        size: Side of the images it is built for. It is shown one, so that whatever does not
            work is found now.
    """

    def __init__(self, name: str, network: Any, size: int) -> None:
        super().__init__()
        self.name, self.size, self.network = name, size, network
        with looking(network):
            images = make_black_image(network, size, size)
            self.read = choose_reader(network, images)
            with torch.enable_grad():
                features = self.read(network, images)
        if min(features.shape[2:]) < 1:
            raise NoMapError("gives an empty map")
        self.channels = features.shape[1]
        drop_unread(network, features)
        exempt: set[str] = getattr(network, "no_weight_decay", set)()
        self.exempt = frozenset(f"network.{each}" for each in exempt)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] == images.shape[3] == self.size:
            return self.read(self.network, images)
        try:
            return self.read(self.network, images)
        except REFUSALS as error:
            height, width = images.shape[2:]
            if self._takes(height, width):  # then it is not the size
                raise
            raise UsageError(self._refusal(height, width)) from error

    def keep_less(self) -> None:
        try:
            self.network.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise UsageError(
                f"timm knows no way for '{self.name}' to compute its activations twice. To save "
                f"memory, compute a batch in parts: set phases.accumulate."
            ) from error
        self.recomputes = True

    def depths(self, coarse: bool = False) -> dict[str, int]:
        from timm.models import group_parameters

        if not hasattr(self.network, "group_matcher"):
            raise UsageError(
                f"The trunk '{self.name}' does not say how deep its layers lie, so there is no "
                f"decay over layers, and stages cannot be frozen by number."
            )
        matcher = self.network.group_matcher(coarse=coarse)
        found: dict[str, int] = group_parameters(self.network, matcher, reverse=True)
        return {f"network.{name}": depth for name, depth in found.items()}

    def _takes(self, height: int, width: int) -> bool:
        try:
            with looking(self.network):
                self.read(self.network, make_black_image(self.network, height, width))
        except REFUSALS:
            return False
        return True

    def _refusal(self, height: int, width: int) -> str:
        sizes = list_neighbours(max(height, width), read_stride(self.network))[:2]
        sizes += list_neighbours(max(height, width), self.size)[:2]
        found = find_working([*sizes, self.size], lambda side: self._takes(side, side))
        return (
            f"The trunk '{self.name}' was built for images of {self.size} pixels and does not "
            f"take {height} x {width}; it takes {join(found)}. For others, build it with another "
            f"model.size."
        )


def read_stride(network: Any) -> int:
    """Return how many pixels a place of the map stands for, as timm notes it."""
    info = getattr(network, "feature_info", None)
    rows = info if isinstance(info, list) else getattr(info, "info", None)
    strides = [row.get("reduction") for row in rows or []]
    found = [stride for stride in strides if isinstance(stride, int)]
    return max(found, default=32)


def join(sizes: list[int]) -> str:
    """Name sizes in a sentence."""
    return " or ".join(str(size) for size in sorted(set(sizes)))
