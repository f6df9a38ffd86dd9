"""The class-activation head: a linear map of features, read before or after spatial pooling."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.models.base import Model, Purpose

Moment = Literal["both", "training", "evaluation"]


class CamModel(Model):
    """A trunk, a 1x1 convolution to classes, and a spatial mean.

    The mean and the linear map commute, so logits are computed from pooled features, which is
    cheaper, and ``localise`` returns the map whose spatial mean they are, bias included unless it
    is told otherwise.

    Options:
        embedding_dim: Length of the embedding of each class, 0 for none.
        boost: Factor of the map's positive part; 1 changes nothing.
        boost_at: When maps are boosted.
        bias_in_map: Whether the map of a class includes its bias; a boosted one always does.
    """

    def __init__(
        self,
        trunk: nn.Module,
        purpose: Purpose,
        *,
        embedding_dim: int = 0,
        boost: float = 1.0,
        boost_at: Moment = "both",
        bias_in_map: bool = True,
    ) -> None:
        super().__init__(trunk, purpose)
        channels: int = trunk.channels  # type: ignore[assignment]
        self.boost, self.boost_at, self.bias_in_map = boost, boost_at, bias_in_map
        self.head = nn.Conv2d(channels, len(self.classes), 1)
        self._add_projection(channels, embedding_dim)

    def logits_from(self, features: Tensor) -> Tensor:
        # Full precision from the pooling on: half-precision logits tie and shift thresholds.
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.head.weight.dtype)
            if self._boosted():  # the mean and the boost do not commute
                return self._map(features).mean((2, 3))
            return F.linear(features.mean((2, 3)), self.head.weight.flatten(1), self.head.bias)

    def localise_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if self.bias_in_map or self._boosted():
            return self.logits_from(features), self._map(features)
        return self.logits_from(features), F.conv2d(features, self.head.weight)

    def describe_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """A class sees the features where its own map is strong: the map's softmax over space."""
        full = self.head.weight.dtype
        attention = self._map(features).to(full).flatten(2).softmax(2)  # (B, C, hw)
        seen = torch.einsum("bcu,bdu->bcd", attention, features.to(full).flatten(2))
        return self.logits_from(features), seen

    def _map(self, features: Tensor) -> Tensor:
        cam: Tensor = self.head(features)
        return torch.where(cam > 0, self.boost * cam, cam) if self._boosted() else cam

    def _boosted(self) -> bool:
        now = "training" if self.training else "evaluation"
        return self.boost != 1 and self.boost_at in ("both", now)
