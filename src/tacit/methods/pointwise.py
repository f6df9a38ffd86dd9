"""Methods that look at each cell on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from tacit.config import LabelKind
from tacit.errors import UsageError
from tacit.losses import assumed_negative, entropy, full_precision, smoothed
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.statistics import masked_mean
from tacit.ranges import Epsilon, Share, SmallWeight
from tacit.types import Annotations, Batch, Clock, Step

RELEASED: Mapping[str, Any] = {"epsilon": 1e-5, "strong_view": False}
Presets = Mapping[str, Mapping[str, Any]]


class AssumeNegative(Method):
    """Whatever is not known to be present is taken as absent.

    Cole et al., CVPR 2021, equation of the assume-negative loss. The released code adds 1e-5
    inside the logarithm (``epsilon=1e-5``); the default is the exact logarithm.

    Args:
        epsilon: Added to probabilities inside the logarithm.
        strong_view: Learn from the strongly augmented view instead of the weak one.
    """

    begins_at_frequency = True
    presets: ClassVar[Presets] = {"released": RELEASED}

    epsilon: Epsilon = 0.0
    strong_view: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = ("strong",) if self.strong_view else ("weak",)

    def cells(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the price of every cell; the loss is their mean."""
        return assumed_negative(logits, labels, self.epsilon)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = model(batch[self.views[0]])
        loss = self.cells(logits, batch.labels).mean()
        return Step({"bce": loss}, evidence={"logit": full_precision(logits.detach())})


class FullLabels(AssumeNegative):
    """Binary cross-entropy on complete labels: what could be reached if nothing were missing.

    An upper bound and not a method for incomplete labels: it refuses unknown cells.
    """

    labels: ClassVar[LabelKind] = "full"

    def setup(self, annotations: Annotations) -> None:
        refuse_unknown(annotations)


def refuse_unknown(annotations: Annotations) -> None:
    """Refuse labels that are not complete."""
    unknown, (images, classes) = annotations.known.count(0), annotations.shape
    if unknown:
        raise UsageError(
            f"This method learns from complete labels, but {unknown:,} of {images * classes:,} "
            f'cells are unknown. Train with data.labels = "full" where the truth is at hand, or '
            f"with method 'an'."
        )


class SmoothedAssumeNegative(AssumeNegative):
    """Assume negative, with targets of 1 - s and s in place of 1 and 0.

    Cole et al., CVPR 2021 ("AN-LS").

    Args:
        smoothing: How much is taken off a positive and given to a negative.
    """

    begins_at_frequency = False
    presets: ClassVar[Presets] = {"released": {**RELEASED, "smoothing": 0.1}}

    smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.1

    def cells(self, logits: Tensor, labels: Tensor) -> Tensor:
        return smoothed(logits, labels, self.smoothing, self.epsilon)


class SmoothedFullLabels(SmoothedAssumeNegative):
    """Binary cross-entropy on complete labels that are not quite trusted.

    Cole et al., CVPR 2021. Their smoothing turns 1 and 0 into 1 - s and s; elsewhere s / 2 is
    usual. An upper bound.
    """

    labels: ClassVar[LabelKind] = "full"

    def setup(self, annotations: Annotations) -> None:
        refuse_unknown(annotations)


class WeakAssumeNegative(AssumeNegative):
    """Assume negative, with the unknown cells counting less.

    Cole et al., CVPR 2021 ("WAN"). Known negatives keep their full weight.

    Args:
        weight: Weight of unknown cells; 1 / (C - 1) if None, so that the one positive of an image
            weighs as much as all its assumed negatives.
    """

    begins_at_frequency = False
    presets: ClassVar[Presets] = {"released": {**RELEASED, "weight": None}}

    weight: Share | None = None

    def cells(self, logits: Tensor, labels: Tensor) -> Tensor:
        weight = 1 / max(labels.shape[1] - 1, 1) if self.weight is None else self.weight
        loss = assumed_negative(logits, labels, self.epsilon)
        return torch.where(labels == 0, weight * loss, loss)


class IgnoreUnknown(AssumeNegative):
    """Learn from the cells that are known and from nothing else.

    Cole et al., CVPR 2021 ("IU"). Without a known negative the best answer is "everything is
    there", so at least one is required.

    Args:
        average_over: Divide by all cells, as the released code does, or by the known ones.
    """

    begins_at_frequency = False
    presets: ClassVar[Presets] = {"released": {**RELEASED, "average_over": "all"}}
    _remedy: ClassVar[str] = "data.negatives = 1, which keeps one for each image"

    average_over: Literal["all", "known"] = "all"

    def setup(self, annotations: Annotations) -> None:
        if not annotations.known.count(-1):
            raise UsageError(
                "This method learns absence from known negatives alone, and the labels hold none. "
                f"Train with {self._remedy}, or choose a method such as 'an' or 'wan'."
            )

    def cells(self, logits: Tensor, labels: Tensor) -> Tensor:
        return assumed_negative(logits, labels, self.epsilon).masked_fill(labels == 0, 0.0)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = model(batch[self.views[0]])
        loss = self.cells(logits, batch.labels)
        mean = loss.mean() if self.average_over == "all" else masked_mean(loss, ~batch.unknown)
        return Step({"bce": mean}, evidence={"logit": full_precision(logits.detach())})


class IgnoreMissed(IgnoreUnknown):
    """Assume negative with the missed positives left out: a bound only the truth can give.

    Cole et al., CVPR 2021 ("IUN"). The negatives it learns from are the true ones; their released
    code lost all of them to a wrong comparison, which is not repeated here.
    """

    labels: ClassVar[LabelKind] = "true_negatives"
    _remedy: ClassVar[str] = 'data.labels = "true_negatives" where the truth is at hand'


class EntropyMaximisation(AssumeNegative):
    """Unknown cells are neither present nor absent: keep the model undecided about them.

    Zhou et al., ECCV 2022 ("EM"). The gradient on an unknown cell pushes its probability towards
    1/2 and vanishes at both ends. Published weights: 0.2 for VOC, 0.1 for COCO and NUS-WIDE, 0.01
    for CUB.

    Args:
        weight: Weight of the entropy of unknown cells.
    """

    begins_at_frequency = False
    presets: ClassVar[Presets] = {"released": {**RELEASED, "weight": 0.1}}

    weight: SmallWeight = 0.1

    def cells(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = assumed_negative(logits, labels, self.epsilon)
        return torch.where(labels == 0, -self.weight * entropy(logits, self.epsilon), known)
