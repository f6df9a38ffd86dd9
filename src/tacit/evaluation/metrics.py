"""Metrics for multi-label predictions, exact and fast, on plain numpy arrays.

Average precision equals scikit-learn's to the last bit, ties included, so that a number from here
can be set beside a published one. Tables have N images as rows and C classes as columns: scores
are floats, truth is 1 (positive), 0 (negative) or, where a function says so, -1 (not annotated).
Tables that do not fit together or hold other values, NaN included, raise ValueError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacit.evaluation.checks import Labels, Mask, Scores, check_labels, check_mask, check_tables

# Classes copied out together: neighbours share cache lines, so a block costs one pass.
_CLASS_BLOCK = 16
# Images ranked together: bounds the memory of the ranks, whatever N is.
_IMAGE_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision:
    """The mean average precision of a set of predictions, with what it was averaged from.

    Attributes:
        map: Mean over the classes that count, in percent. A class without positives adds 0.
        per_class: Average precision of each class, 0 to 1, shape (C,).
        classes_scored: Number of classes with at least one positive.
        map_scored: Mean over only the classes with a positive, in percent; 0 if there is none.
    """

    map: float
    per_class: NDArray[np.float64]
    classes_scored: int
    map_scored: float


@dataclass(frozen=True)
class F1Scores:
    """Precision, recall and F1 at one threshold, each from 0 to 1 and 0 where undefined.

    The literature writes them OP, OR, OF1 (counts pooled over all classes) and CP, CR, CF1 (means
    over classes). As there, `cf1` is the harmonic mean of `class_precision` and `class_recall`,
    not the mean of the F1 of each class.
    """

    overall_precision: float
    overall_recall: float
    of1: float
    class_precision: float
    class_recall: float
    cf1: float


@dataclass(frozen=True)
class Identification:
    """Counts of how well suspects found the missed positives; counts of batches add up.

    Attributes:
        tp: Unknown labels that are suspects and truly positive.
        fp: Unknown labels that are suspects and truly negative.
        fn: Unknown labels that are truly positive and no suspects.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Identification) -> Identification:
        """Add the counts, so that an epoch divides once, at its end."""
        return Identification(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """The share of the suspects that are missed positives; 0 without suspects."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The share of the missed positives that are suspects; 0 if none is missed."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if both are 0."""
        return _harmonic_mean(self.precision, self.recall)

    @property
    def ratio(self) -> float:
        """Missed positives found per true negative suspected, tp / fp; NaN if fp is 0."""
        return self.tp / self.fp if self.fp else math.nan


def average_precision(
    scores: Scores, truth: Labels, known: Mask | None = None
) -> NDArray[np.float64]:
    """Average precision of every class from 0 to 1, equal to scikit-learn's to the last bit.

    Tied scores form one threshold. A class without positives gets 0.

    Args:
        scores: Anything that ranks the images of a class. float16 and float32 take the fast
            route; other types are compared as float64.
        truth: 1 or 0. Cells outside `known` may hold -1.
        known: Cells that count; all if None. For truth with -1 pass `known=truth >= 0`.
    """
    scores, truth = check_tables(scores, truth, known)
    area = _area_float32 if scores.dtype == np.float32 else _area_float64
    result = np.zeros(truth.shape[1])
    for start in range(0, truth.shape[1], _CLASS_BLOCK):
        block = slice(start, start + _CLASS_BLOCK)
        score_rows = np.ascontiguousarray(scores[:, block].T)
        positive_rows = np.ascontiguousarray((truth[:, block] == 1).T)
        known_rows = None if known is None else np.ascontiguousarray(known[:, block].T)
        for row, (score, positive) in enumerate(zip(score_rows, positive_rows, strict=True)):
            if known_rows is not None:
                score, positive = score[known_rows[row]], positive[known_rows[row]]
            if positive.any():
                result[start + row] = area(score, positive)
    return result


def mean_average_precision(
    scores: Scores, truth: Labels, known: Mask | None = None
) -> MeanAveragePrecision:
    """Mean average precision in percent, by the rule of the literature.

    Without `known`, all C classes count and one without positives adds 0. With `known` (the rule
    of OpenImages) a class without a known cell is skipped, and its entry in `per_class` is 0; one
    with known negatives only adds 0. The arguments are those of `average_precision`.
    """
    per_class = average_precision(scores, truth, known)
    positive = np.asarray(truth) == 1
    counted = np.ones(per_class.size, dtype=np.bool_)
    if known is not None:
        positive &= known
        counted = np.asarray(known.any(axis=0))
        if not counted.any():
            raise ValueError("known is false everywhere, so there is no class to score.")
    scored = positive.any(axis=0)
    return MeanAveragePrecision(
        map=100 * float(np.mean(per_class[counted])),
        per_class=per_class,
        classes_scored=int(np.count_nonzero(scored)),
        map_scored=100 * float(np.mean(per_class[scored])) if scored.any() else 0.0,
    )


def f1_scores(probabilities: Scores, truth: Labels, threshold: float = 0.5) -> F1Scores:
    """Precision, recall and F1 of predicting each class whose probability reaches the threshold.

    Class means run over all C classes: one that is never predicted has precision 0, one without
    positives has recall 0. Truth must be full: 1 or 0.
    """
    probabilities, truth = check_tables(probabilities, truth, None)
    outside = probabilities[(probabilities < 0) | (probabilities > 1)]
    if outside.size:
        raise ValueError(
            f"{outside.size} probabilities are not from 0 to 1, such as {outside[0]:g}; "
            "apply the sigmoid to logits first."
        )
    return f1_of_decided(probabilities >= threshold, truth == 1)


def f1_of_decided(predicted: Mask, positive: Mask, known: Mask | None = None) -> F1Scores:
    """Precision, recall and F1 of decided cells, (N, C), over all cells or those that are known."""
    if known is not None:
        predicted, positive = predicted & known, positive & known
    hits = np.count_nonzero(predicted & positive, axis=0)
    chosen = np.count_nonzero(predicted, axis=0)
    present = np.count_nonzero(positive, axis=0)
    found = int(hits.sum())
    overall = _share(found, int(chosen.sum())), _share(found, int(present.sum()))
    # Where a count is 0 so are the hits, and a divisor of 1 gives the 0 that is wanted.
    each = hits / np.maximum(chosen, 1), hits / np.maximum(present, 1)
    by_class = float(np.mean(each[0])), float(np.mean(each[1]))
    return F1Scores(*overall, _harmonic_mean(*overall), *by_class, _harmonic_mean(*by_class))


def precision_recall_at_k(scores: Scores, truth: Labels, k: int) -> tuple[float, float]:
    """Precision and recall of the k best classes of each image, each averaged over images.

    Precision is averaged over all images. Recall is taken per image and averaged over the images
    with at least one positive (it is not pooled); 0 if no image has one. Of classes with the same
    score, the one with the lower index comes first. Truth must be full: 1 or 0.
    """
    scores, truth = check_tables(scores, truth, None)
    if not 1 <= k <= truth.shape[1]:
        raise ValueError(f"k must be from 1 to the number of classes, but is {k}.")
    positive = truth == 1
    hits = np.empty(len(truth), dtype=np.int64)
    for start in range(0, len(truth), _IMAGE_BLOCK):
        block = slice(start, start + _IMAGE_BLOCK)
        best = np.argsort(-scores[block], axis=1, kind="stable")[:, :k]
        hits[block] = np.count_nonzero(np.take_along_axis(positive[block], best, axis=1), axis=1)
    present = np.count_nonzero(positive, axis=1)
    some = present > 0
    recall = float(np.mean(hits[some] / present[some])) if some.any() else 0.0
    return float(np.mean(hits / k)), recall


def identification(suspects: Mask, labels: Labels, truth: Labels) -> Identification:
    """Count how well suspects point at the missed positives among the unknown labels.

    Labels and truth are three-state, as a `Source` holds them: 1 present, -1 absent, 0 unknown.
    Only cells with label 0 are looked at, and one whose truth is 0 as well enters no count. Tables
    may have any shape, the same for all three.
    """
    suspects, labels, truth = np.asarray(suspects), np.asarray(labels), np.asarray(truth)
    check_mask("suspects", suspects, labels.shape)
    check_labels("labels", labels, labels.shape)
    check_labels("truth", truth, labels.shape)
    missed, absent = (labels == 0) & (truth == 1), (labels == 0) & (truth == -1)
    return Identification(
        tp=int(np.count_nonzero(missed & suspects)),
        fp=int(np.count_nonzero(absent & suspects)),
        fn=int(np.count_nonzero(missed & ~suspects)),
    )


def _area_float32(score: NDArray[np.float32], positive: Mask) -> float:
    """Average precision of one class, by one sort of keys that carry the label with the score."""
    # Sorting integers beats an argsort with its gathers. Adding 0 makes -0.0 and 0.0 one tie, and
    # flipping all but the sign of negative floats puts the bits in the order of the floats.
    bits = (score + np.float32(0)).view(np.int32)
    keys = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys <<= 1
    keys |= positive
    keys.sort()
    # More than the last bit, which is the label.
    starts = _group_starts((keys[1:] ^ keys[:-1]).view(np.uint64) > 1)
    return _step_area(starts, np.flatnonzero(keys & 1), score.size)


def _area_float64(score: NDArray[np.float64], positive: Mask) -> float:
    """Average precision of one class, by two sorts, as 64 bits leave no room for the label."""
    values, hits = np.sort(score), np.sort(score[positive])
    starts = _group_starts(values[1:] != values[:-1])
    # Within a tie the order is of no account, so that its positives may as well come first.
    places = np.searchsorted(values, hits)
    return _step_area(starts, places, score.size)


def _group_starts(changes: Mask) -> NDArray[np.intp]:
    return np.concatenate((np.zeros(1, dtype=np.intp), np.flatnonzero(changes) + 1))


def _step_area(starts: NDArray[np.intp], places: NDArray[np.intp], images: int) -> float:
    """Sum precision times gain in recall; `places` are those of positives in ascending order."""
    # scikit-learn's order of operations, lowest threshold first, so that the rounding agrees. Only
    # thresholds with positives gain anything; the others add zeros, in their places.
    positives = places.size
    group = np.searchsorted(starts, places, side="right") - 1
    group, first, own = np.unique(group, return_index=True, return_counts=True)
    found = (positives - first).astype(np.float64)
    precision = found / (images - starts[group])
    gains = np.zeros(starts.size)
    gains[group] = ((found - own) / positives - found / positives) * precision
    return max(0.0, -float(np.sum(gains)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _harmonic_mean(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second else 0.0
