"""The few values that every part of tacit speaks: Batch, Clock, Step, Judgement and Annotations.

Labels have three states everywhere: 1 is a known positive, 0 is unknown, -1 is a known negative.
Capital letters in shapes are fixed: B batch, N training images, C classes, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tacit.labels import SparseLabels


@dataclass(frozen=True)
class Batch:
    """What a method may see of some training images.

    There is no field for the truth, so no method can use it, by mistake or otherwise.
    """

    index: Tensor  # (B,) row of each image in the training set; -1 if it is not in there
    labels: Tensor  # (B, C) int8: 1 known positive, 0 unknown, -1 known negative
    views: Mapping[str, Tensor]  # "weak", "strong" -> (B, 3, H, W)

    def __getitem__(self, view: str) -> Tensor:
        if view not in self.views:
            have = ", ".join(sorted(self.views)) or "none"
            raise KeyError(
                f"the batch has no '{view}' view (it has: {have}); "
                f"a method must name every view it reads in its `views`"
            )
        return self.views[view]

    @property
    def positive(self) -> Tensor:
        """Cells known to be present, (B, C) bool."""
        return self.labels == 1

    @property
    def unknown(self) -> Tensor:
        """Unknown cells, (B, C) bool."""
        return self.labels == 0

    def to(self, device: torch.device) -> Batch:
        """Move everything to a device without waiting for the copy."""
        return Batch(
            self.index.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            {name: view.to(device, non_blocking=True) for name, view in self.views.items()},
        )


@dataclass(frozen=True)
class Clock:
    """Where training is. Epochs count from 1 within a phase, phases from 0."""

    epoch: int
    epochs: int
    phase: int = 0


@dataclass(frozen=True)
class Step:
    """What a method makes of one batch.

    Attributes:
        terms: Named parts of the loss, already weighted; training minimises their sum.
        suspects: Unknown cells this step took for missed positives, (B, C) bool.
        evidence: Detached values per cell, such as "logit" or "gap", (B, C). The evaluation side,
            which owns the truth, groups them; the method cannot.
        readings: Detached scalars worth a line in the log, such as a threshold.
    """

    terms: Mapping[str, Tensor]
    suspects: Tensor | None = None
    evidence: Mapping[str, Tensor] = field(default_factory=dict)
    readings: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The scalar that training minimises."""
        return torch.stack(tuple(self.terms.values())).sum()


AFTER_TRAINING = Clock(1_000_000, 1_000_000, phase=1_000_000)
"""A clock on which every warm-up and every schedule is over."""


@dataclass(frozen=True)
class Judgement:
    """What a method thinks of some images, as they stand; see `tacit.methods.base.Method.judge`.

    Attributes:
        score: (B, C), higher where a missed positive is more probable and 0 on known cells. It
            orders cells; scores of different methods are on different scales.
        suspects: Unknown cells that the method takes for missed positives, (B, C) bool.
        evidence: What led to it, values per cell such as "logit" or "gap", (B, C).
        images: What can be shown: "map", evidence per class and place, (B, C, h, w); "masked",
            the images as the method hid parts of them, (B, 3, H, W), normalised; and "visible",
            what it left of them, (B, H, W) bool.
    """

    score: Tensor
    suspects: Tensor
    evidence: Mapping[str, Tensor] = field(default_factory=dict)
    images: Mapping[str, Tensor] = field(default_factory=dict)


class Annotations:
    """What is known about the training set before training begins.

    Attributes:
        known: (N, C), three states, stored by the cells that are known.
        classes: Class names.
        images: (N,) names, to find rows that were stored elsewhere.
    """

    def __init__(
        self, labels: Tensor | SparseLabels, classes: Sequence[str], images: Sequence[str] = ()
    ) -> None:
        self.known = labels if isinstance(labels, SparseLabels) else SparseLabels.of(labels.numpy())
        self.classes, self.images = tuple(classes), images

    @property
    def shape(self) -> tuple[int, int]:
        """(N, C)."""
        return self.known.shape

    @property
    def labels(self) -> Tensor:
        """All labels, (N, C) int8: one byte for every cell, made anew at each call."""
        return torch.from_numpy(self.known.dense())

    @property
    def most_positives(self) -> int:
        """The largest number of known positives on one image."""
        return int(self.known.per_image(1).max())
