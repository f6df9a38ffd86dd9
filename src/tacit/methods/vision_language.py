"""Methods with an image-text teacher, whose scores are computed once and stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PlainValidator
from torch import Tensor

from tacit.errors import UsageError
from tacit.losses import (
    assumed_negative,
    binary_cross_entropy,
    entropy,
    full_precision,
    negative_loss,
)
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.priors import ExpectedPositives
from tacit.methods.robust_losses import GeneralisedRobust
from tacit.ranges import Count, Epochs, Epsilon, PerImage, Share, SmallWeight, Weight
from tacit.teachers import check_scores, read_scores
from tacit.types import Annotations, Batch, Clock, Judgement, Step


def _is_scores(value: Any) -> Any:
    if not isinstance(value, str | Path | Tensor | np.ndarray | None):
        raise ValueError("no file and no table")
    return value


# The teacher's scores: a file's name, the table itself, or nothing yet.
Scores = Annotated[
    str | Path | Tensor | NDArray[Any] | None,
    PlainValidator(
        _is_scores, Annotated[str, Field(description="a file's name or a table, (N, C)")]
    ),
]

# How far a pseudo-label is believed.
TRUST = 0.9


def read_teacher_table(scores: Scores, keep: str, annotations: Annotations) -> LabelTable:
    """Return the teacher's scores as a table, or say that there are none."""
    if scores is None:
        raise UsageError(
            "This method needs the scores of an image-text teacher; make their file with "
            "`tacit teacher-scores DATA --out FILE` and name it with --set method.scores=FILE."
        )
    if isinstance(scores, str | Path):
        values = read_scores(Path(scores), annotations)
    else:
        values = torch.as_tensor(scores)
        check_scores(values, annotations, "The teacher's table")
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

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "threshold": 0.3,
            "entropy_weight": 0.1,
            "pseudo_weight": 0.7,
            "negative_share": 0.0,
            "warmup_epochs": 0,
            "epsilon": 1e-5,
        }
    }
    keeps_table: ClassVar[bool] = True

    scores: Scores = None
    threshold: Share = 0.3
    entropy_weight: SmallWeight = 0.1
    pseudo_weight: SmallWeight = 0.7
    negative_share: Share = 0.0
    warmup_epochs: Epochs = 0
    keep: str = "device"
    epsilon: Epsilon = 0.0

    def setup(self, annotations: Annotations) -> None:
        self.teacher = read_teacher_table(self.scores, self.keep, annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        shares = self.teacher.read(batch.index)
        active = clock.epoch > self.warmup_epochs
        suspects = self.find_suspects(batch, shares, clock)
        free = (
            batch.unknown & mark_lowest(shares, int(self.negative_share * shares.shape[1])) & active
        )
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

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        return judge_by_teacher(self.teacher, model, batch, clock, self.find_suspects)

    def find_suspects(self, batch: Batch, shares: Tensor, clock: Clock) -> Tensor:
        """Mark the unknown cells that get a positive pseudo-label."""
        return batch.unknown & (shares > self.threshold) & (clock.epoch > self.warmup_epochs)


class TeacherRobust(GeneralisedRobust):
    """The generalised robust loss, with pseudo-labels of an image-text teacher beside it.

    Tran et al., "More Reliable Pseudo-labels, Better Performance: A Generalized Approach to Single
    Positive Multi-label Learning", ICCV 2025 ("AEVLP"). A few classes that the teacher is sure of
    become positive pseudo-labels, weighted by how little the robust loss trusts them; the least
    likely become negative ones; and images should show the expected number of classes. The teacher
    looks at crops as well, see `tacit.teachers.compute_patch_shares`. In the release the negative
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
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "chance_start": (0.0, -2.0),
            "chance_end": (2.0, -2.0),
            "weight_start": (0.5, 2.0),
            "weight_end": (0.8, 0.5),
            "present_power": 0.01,
            "absent_power": 1.0,
            "initial_epochs": 0,
            "epsilon": 1e-7,
            "threshold": 0.5,
            "most": 3,
            "negative_share": 0.0,
            "least_trust": 0.3,
            "most_trust": 0.6,
            "expected_weight": 0.05,
            "expected_positives": None,
        }
    }
    keeps_table: ClassVar[bool] = True

    scores: Scores = None
    threshold: Share = 0.5
    most: Count = 3
    negative_share: Share = 0.2
    least_trust: Share = 0.3
    most_trust: Share = 0.6
    expected_weight: Weight = 0.05
    expected_positives: PerImage | None = None
    keep: str = "device"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most_trust < self.least_trust:
            raise UsageError(
                f"most_trust must not be less than least_trust, {self.least_trust:g}, but is "
                f"{self.most_trust:g}."
            )
        self.expected = ExpectedPositives(self.expected_positives)

    def setup(self, annotations: Annotations) -> None:
        self.teacher = read_teacher_table(self.scores, self.keep, annotations)
        self.expected.begin(annotations)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        scores = self.teacher.read(batch.index)
        suspects = self.find_suspects(batch, scores, clock)
        absent = mark_lowest(scores, int(self.negative_share * scores.shape[1]))
        absent = batch.unknown & absent & ~suspects
        _, weight = self.chance_and_weight(logits.detach().sigmoid(), clock)
        believed = 1 - weight.clamp(self.least_trust, self.most_trust)
        target = torch.full_like(logits, TRUST)
        pseudo = believed * binary_cross_entropy(logits, target, self.epsilon)
        denied = weight * negative_loss(logits, self.epsilon)
        known = assumed_negative(logits, batch.labels, self.epsilon)
        loss = torch.where(batch.unknown, self.unknown_loss(logits, clock), known)
        loss = torch.where(suspects, pseudo, torch.where(absent, denied, loss))
        return Step(
            {
                "robust": loss.mean(),
                "expected": self.expected_weight * self.expected.penalise(logits),
            },
            suspects,
            {"logit": logits.detach(), "share": scores},
            {"expected_positives": self.expected.value},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        return judge_by_teacher(self.teacher, model, batch, clock, self.find_suspects)

    def find_suspects(self, batch: Batch, scores: Tensor, clock: Clock) -> Tensor:
        """Mark the unknown cells that get a positive pseudo-label."""
        highest = mark_lowest(-scores, min(self.most, scores.shape[1]))
        return batch.unknown & highest & (scores > self.threshold)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.expected.end_epoch(predict)


def judge_by_teacher(
    teacher: LabelTable,
    model: Any,
    batch: Batch,
    clock: Clock,
    find_suspects: Callable[[Batch, Tensor, Clock], Tensor],
) -> Judgement:
    """Judge by the teacher's scores; an image that it has not seen by the model's probability."""
    logits = full_precision(model(batch["weak"]))
    scores = teacher.read_if_there(batch.index, 0)
    seen = (batch.index >= 0)[:, None]
    suspects = find_suspects(batch, scores, clock) & seen
    score = torch.where(seen, scores, logits.sigmoid())
    return Judgement(score, suspects, {"logit": logits, "share": scores})


def mark_lowest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` lowest scores of each image."""
    marked = torch.zeros_like(scores, dtype=torch.bool)
    return marked.scatter(1, scores.argsort(dim=1, stable=True)[:, :count], True)
