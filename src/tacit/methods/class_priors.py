"""Methods that know, or estimate, how much there is to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tacit.distributed import sum_over_ranks, world_size
from tacit.losses import assumed_negative, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import global_mean
from tacit.ranges import Count, Epsilon, PerImage
from tacit.types import Annotations, Batch, Clock, Step

# How well most classes must be told apart before priors are used; 1 is perfectly.
READY = 0.25


class ExpectedPositiveRegularisation(Method):
    """Learn the known labels, and predict as many positives per image as there should be.

    Cole et al., CVPR 2021 ("EPR"). The published numbers of positives per image come from complete
    labels (VOC 1.5, COCO 2.9, NUS-WIDE 1.9, CUB 31.4); here they are estimated from the data
    unless they are stated.

    Args:
        expected_positives: Classes an image shows on average; estimated if None.
        epsilon: Added to probabilities inside the logarithm.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {"expected_positives": None, "epsilon": 1e-5}
    }

    expected_positives: PerImage | None = None
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expected = ExpectedPositives(self.expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.expected.begin(annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        known = assumed_negative(logits, batch.labels, self.epsilon).masked_fill(batch.unknown, 0)
        return Step(
            {"known": known.mean(), "expected": self.expected.penalise(logits)},
            evidence={"logit": logits.detach()},
            readings={"expected_positives": self.expected.value},
        )

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.expected.end_epoch(predict)


class ClassPriorRisk(Method):
    """Rank known positives high, and predict each class as often as it should occur.

    After Liu et al., "Can Class-Priors Help Single-Positive Multi-Label Learning?", 2023
    ("CRISP"), the risk of their equation 7. The term on logits that they add in equation 8 is not
    here, and so this is not a reproduction. After each epoch the prior of every class is estimated
    anew, see `tacit.methods.parts.priors.estimate_priors`.

    The risk takes over from assumed negatives when the scores tell most classes apart, and at the
    latest in the middle of a phase: before, its priors are guesses and its gradient vanishes.

    Args:
        warmup_epochs: Epochs at the start of each phase that assume negatives whatever scores tell.
        positives: Known positives of a class are averaged over the ``batch``, where a class that
            has none there is missing, or weighted by how many the ``dataset`` has, so that batches
            add up to the risk of all images.
        epsilon: Added to probabilities inside the logarithm of the warm-up.
    """

    warmup_epochs: Count = 1
    positives: Literal["dataset", "batch"] = "dataset"
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expected = ExpectedPositives(None)

    def setup(self, annotations: Annotations) -> None:
        # Until scores tell more, a class is as common as its known positives.
        self.expected.begin(annotations)
        self.known_share: Tensor
        self.register_buffer("known_share", self.expected.priors.clone())

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        # The mean over classes, so that rates mean the same as in the warm-up.
        risk = self.risk(logits.sigmoid(), batch) / logits.shape[1]
        assumed = assumed_negative(logits, batch.labels, self.epsilon).mean()
        # Whether scores are ready is known to the device alone, which is not asked.
        ready = self.ready if clock.epoch <= clock.epochs / 2 else torch.ones_like(self.ready)
        ready = ready & (clock.epoch > self.warmup_epochs)
        terms = {"an": assumed.where(~ready, 0), "risk": risk.where(ready, 0)}
        return Step(
            terms,
            evidence={"logit": logits.detach()},
            readings={"expected_positives": self.expected.value},
        )

    @property
    def ready(self) -> Tensor:
        """Whether the scores tell most classes apart, of those with a known positive; () bool."""
        known = self.known_share > 0
        told = (self.expected.told_apart >= READY) & known
        return 2 * told.sum() > known.sum()

    def risk(self, probability: Tensor, batch: Batch) -> Tensor:
        """Return the sum over classes: missing a positive, and being too common or too rare."""
        priors = self.expected.priors
        if self.positives == "batch":
            count = sum_over_ranks(batch.positive.sum(0)).clamp(min=1) / world_size()
        else:
            count = (len(probability) * self.known_share).clamp(min=1e-12)
        missed = (1 - probability).masked_fill(~batch.positive, 0).sum(0) / count
        frequency = (global_mean(probability) - priors).abs()
        known_absent = probability.masked_fill(batch.labels != -1, 0).mean(0)
        return (2 * priors * missed + frequency + known_absent).sum()

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.expected.follow(predict())
