"""Positive-unlabelled learning that needs no class prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from tacit.distributed import gather_rows, sum_over_ranks, world_size
from tacit.losses import full_precision, negative_loss, positive_loss
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.statistics import global_mean, masked_mean
from tacit.methods.robust_losses import Reduction
from tacit.ranges import SmallWeight
from tacit.types import Batch, Clock, Step

TINY = 1e-10
LEAST_SCALE = 0.01
"""Below it a batch is all alike, and dividing by how little it varies would tell nothing."""
Exponent = Annotated[float, Field(ge=0, le=10)]


class VariationalPositiveUnlabelled(Method):
    """Known positives against all images, per class and batch, by a bound that needs no prior.

    Yuan et al., "Positive Label Is All You Need for Multi-Label Classification", ICME 2024
    ("PU-MLC"), which builds on the variational loss of Chen et al., NeurIPS 2020. A class should be
    probable on its known positives and improbable on average. Logits are divided by how much they
    vary in the batch, but not blown up; classes that are predicted rarely count less.

    Args:
        temperature: Of the deviation by which logits are divided.
        balance: Power of a class's mean probability, by which it counts.
        mixup_weight: Weight of the agreement on mixed images. It needs images, and so refuses
            stored features; 0 leaves it out.
        mixup_spread: Both parameters of the beta distribution of mixing shares; the smaller, the
            less is mixed.
        reduction: ``sum`` over classes as the authors, or ``mean``.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "temperature": 1.0,
            "balance": 0.55,
            "mixup_weight": 1.0,
            "mixup_spread": 0.3,
            "reduction": "sum",
        }
    }

    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    balance: Exponent = 0.55
    mixup_weight: SmallWeight = 0.0
    mixup_spread: Annotated[float, Field(ge=0.01, le=100)] = 0.3
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.makes_images = self.mixup_weight > 0

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        terms = {
            "variational": self.reduce(self.bound(logits, batch)),
            "absent": masked_mean(negative_loss(logits), batch.labels == -1),
        }
        if self.mixup_weight and len(logits) > 1:
            mixed = self.reduce(self.mix(model, batch, logits))
            terms["mixup"] = self.mixup_weight * mixed
        return Step(terms, evidence={"logit": logits.detach()})

    def reduce(self, classes: Tensor) -> Tensor:
        """Reduce the terms of classes to one number."""
        return classes.mean() if self.reduction == "mean" else classes.sum()

    def bound(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the bound of every class, (C,)."""
        scaled = logits / self.find_scale(logits)
        common = global_mean(scaled.sigmoid()) + TINY
        weight = common.detach() ** self.balance
        count = sum_over_ranks(batch.positive.sum(0)).clamp(min=1) / world_size()
        missed = positive_loss(scaled).masked_fill(~batch.positive, 0).sum(0) / count
        return weight * common.log() + missed

    def find_scale(self, logits: Tensor) -> Tensor:
        """Return what the logits of each class are divided by, (C,)."""
        deviation = gather_rows(logits.detach()).std(0, correction=0)
        return (self.temperature * deviation).clamp(LEAST_SCALE, 1)

    def mix(self, model: ModelView, batch: Batch, logits: Tensor) -> Tensor:
        """Return how far mixed images are from the mixture of their targets, (C,)."""
        half = len(logits) // 2
        first, second = batch["weak"][:half], batch["weak"][half : 2 * half]
        target = torch.where(batch.positive, 1.0, logits.detach().sigmoid())
        beta = torch.distributions.Beta(self.mixup_spread, self.mixup_spread)
        share = beta.sample().to(logits)
        mixed = share * first + (1 - share) * second
        goal = share * target[:half] + (1 - share) * target[half : 2 * half]
        found = full_precision(model(mixed))
        return ((goal + TINY).log() + positive_loss(found)).square().mean(0)
