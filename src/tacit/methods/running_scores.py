"""Expected negatives by scores that are averaged over epochs, and consistency with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from tacit.losses import assumed_negative, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import masked_mean
from tacit.ranges import Epsilon, PerImage, Share, Weight
from tacit.types import Annotations, Batch, Clock, Judgement, Step


class RunningScores(Method):
    """Learn absence where a score that is averaged over epochs is low, and stay close to it.

    After Verelst et al., "Spatial Consistency Loss for Training Multi-Label Classifiers from
    Single-Label Annotations", WACV 2023 ("EN + SCL"). What is averaged here is the score of an
    image alone; theirs is a map as well, for which a batch would have to say where its crops lie.
    The decay and the weight of the consistency are choices of ours.

    Args:
        expected_positives: Classes an image shows on average, to which the priors are scaled;
            estimated if None.
        momentum: How much of its average a score keeps when its image is seen again.
        consistency_weight: Weight of the squared distance from the average.
        keep: Where the averages live: ``device``, ``cpu``, or the path of a file.
        epsilon: Added to probabilities inside the logarithm.
    """

    keeps_table: ClassVar[bool] = True

    expected_positives: PerImage | None = None
    momentum: Share = 0.8
    consistency_weight: Weight = 1.0
    keep: str = "device"
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expected = ExpectedPositives(self.expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.expected.begin(annotations)
        self.annotations = annotations
        # Not a number: not seen yet.
        self.running = LabelTable(annotations.shape, torch.nan, torch.float32, self.keep)
        self.least: Tensor
        self.register_buffer("least", torch.full((annotations.shape[1],), torch.inf))

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        probability = logits.sigmoid()
        running = self.running.read(batch.index).to(logits.dtype)
        seen = ~running.isnan()
        suspects = batch.unknown & (running >= self.least)
        loss = assumed_negative(logits, batch.labels, self.epsilon)
        distance = (probability - running.nan_to_num(0.0)).square()
        self._remember(batch, running, probability.detach())
        return Step(
            {
                "expected_negatives": masked_mean(loss, ~suspects),
                "consistency": self.consistency_weight * masked_mean(distance, seen),
            },
            suspects,
            {"logit": logits.detach()},
            {"expected_positives": self.expected.value},
        )

    def _remember(self, batch: Batch, running: Tensor, probability: Tensor) -> None:
        moved = self.momentum * running + (1 - self.momentum) * probability
        self.running.write(batch.index, torch.where(running.isnan(), probability, moved))

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        running = self.running.read_if_there(batch.index, torch.nan).to(logits.dtype)
        # Of an image from elsewhere there is no average but its score.
        score = torch.where(running.isnan(), logits.sigmoid(), running)
        suspects = batch.unknown & (running >= self.least)
        return Judgement(score, suspects, {"logit": logits, "running": score})

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        running = self.running.values.nan_to_num(0.0)
        self.expected.follow(running)
        labels = self.annotations.labels.to(running.device)
        priors = self.expected.priors
        if self.expected_positives is not None:
            priors = priors * (self.expected.value / priors.sum().clamp(min=1e-12))
        for column, prior in enumerate(priors.clamp(max=1).tolist()):
            known = int((labels[:, column] == 1).sum())
            unknown = labels[:, column] == 0
            count = min(max(round(prior * len(labels)) - known, 0), int(unknown.sum()))
            self.least[column] = torch.inf
            if count:
                self.least[column] = running[unknown, column].topk(count).values[-1]
