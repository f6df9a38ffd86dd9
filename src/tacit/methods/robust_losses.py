"""Losses that doubt the negatives: cells that look present cost less, nothing, or the opposite."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from tacit.errors import UsageError
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
from tacit.methods.checks import one_of, switch, whole, within
from tacit.types import Batch, Clock, Step

Reduction = Literal["mean", "sum"]


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

    def __init__(
        self,
        positive_focus: float = 0.0,
        negative_focus: float = 4.0,
        shift: float = 0.05,
        detach_focus: bool = True,
        reduction: Reduction = "mean",
        scale: float = 1.0,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__()
        self.positive_focus = within("positive_focus", positive_focus, 0, 20)
        self.negative_focus = within("negative_focus", negative_focus, 0, 20)
        self.shift = within("shift", shift, 0, 1)
        self.detach_focus = switch("detach_focus", detach_focus)
        self.reduction = one_of("reduction", reduction, get_args(Reduction))
        self.scale = within("scale", scale, 0, 1e6)
        self.epsilon = within("epsilon", epsilon, 1e-12, 0.1)

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
        term = self.scale * reduced(loss, self.reduction)
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

    def __init__(
        self,
        peak: float = 1.5,
        margin: float = 1.0,
        focus: float = 2.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.peak = within("peak", peak, 0, 10)
        self.margin = within("margin", margin, 0, 10)
        self.focus = within("focus", focus, 0, 20)
        self.reduction = one_of("reduction", reduction, get_args(Reduction))

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        loss = torch.where(batch.unknown, hill(logits, self.peak), negative_loss(logits))
        positive = discounted(logits - self.margin, batch.positive, self.focus)
        loss = torch.where(batch.positive, positive, loss)
        term = reduced(loss, self.reduction)
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

    def __init__(
        self,
        threshold: float = 0.6,
        from_epoch: int = 2,
        margin: float = 1.0,
        focus: float = 2.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.threshold = within("threshold", threshold, 0, 1)
        self.from_epoch = whole("from_epoch", from_epoch, 1, 10_000)
        self.margin = within("margin", margin, 0, 10)
        self.focus = within("focus", focus, 0, 20)
        self.reduction = one_of("reduction", reduction, get_args(Reduction))

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        believed = logits.detach().sigmoid() > self.threshold
        suspects = batch.unknown & believed & (clock.epoch >= self.from_epoch)
        corrected = batch.positive | suspects
        shifted = torch.where(batch.positive, logits - self.margin, logits)
        term = reduced(discounted(shifted, corrected, self.focus), self.reduction)
        return Step({"self_paced": term}, suspects, {"logit": logits.detach()})


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

    def __init__(
        self,
        chance_start: tuple[float, float] = (0.0, -2.0),
        chance_end: tuple[float, float] = (2.0, -2.0),
        weight_start: tuple[float, float] = (0.5, 2.0),
        weight_end: tuple[float, float] = (0.8, 0.5),
        present_power: float = 0.01,
        absent_power: float = 1.0,
        initial_epochs: int = 0,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__()
        self.chance_start = _pair("chance_start", chance_start, -100)
        self.chance_end = _pair("chance_end", chance_end, -100)
        self.weight_start = _pair("weight_start", weight_start, 1e-3)
        self.weight_end = _pair("weight_end", weight_end, 1e-3)
        self.present_power = within("present_power", present_power, 1e-6, 10)
        self.absent_power = within("absent_power", absent_power, 1e-6, 10)
        self.initial_epochs = whole("initial_epochs", initial_epochs, 0, 10_000)
        self.epsilon = within("epsilon", epsilon, 0, 0.1)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        known = assumed_negative(logits, batch.labels, self.epsilon)
        loss = torch.where(batch.unknown, self.unknown_loss(logits, clock), known)
        suspects = batch.unknown & self.likely(logits.detach().sigmoid(), clock)
        return Step({"robust": loss.mean()}, suspects, {"logit": logits.detach()})

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


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Reduce cells to one number."""
    return loss.mean() if reduction == "mean" else loss.sum()


def _between(
    start: tuple[float, float], end: tuple[float, float], share: float
) -> tuple[float, float]:
    first, second = (a + share * (b - a) for a, b in zip(start, end, strict=True))
    return first, second


def _pair(name: str, pair: tuple[float, float], low: float) -> tuple[float, float]:
    """Return two numbers that lie within limits; ``low`` is the lower one of the second."""
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise UsageError(f"{name} must be two numbers, such as [0.5, 2.0], not {pair!r}.")
    return within(f"{name}[0]", pair[0], -100, 100), within(f"{name}[1]", pair[1], low, 100)
