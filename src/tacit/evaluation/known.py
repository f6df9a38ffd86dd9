"""Scores over what is known: at 0.5, at the thresholds that decide, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.evaluation.intervals import find_intervals
from tacit.evaluation.metrics import average_precision, f1_of_decided

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class KnownScores:
    """How well probabilities and decisions agree with the cells that are known, in percent.

    Classes without a known positive or without a known negative are in no mean: nothing can be
    ranked, and nothing wrongly decided, among cells of one kind.

    Attributes:
        unknown: How many cells nobody knows; they count nowhere.
        without_positive: Classes that no image is known to show.
        without_negative: Classes of which no image is known to be without them.
        classes_scored: How many classes are left.
        map: Mean average precision; None if no class is left, as are the others then.
        of1: OF1 at a probability of 0.5.
        cf1: CF1 at a probability of 0.5.
        of1_decided: OF1 of what the stored thresholds decide.
        cf1_decided: CF1 of the same.
        precision_decided: Share of decided labels that are right.
        recall_decided: Share of right labels that are decided.
        intervals: 95 % bootstrap intervals over images, of ``map``, ``of1``, ``of1_decided``.
    """

    unknown: int
    without_positive: list[str]
    without_negative: list[str]
    classes_scored: int
    map: float | None = None
    of1: float | None = None
    cf1: float | None = None
    of1_decided: float | None = None
    cf1_decided: float | None = None
    precision_decided: float | None = None
    recall_decided: float | None = None
    intervals: dict[str, Any] | None = None


def score_known(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int8],
    classes: Sequence[str],
    thresholds: NDArray[np.float32],
) -> KnownScores:
    """Score over known cells.

    Args:
        probabilities: (N, C).
        labels: (N, C), 1, -1, or 0 where nobody knows.
        classes: Their names.
        thresholds: (C,), from which probability on each class is decided.
    """
    shown, absent = (labels == 1).any(0), (labels == -1).any(0)
    used = shown & absent
    names = np.asarray(classes, dtype=object)
    missing = (
        int(np.count_nonzero(labels == 0)),
        names[~shown].tolist(),
        names[shown & ~absent].tolist(),
        int(used.sum()),
    )
    if not used.any():
        return KnownScores(*missing)
    said, truth = probabilities[:, used], labels[:, used]
    known, positive = truth != 0, truth == 1
    decided = {"of1": said >= np.float32(0.5), "of1_decided": said >= thresholds[used]}
    usual, own = (f1_of_decided(cells, positive, known) for cells in decided.values())
    precision = average_precision(said, positive.astype(np.int8), known)
    return KnownScores(
        *missing,
        map=100 * float(precision.mean()),
        of1=100 * usual.of1,
        cf1=100 * usual.cf1,
        of1_decided=100 * own.of1,
        cf1_decided=100 * own.cf1,
        precision_decided=100 * own.overall_precision,
        recall_decided=100 * own.overall_recall,
        intervals=find_intervals(said, truth, decided),
    )
