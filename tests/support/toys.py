"""Small models and batches that several tests share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.types import Annotations, Batch

Table = Sequence[Sequence[float]]


class ScriptedModel(nn.Module):
    """Gives prescribed logits, whatever the images.

    Maps point to the lower right corner, but those of ``pointless`` rows are constant.

    Whatever comes first is the weak view. Calls after ``localise`` are for the strong view, if
    there is one, and then for the masked view.
    """

    def __init__(
        self, weak: Table, strong: Table | None, masked: Table, pointless: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.weak = _parameter(weak)
        self.strong = None if strong is None else _parameter(strong)
        self.masked = _parameter(masked)
        self.pointless = list(pointless)
        self.following: list[Tensor] = []
        self.graph_wanted: list[bool] = []

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.following = [self.masked] if self.strong is None else [self.strong, self.masked]
        self.graph_wanted = [torch.is_grad_enabled()]
        corner = torch.arange(4, dtype=self.weak.dtype).view(1, 1, 2, 2)
        maps = corner.repeat(*self.weak.shape, 1, 1)
        maps[self.pointless] = 1
        return self.weak * 1, maps

    def forward(self, images: Tensor) -> Tensor:
        self.graph_wanted.append(torch.is_grad_enabled())
        logits = self.following.pop(0) if self.following else self.weak
        return logits * 1


class PatchModel(nn.Module):
    """Two features, max(x, 0) and max(1 - x, 0), averaged over four quarters; a linear head."""

    def __init__(self, weight: Table | Tensor, bias: Sequence[float] | Tensor) -> None:
        super().__init__()
        self.weight = _parameter(weight)
        self.bias = _parameter(bias)
        self.seen: list[Tensor] = []

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(images)
        features = F.adaptive_avg_pool2d(torch.cat([images.relu(), (1 - images).relu()], 1), 2)
        maps = F.conv2d(features, self.weight[..., None, None], self.bias)
        return maps.mean((2, 3)), maps

    def forward(self, images: Tensor) -> Tensor:
        return self.localise(images)[0]


def _parameter(values: object) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(values, dtype=torch.float64).clone())


def make_batch(labels: Table | Tensor, **views: Tensor) -> Batch:
    """Put labels and views together, with blank images for views that are left out."""
    table = torch.as_tensor(labels).to(torch.int8)
    blank = torch.zeros(len(table), 3, 4, 4, dtype=torch.float64)
    return Batch(torch.arange(len(table)), table, {"weak": blank, "strong": blank, **views})


def annotations_of(labels: Table | Tensor) -> Annotations:
    """Describe a training set that has these labels."""
    table = torch.as_tensor(labels).to(torch.int8)
    return Annotations(table, tuple(f"class {number}" for number in range(table.shape[1])))
