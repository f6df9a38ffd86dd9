"""Methods with an image-text teacher, whose scores are computed once and stored."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.errors import UsageError, unknown_name
from tacit.losses import (
    assumed_negative,
    binary_cross_entropy,
    entropy,
    full_precision,
    negative_loss,
)
from tacit.methods.base import Method, ModelView
from tacit.methods.checks import within
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.parts.statistics import global_mean
from tacit.methods.robust_losses import GeneralisedRobust
from tacit.teachers import check_scores, read_scores
from tacit.types import Annotations, Batch, Clock, Step

# The teacher's scores: a file's name, the table itself, or nothing yet.
Scores = str | Path | Tensor | NDArray[Any] | None

# How far a pseudo-label is believed.
TRUST = 0.9


def teacher_table(scores: Scores, keep: str, annotations: Annotations) -> LabelTable:
    """Return the teacher's scores as a table, or say that there are none."""
    if scores is None:
        raise UsageError(
            "This method needs the scores of an image-text teacher; make their file with "
            "`tacit teach DATA --out FILE` and name it with --set method.scores=FILE."
        )
    if isinstance(scores, str | Path):
        values = read_scores(Path(scores), annotations)
    elif isinstance(scores, Tensor | np.ndarray):
        values = torch.as_tensor(scores)
        check_scores(values, annotations, "The teacher's table")
    else:
        raise UsageError(f"scores are a file's name or a table, (N, C), and not {scores!r}.")
    table = LabelTable(values.shape, 0, torch.float32, keep)
    table.values.copy_(values)
    return table


class TeacherPseudoLabels(Method):
    """Entropy maximisation, and positive pseudo-labels where an image-text teacher is sure.

    Xing et al., "Vision-Language Pseudo-Labels for Single-Positive Multi-Label Learning",
    CVPR workshops 2024 ("VLPL"). The teacher's shares are a softmax over classes, so a threshold
    of 0.3 admits three classes per image at most. Published entropy weights: 0.2 for VOC, 0.1 for
    COCO and NUS-WIDE, 0.01 for CUB.

    Args:
        scores: A file, see `tacit.teachers.read_scores`, or the table itself, (N, C).
        threshold: Share above which an unknown cell gets a positive pseudo-label.
        entropy_weight: Weight of the entropy of the other unknown cells.
        pseudo_weight: Weight of pseudo-labelled cells.
        negative_share: Share of each image's classes, the least similar, that cost nothing.
        warmup_epochs: Epochs before the first pseudo-labels.
        keep: Where the table lives: ``device``, ``cpu``, or the path of a file.
        epsilon: Added to probabilities inside logarithms.
    """

    keeps_table: ClassVar[bool] = True

    def __init__(
        self,
        scores: Scores = None,
        threshold: float = 0.3,
        entropy_weight: float = 0.1,
        pseudo_weight: float = 0.7,
        negative_share: float = 0.0,
        warmup_epochs: int = 0,
        keep: str = "device",
        epsilon: float = 0.0,
    ) -> None:
        super().__init__()
        self.scores, self.keep = scores, keep
        self.threshold = within("threshold", threshold, 0, 1)
        self.entropy_weight = within("entropy_weight", entropy_weight, 0, 10)
        self.pseudo_weight = within("pseudo_weight", pseudo_weight, 0, 10)
        self.negative_share = within("negative_share", negative_share, 0, 1)
        self.warmup_epochs = within("warmup_epochs", warmup_epochs, 0, 10_000)
        self.epsilon = within("epsilon", epsilon, 0, 0.1)

    def setup(self, annotations: Annotations) -> None:
        self.teacher = teacher_table(self.scores, self.keep, annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        shares = self.teacher.read(batch.index)
        active = clock.epoch > self.warmup_epochs
        suspects = batch.unknown & (shares > self.threshold) & active
        free = batch.unknown & lowest(shares, int(self.negative_share * shares.shape[1])) & active
        undecided = batch.unknown & ~suspects & ~free
        known = assumed_negative(logits, batch.labels, self.epsilon)
        trusted = torch.full_like(logits, TRUST)
        pseudo = binary_cross_entropy(logits, trusted, self.epsilon)
        spread = entropy(logits, self.epsilon)
        return Step(
            {
                "known": known.masked_fill(batch.unknown, 0).mean(),
                "pseudo": self.pseudo_weight * pseudo.masked_fill(~suspects, 0).mean(),
                "entropy": -self.entropy_weight * spread.masked_fill(~undecided, 0).mean(),
            },
            suspects,
            {"logit": logits.detach(), "share": shares},
        )


class TeacherRobust(GeneralisedRobust):
    """The generalised robust loss, with pseudo-labels of an image-text teacher beside it.

    Tran et al., "More Reliable Pseudo-labels, Better Performance: A Generalized Approach to Single
    Positive Multi-label Learning", ICCV 2025 ("AEVLP"). A few classes that the teacher is sure of
    become positive pseudo-labels, weighted by how little the robust loss trusts them; the least
    likely become negative ones; and images should show the expected number of classes. The teacher
    looks at crops as well, see `tacit.teachers.patch_shares`. In the release the negative
    pseudo-labels never reach their term; here they do, and ``negative_share=0`` switches them off.

    Args:
        scores: A file, see `tacit.teachers.read_scores`, or the table itself, (N, C).
        threshold: Score above which a class may become a positive pseudo-label.
        most: Positive pseudo-labels per image at most.
        negative_share: Share of each image's classes that become negative pseudo-labels.
        least_trust: Lower limit of the robust weight in the pseudo-labels' weight.
        most_trust: Upper limit of it.
        expected_weight: Weight of the expected number of positives.
        expected_positives: Classes an image shows on average; estimated if None.
        keep: Where the table lives: ``device``, ``cpu``, or the path of a file.
        robust: Hyperparameters of `GeneralisedRobust`.
    """

    keeps_table: ClassVar[bool] = True

    def __init__(
        self,
        scores: Scores = None,
        threshold: float = 0.5,
        most: int = 3,
        negative_share: float = 0.2,
        least_trust: float = 0.3,
        most_trust: float = 0.6,
        expected_weight: float = 0.05,
        expected_positives: float | None = None,
        keep: str = "device",
        robust: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(**_known(robust or {}))
        if expected_positives is not None:
            within("expected_positives", expected_positives, 0, 1e6)
        self.scores, self.keep = scores, keep
        self.threshold = within("threshold", threshold, 0, 1)
        self.most = within("most", most, 1, 10_000)
        self.negative_share = within("negative_share", negative_share, 0, 1)
        self.least_trust = within("least_trust", least_trust, 0, 1)
        self.most_trust = within("most_trust", most_trust, self.least_trust, 1)
        self.expected_weight = within("expected_weight", expected_weight, 0, 100)
        self.expected = ExpectedPositives(expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.teacher = teacher_table(self.scores, self.keep, annotations)
        self.expected.begin(annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        scores = self.teacher.read(batch.index)
        highest = lowest(-scores, min(self.most, scores.shape[1]))
        suspects = batch.unknown & highest & (scores > self.threshold)
        absent = lowest(scores, int(self.negative_share * scores.shape[1]))
        absent = batch.unknown & absent & ~suspects
        _, weight = self.chance_and_weight(logits.detach().sigmoid(), clock)
        believed = 1 - weight.clamp(self.least_trust, self.most_trust)
        target = torch.full_like(logits, TRUST)
        pseudo = believed * binary_cross_entropy(logits, target, self.epsilon)
        denied = weight * negative_loss(logits, self.epsilon)
        known = assumed_negative(logits, batch.labels, self.epsilon)
        loss = torch.where(batch.unknown, self.unknown_loss(logits, clock), known)
        loss = torch.where(suspects, pseudo, torch.where(absent, denied, loss))
        surplus = global_mean(logits.sigmoid().sum(1)) - self.expected.value
        return Step(
            {
                "robust": loss.mean(),
                "expected": self.expected_weight * (surplus / logits.shape[1]) ** 2,
            },
            suspects,
            {"logit": logits.detach(), "share": scores},
            {"expected_positives": self.expected.value},
        )

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        if self.expected.stated is None:
            self.expected.follow(predict())


def _known(robust: dict[str, Any]) -> dict[str, Any]:
    """Refuse hyperparameters that the robust loss does not have."""
    if not isinstance(robust, dict):
        raise UsageError(f"robust is a table of hyperparameters of 'gr', and not {robust!r}.")
    known = inspect.signature(GeneralisedRobust).parameters
    for name in robust:
        if name not in known:
            raise unknown_name("hyperparameter of 'gr', which robust holds,", name, known)
    return robust


def lowest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` lowest scores of each image."""
    marked = torch.zeros_like(scores, dtype=torch.bool)
    return marked.scatter(1, scores.argsort(dim=1, stable=True)[:, :count], True)
