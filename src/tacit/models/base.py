"""What every model can do: logits, maps, embeddings, and parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.losses import full_precision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Purpose:
    """What a model is for: the classes it tells, and the images it is shown."""

    classes: tuple[str, ...]
    size: int  # side of the images in pixels
    mean: tuple[float, ...] = IMAGENET_MEAN  # colour the trunk expects, from 0 to 1
    std: tuple[float, ...] = IMAGENET_STD


class Model(nn.Module):
    """Images in, one logit per class out.

    The verbs cost only what they are asked for: ``forward`` computes no maps. Each of them is the
    ``trunk``, which turns images into features, (B, D, h, w), followed by a verb that starts from
    features. A model defines those; whatever is not the trunk is its head.

    Args:
        trunk: Images in, a feature map out; it says how many ``channels`` it has.
        purpose: What the model is for.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, purpose: Purpose) -> None:
        super().__init__()
        self.trunk = trunk
        self.classes, self.size = purpose.classes, purpose.size
        # Not part of the weights: they are written in the model's configuration.
        for name, colour in (("mean", purpose.mean), ("std", purpose.std)):
            self.register_buffer(name, torch.tensor(colour).view(1, 3, 1, 1), persistent=False)
        self.projection: nn.Module | None = None
        """Turns what a class sees into its embedding, if the model has any."""
        self.recipe: Mapping[str, Any] = {}
        """How to build this model again; written by `build_model`."""

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn 8-bit pixels, or floats from 0 to 1, into what the model reads."""
        scaled = pixels if pixels.is_floating_point() else pixels.float().div(255)
        return (scaled - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        return self.logits_from(self.trunk(images))

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and a map of evidence per class, (B, C, h, w)."""
        return self.localise_from(self.trunk(images))

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and a unit vector for every image and class, (B, C, E)."""
        return self.embed_from(self.trunk(images))

    def logits_from(self, features: Tensor) -> Tensor:
        """Finish ``forward`` from the trunk's features."""
        raise TypeError(f"{type(self).__name__} does not say what is there: define `logits_from`")

    def localise_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Finish ``localise`` from the trunk's features."""
        raise TypeError(
            f"{type(self).__name__} does not say where classes are: define `localise_from`"
        )

    def embed_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Finish ``embed`` from the trunk's features."""
        if self.projection is None:
            raise UsageError(
                "This model has no embeddings; set model.embedding_dim, for example to 128."
            )
        logits, seen = self.describe_from(features)
        return logits, F.normalize(full_precision(self.projection(seen)), dim=-1)

    def describe_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and what each class sees of an image, (B, C, D)."""
        raise TypeError(
            f"{type(self).__name__} does not say what a class sees: define `describe_from`"
        )

    @torch.no_grad()
    def begin_at(self, frequency: Tensor) -> None:
        """Let each class begin about as probable as it is common, by the bias of its logit.

        A model whose ``head`` has no ``bias`` of a number for each class begins as it was built.

        Args:
            frequency: Share of images that show each class, (C,), between 0 and 1.
        """
        bias = getattr(getattr(self, "head", None), "bias", None)
        if isinstance(bias, Tensor) and bias.shape == frequency.shape:
            bias.copy_(frequency.logit())

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters by part, so that parts can learn at rates of their own."""
        groups: dict[str, list[nn.Parameter]] = {"trunk": [], "head": []}
        for name, parameter in self.named_parameters():
            groups["trunk" if name.startswith("trunk.") else "head"].append(parameter)
        return groups

    def _add_projection(self, channels: int, length: int) -> None:
        """Make embeddings of a length from what classes see; 0 makes none."""
        if length:
            self.projection = nn.Sequential(
                nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, length)
            )
