"""A loss for labels of which some are known to be absent: what is unknown costs selectively."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tacit.distributed import world_size
from tacit.losses import asymmetric, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import mark_largest
from tacit.methods.robust_losses import Reduction, reduce_cells
from tacit.ranges import Focus, Share, Weight
from tacit.types import Annotations, Batch, Clock, Judgement, Step

ONE_IN = 16
"""Of so many classes one is left out of an image: 5 of the 80 of COCO, as released."""


class Selective(Method):
    """An asymmetric loss of three sides, from which unknown cells that may be there are left out.

    Ben-Baruch et al., "Multi-label Classification with Partial Annotations using Class-aware
    Selective Loss", CVPR 2022 ("P-ASL", "CSL"). Known positives, known negatives and unknown cells
    each have a focus of their own. Two kinds of unknown cells cost nothing: those of classes that
    are too common for absence to be a good guess, and the likeliest of each batch.

    Their class priors are mean probabilities of a model that was trained beforehand with unknown
    cells left out. Here they are estimated after each epoch, see
    `tacit.methods.parts.priors.estimate_priors`.

    Args:
        mode: What unknown cells cost: ``selective``, as said; ``negative``, all cost;
            ``ignore``, none does; ``normalised``, none does, and the fewer are known in an image,
            the more each counts.
        positive_focus: Power that discounts known positives already found.
        negative_focus: Power that discounts known negatives already rejected.
        unknown_focus: Power that discounts unknown cells already rejected.
        negative_weight: Weight of known negatives.
        unknown_weight: Weight of unknown cells.
        shift: Probability below which an absent or unknown cell is free.
        prior_threshold: Unknown cells of classes with a larger prior are left out.
        likeliest: Unknown cells that are left out, for each image of the batch on average; one for
            16 classes if None.
        reduction: ``sum`` over cells as the authors, or ``mean``.
        epsilon: Smallest argument of the logarithms.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "mode": "selective",
            "positive_focus": 0.0,
            "negative_focus": 1.0,
            "unknown_focus": 4.0,
            "negative_weight": 1.0,
            "unknown_weight": 1.0,
            "shift": 0.05,
            "prior_threshold": 0.5,
            "likeliest": 5.0,
            "reduction": "sum",
            "epsilon": 1e-8,
        }
    }

    mode: Literal["selective", "negative", "ignore", "normalised"] = "selective"
    positive_focus: Focus = 0.0
    negative_focus: Focus = 1.0
    unknown_focus: Focus = 4.0
    negative_weight: Weight = 1.0
    unknown_weight: Weight = 1.0
    shift: Share = 0.05
    prior_threshold: Share = 0.5
    likeliest: Annotated[float, Field(ge=0, le=10_000)] | None = None
    reduction: Reduction = "mean"
    epsilon: Annotated[float, Field(ge=1e-12, le=0.1)] = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expected = ExpectedPositives(None)

    def setup(self, annotations: Annotations) -> None:
        self.expected.begin(annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        suspects = self.find_likeliest(logits.detach().sigmoid(), batch)
        weight = self.weigh(batch, suspects, logits.dtype)
        term = reduce_cells(weight * self.cells(logits, batch), self.reduction)
        return Step({"selective": term}, suspects, {"logit": logits.detach()})

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        probability = logits.sigmoid()
        return Judgement(probability, self.find_likeliest(probability, batch), {"logit": logits})

    def cells(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the price of every cell, before weights."""
        price = {
            focus: asymmetric(
                logits,
                batch.labels,
                positive_focus=self.positive_focus,
                negative_focus=focus,
                shift=self.shift,
                epsilon=self.epsilon,
                detach_focus=True,
            )
            for focus in (self.negative_focus, self.unknown_focus)
        }
        return price[self.unknown_focus].where(batch.unknown, price[self.negative_focus])

    def find_likeliest(self, probability: Tensor, batch: Batch) -> Tensor:
        """Mark the likeliest unknown cells of all images together, of all processes."""
        if self.mode != "selective":
            return batch.unknown & False
        each = probability.shape[1] / ONE_IN if self.likeliest is None else self.likeliest
        count = math.ceil(each * len(probability) * world_size())
        return mark_largest(probability.masked_fill(~batch.unknown, 0), count)

    def weigh(self, batch: Batch, suspects: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weight of every cell."""
        known = (~batch.unknown).to(dtype)
        weight = 1 - (1 - self.negative_weight) * (batch.labels == -1).to(dtype)
        if self.mode == "normalised":
            weight = weight * (1 + 1 / (1 + known.sum(1, keepdim=True)))
        if self.mode in ("ignore", "normalised"):
            return weight * known
        unknown = self.unknown_weight * batch.unknown.to(dtype)
        if self.mode == "selective":
            rare = self.expected.priors <= self.prior_threshold
            unknown = unknown * (rare & ~suspects)
        return weight * known + unknown

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        if self.mode == "selective":
            self.expected.follow(predict())
