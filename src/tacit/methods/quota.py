"""Pseudo-labels by quota: as many of each class as it probably has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tacit.losses import asymmetric, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import masked_mean
from tacit.ranges import Epochs, Focus, PerImage, Share
from tacit.types import Annotations, Batch, Clock, Judgement, Step


class QuotaPseudoLabels(Method):
    """The likeliest images of a class become its positives, as many as it probably has.

    After Xie et al., "Class-Distribution-Aware Pseudo Labeling for Semi-Supervised Multi-Label
    Learning", NeurIPS 2023 ("CAP"), which knows how common each class is from images that are
    labelled completely. Here nothing is, and how common it is gets estimated after each epoch,
    see `tacit.methods.parts.priors.estimate_priors`; known positives count inside the quota.

    Args:
        expected_positives: Classes an image shows on average, to which the priors are scaled;
            estimated if None.
        warmup_epochs: Epochs at the start of the first phase that take unknown cells for absent.
        present_share: Share of the positives that a class probably has which become labels.
        absent_share: The same of its negatives; what is neither costs nothing.
        positive_focus: Power that discounts positives already found.
        negative_focus: Power that discounts negatives already rejected.
        shift: Probability below which a negative is free.
        strong_view: Learn from the strongly augmented view, as the authors.
        keep: Where the labels live: ``device``, ``cpu``, or the path of a file.
    """

    keeps_table: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "expected_positives": None,
            "warmup_epochs": 12,
            "present_share": 1.0,
            "absent_share": 1.0,
            "positive_focus": 0.0,
            "negative_focus": 4.0,
            "shift": 0.05,
            "strong_view": True,
        }
    }

    expected_positives: PerImage | None = None
    warmup_epochs: Epochs = 5
    present_share: Share = 1.0
    absent_share: Share = 1.0
    positive_focus: Focus = 0.0
    negative_focus: Focus = 4.0
    shift: Share = 0.05
    strong_view: bool = False
    keep: str = "device"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = ("strong",) if self.strong_view else ("weak",)
        self.expected = ExpectedPositives(self.expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.expected.begin(annotations)
        self.annotations = annotations
        # 1 is present, -1 absent, and 0 neither; at first everything is absent.
        self.pseudo = LabelTable(annotations.shape, -1, torch.int8, self.keep)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch[self.views[0]]))
        pseudo = self.pseudo.read(batch.index)
        labels = torch.where(batch.unknown, pseudo, batch.labels)
        loss = asymmetric(
            logits,
            labels,
            positive_focus=self.positive_focus,
            negative_focus=self.negative_focus,
            shift=self.shift,
            detach_focus=True,
        )
        return Step(
            {"quota": masked_mean(loss, labels != 0)},
            batch.unknown & (pseudo == 1),
            {"logit": logits.detach()},
            {"expected_positives": self.expected.value},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        present = self.pseudo.read_if_there(batch.index, 0) == 1
        return Judgement(logits.sigmoid(), batch.unknown & present, {"logit": logits})

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        # After the last epoch nobody would read the labels.
        if not self.warmup_epochs <= clock.epoch < clock.epochs:
            return
        scores = predict()
        self.expected.follow(scores)
        table, labels = self.pseudo.values, self.annotations.labels
        priors = self.expected.priors
        if self.expected_positives is not None:
            priors = priors * (self.expected.value / priors.sum().clamp(min=1e-12))
        for column, prior in enumerate(priors.clamp(max=1).tolist()):
            filled = self.fill(scores[:, column].cpu(), labels[:, column], prior)
            table[:, column] = filled.to(table.device)

    def fill(self, scores: Tensor, labels: Tensor, prior: float) -> Tensor:
        """Return the pseudo-labels of a class, (N,): 1 for the highest scores, -1 for the lowest.

        Args:
            scores: (N,).
            labels: (N,), three states; what is known takes from the quota.
            prior: Share of images that show the class.
        """
        unknown = (labels == 0).nonzero()[:, 0]
        there, not_there = prior * len(labels), (1 - prior) * len(labels)
        present = round(self.present_share * there) - int((labels == 1).sum())
        present = min(max(present, 0), len(unknown))
        absent = max(round(self.absent_share * not_there) - int((labels == -1).sum()), 0)
        order = unknown[scores[unknown].argsort(descending=True, stable=True)]
        filled = torch.zeros(len(labels), dtype=torch.int8)
        filled[order[max(len(order) - absent, present) :]] = -1
        filled[order[:present]] = 1
        return filled
