"""Losses that doubt the negatives: cells that look present cost less, nothing, or the opposite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tacit.losses import (
    assumed_negative,
    asymmetric,
    discounted,
    full_precision,
    generalised_cross_entropy,
    hill,
    negative_loss,
)
from tacit.methods.base import Method, ModelView
from tacit.ranges import Count, Epochs, Epsilon, Focus, Share
from tacit.types import Batch, Clock, Judgement, Step

Presets = Mapping[str, Mapping[str, Any]]
Reduction = Literal["mean", "sum"]
Height = Annotated[float, Field(ge=0, le=10)]
Power = Annotated[float, Field(ge=1e-6, le=10)]
Anywhere = Annotated[float, Field(ge=-100, le=100)]
Width = Annotated[float, Field(ge=1e-3, le=100)]


class Asymmetric(Method):
    """Focus on hard cells, on negatives more than on positives, and let easy negatives go free.

    Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021 ("ASL").

    Args:
        positive_focus: Power that discounts positives already found.
        negative_focus: Power that discounts negatives already rejected.
        shift: Probability below which a negative is free.
        detach_focus: Treat the discount as a constant.
        reduction: ``sum`` over cells as the authors, or ``mean``.
        scale: Factor of the loss; Query2Label uses the mean times 1000.
        epsilon: Smallest argument of the logarithms.
    """

    presets: ClassVar[Presets] = {
        "released": {
            "positive_focus": 0.0,
            "negative_focus": 4.0,
            "shift": 0.05,
            "detach_focus": True,
            "reduction": "sum",
            "scale": 1.0,
            "epsilon": 1e-8,
        }
    }

    positive_focus: Focus = 0.0
    negative_focus: Focus = 4.0
    shift: Share = 0.05
    detach_focus: bool = True
    reduction: Reduction = "mean"
    scale: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    epsilon: Annotated[float, Field(ge=1e-12, le=0.1)] = 1e-8

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        loss = asymmetric(
            logits,
            batch.labels,
            positive_focus=self.positive_focus,
            negative_focus=self.negative_focus,
            shift=self.shift,
            epsilon=self.epsilon,
            detach_focus=self.detach_focus,
        )
        term = self.scale * reduce_cells(loss, self.reduction)
        return Step({"asymmetric": term}, evidence={"logit": logits.detach()})


class Hill(Method):
    """Unknown cells are pushed down hardest at a middling probability, and likely ones let be.

    Zhang et al., "Simple and Robust Loss Design for Multi-Label Learning with Missing Labels",
    2021. Known negatives cost the plain logarithm.

    Args:
        peak: The loss of an unknown cell turns at two thirds of this, and so rises up to p = 1
            from 1.5 on; it is the gradient that falls again.
        margin: How far the logit of a positive should be above 0.
        focus: Power that discounts positives already found.
        reduction: ``sum`` over cells as the authors, or ``mean``.
    """

    presets: ClassVar[Presets] = {
        "released": {"peak": 1.5, "margin": 1.0, "focus": 2.0, "reduction": "sum"}
    }

    peak: Height = 1.5
    margin: Height = 1.0
    focus: Focus = 2.0
    reduction: Reduction = "mean"

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        loss = torch.where(batch.unknown, hill(logits, self.peak), negative_loss(logits))
        positive = discounted(logits - self.margin, batch.positive, self.focus)
        loss = torch.where(batch.positive, positive, loss)
        term = reduce_cells(loss, self.reduction)
        return Step({"hill": term}, evidence={"logit": logits.detach()})


class SelfPacedCorrection(Method):
    """Take an unknown cell for a positive as soon as the model believes in it.

    Zhang et al., 2021 ("SPLC"). The correction holds for one step; a focal discount makes what is
    settled cost little.

    Args:
        threshold: Probability above which an unknown cell is taken for a positive.
        from_epoch: First epoch with corrections, counted from 1. The released code says 1 and
            counts from 0, so its first corrections are those of the second epoch, as here.
        margin: How far the logit of a known positive should be above 0.
        focus: Power of the focal discount.
        reduction: ``sum`` over cells as the authors, or ``mean``.
    """

    presets: ClassVar[Presets] = {
        "released": {
            "threshold": 0.6,
            "from_epoch": 2,
            "margin": 1.0,
            "focus": 2.0,
            "reduction": "sum",
        }
    }

    threshold: Share = 0.6
    from_epoch: Count = 2
    margin: Height = 1.0
    focus: Focus = 2.0
    reduction: Reduction = "mean"

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        suspects = self.find_believed(batch, logits.detach().sigmoid(), clock)
        corrected = batch.positive | suspects
        shifted = torch.where(batch.positive, logits - self.margin, logits)
        term = reduce_cells(discounted(shifted, corrected, self.focus), self.reduction)
        return Step({"self_paced": term}, suspects, {"logit": logits.detach()})

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        probability = logits.sigmoid()
        suspects = self.find_believed(batch, probability, clock)
        threshold = torch.full_like(probability, self.threshold)
        return Judgement(probability, suspects, {"logit": logits, "threshold": threshold})

    def find_believed(self, batch: Batch, probability: Tensor, clock: Clock) -> Tensor:
        """Mark the unknown cells that the model takes for present."""
        believed = probability > self.threshold
        return batch.unknown & believed & (clock.epoch >= self.from_epoch)


class GeneralisedRobust(Method):
    """Unknown cells are softly both: a chance of being present, and a weight of being trusted.

    Chen et al., "Boosting Single Positive Multi-label Classification with Generalized Robust
    Loss", IJCAI 2024 ("GR"). For an unknown cell with probability p, a logistic function of p says
    how likely it is to be present, and a Gaussian of p how much it counts; both move with the
    epochs. Each side pays a generalised cross-entropy.

    Its suspects are the unknown cells whose chance is above the middle of what probabilities from
    0 to 1 can have in that epoch. The chance need not exceed one half for that, and with the
    default schedule it never does.

    Args:
        chance_start: Slope and offset of the chance at the beginning.
        chance_end: Slope and offset of the chance at the end.
        weight_start: Centre and width of the weight at the beginning.
        weight_end: Centre and width of the weight at the end.
        present_power: Power of the present side's cross-entropy; near 0 is the logarithm.
        absent_power: Power of the absent side's; 1 is the plain miss, and more forgives likely
            cells.
        initial_epochs: Epochs before the schedules begin.
        epsilon: Added to probabilities inside the logarithm.
    """

    chance_start: tuple[Anywhere, Anywhere] = (0.0, -2.0)
    chance_end: tuple[Anywhere, Anywhere] = (2.0, -2.0)
    weight_start: tuple[Anywhere, Width] = (0.5, 2.0)
    weight_end: tuple[Anywhere, Width] = (0.8, 0.5)
    present_power: Power = 0.01
    absent_power: Power = 1.0
    initial_epochs: Epochs = 0
    epsilon: Epsilon = 1e-7

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        known = assumed_negative(logits, batch.labels, self.epsilon)
        loss = torch.where(batch.unknown, self.unknown_loss(logits, clock), known)
        suspects = batch.unknown & self.likely(logits.detach().sigmoid(), clock)
        return Step({"robust": loss.mean()}, suspects, {"logit": logits.detach()})

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        probability = logits.sigmoid()
        chance, weight = self.chance_and_weight(probability, clock)
        evidence = {"logit": logits, "chance": chance, "weight": weight}
        return Judgement(probability, self.likely(probability, clock), evidence)

    def unknown_loss(self, logits: Tensor, clock: Clock) -> Tensor:
        """Return the price of every cell as if it were unknown."""
        chance, weight = self.chance_and_weight(logits.detach().sigmoid(), clock)
        present = generalised_cross_entropy(logits, self.present_power)
        absent = generalised_cross_entropy(-logits, self.absent_power)
        return weight * (chance * present + (1 - chance) * absent)

    def likely(self, probability: Tensor, clock: Clock) -> Tensor:
        """Mark the cells whose chance is above the middle of what any could have."""
        chance, least, most = (
            self.chance_and_weight(at, clock)[0]
            for at in (probability, torch.zeros_like(probability), torch.ones_like(probability))
        )
        return chance > (least + most) / 2

    def chance_and_weight(self, probability: Tensor, clock: Clock) -> tuple[Tensor, Tensor]:
        """Return how likely cells are to be present, and how much they count."""
        span = max(clock.epochs - self.initial_epochs, 1)
        passed = clock.epoch - self.initial_epochs
        slope, offset = _between(self.chance_start, self.chance_end, max(passed - 1, 0) / span)
        centre, width = _between(self.weight_start, self.weight_end, max(passed, 0) / span)
        weight = torch.exp(-0.5 * ((probability - centre) / width) ** 2)
        return torch.sigmoid(slope * probability + offset), weight


def reduce_cells(loss: Tensor, reduction: str) -> Tensor:
    """Reduce cells to one number."""
    return loss.mean() if reduction == "mean" else loss.sum()


def _between(
    start: tuple[float, float], end: tuple[float, float], share: float
) -> tuple[float, float]:
    first, second = (a + share * (b - a) for a, b in zip(start, end, strict=True))
    return first, second
