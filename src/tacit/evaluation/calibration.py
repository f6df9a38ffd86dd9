"""From what a model says to how often it is right, by one slope and a shift for each class.

A few known positives of a class say little about it; so the slope is that of all classes together,
and a class has to itself only how common it is. The logit of a calibrated probability is ``slope``
times the model's logit plus the class's shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.priors import estimate_each_class

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Probabilities beyond are as certain as these.
EDGE = 1e-7
# The slope is looked for between these; how hard it is held near 1, as if by so many cells.
LEAST_SLOPE, MOST_SLOPE, HOLD = 0.05, 20.0, 2.0
# No class is taken to be on more, or on fewer, of the images.
MOST_COMMON = 0.98
RAREST = 1e-6
ROUNDS = 4
# How strongly verdicts on one class are held to those on all, as if by so many cells.
SHRINK = 1.0


def to_logits(probabilities: NDArray[np.floating[Any]]) -> Array:
    """Return the logits of probabilities; 0 and 1 have finite ones."""
    inside = np.clip(probabilities.astype(np.float64), EDGE, 1 - EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def to_probabilities(logits: Array) -> Array:
    """Return the probabilities of logits."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


@dataclass(frozen=True, eq=False)
class Calibration:
    """How a model's probabilities become calibrated ones.

    Attributes:
        slope: Factor of the logit, the same for all classes; above 1 where a model is too timid.
        shifts: (C,), what is added for each class.
    """

    slope: float
    shifts: Array

    def __call__(self, probabilities: NDArray[np.floating[Any]]) -> Array:
        """Return calibrated probabilities, (N, C)."""
        return to_probabilities(self.slope * to_logits(probabilities) + self.shifts)

    def invert(self, calibrated: float) -> Array:
        """Return the model's probability of each class where the calibrated one is this, (C,)."""
        logit = to_logits(np.array([calibrated]))[0]
        return to_probabilities((logit - self.shifts) / self.slope)


def calibrate_on_labels(probabilities: NDArray[np.floating[Any]], positive: Mask) -> Calibration:
    """Calibrate where everything is known: the likelihood of all labels is the largest.

    Args:
        probabilities: (N, C), of images that the model was not trained on.
        positive: (N, C); every class has a positive.
    """
    logits = to_logits(probabilities)
    share = np.clip(positive.mean(0), 0.5 / len(positive), 1 - 0.5 / len(positive))

    def likelihood(inner: Array) -> float:
        # log sigmoid(z) of positives and log sigmoid(-z) of all others
        return -float(np.logaddexp(0.0, np.where(positive, -inner, inner)).sum())

    return _fit(logits, share, likelihood)


def calibrate_on_positives(
    probabilities: NDArray[np.floating[Any]],
    positive: Mask,
    labels_per_image: float,
    *,
    one_each: bool = False,
) -> tuple[Calibration, Array]:
    """Calibrate where positives alone are known, and how many labels an image has on average.

    A class's known positives have scores as its positives have, if they are a fair sample. Then
    the density of their scores is that of all scores times the calibrated probability, divided by
    the share of images that show the class. The slope makes this likelihood the largest; shifts
    keep each class as common as it is. Classes are as common as known positives are, scaled to the
    number of labels per image.

    Where an image has one known positive however many it shows, images that show much are rarer
    among a class's known positives than they should be. With ``one_each``, each known positive
    counts as many times as its image is expected to show classes.

    Args:
        probabilities: (N, C), of images that the model was not trained on.
        positive: (N, C), the known positives; a class without any is taken for a very rare one.
        labels_per_image: How many classes an image shows on average.
        one_each: Whether an image has one known positive at most.

    Returns:
        The calibration, and the share of images that show each class, (C,).
    """
    logits, counted = to_logits(probabilities), positive.astype(np.float64)
    share = _scale(counted.mean(0), labels_per_image)
    fitted: Calibration | None = None
    for _ in range(ROUNDS if one_each else 1):
        weights = counted[positive]

        def likelihood(inner: Array, weights: Array = weights) -> float:
            return -float((weights * np.logaddexp(0.0, -inner[positive])).sum() / weights.mean())

        fitted = _fit(logits, share, likelihood)
        if one_each:
            inner = to_probabilities(fitted.slope * logits + fitted.shifts)
            others = 1 + inner.sum(1, keepdims=True) - inner
            counted = positive * others
            share = _scale(counted.mean(0), labels_per_image)
    assert fitted is not None  # there is one round at least
    return Calibration(fitted.slope, _solve_shifts(fitted.slope * logits, share)), share


def calibrate_on_verdicts(
    first: Calibration, probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int8]
) -> Calibration:
    """Correct a calibration by verdicts: cells that somebody looked at, whatever the answer.

    Which cells were looked at may depend on the scores, as in a queue, but on nothing else that
    tells positives from negatives. All classes share a slope and a shift, and a class moves away
    from them only as far as its own verdicts go.

    Args:
        first: What the verdicts correct.
        probabilities: (N, C).
        labels: (N, C), 1 and -1 where somebody looked, 0 elsewhere.
    """
    from sklearn.linear_model import LogisticRegression

    rows, columns = np.nonzero(labels)
    answers = labels[rows, columns] == 1
    inner = (first.slope * to_logits(probabilities) + first.shifts)[rows, columns]
    if answers.all() or not answers.any():
        return first  # a slope needs both
    # The slope is scaled so that it is next to free, and what classes have to themselves is held.
    table = np.zeros((len(rows), 1 + labels.shape[1]))
    table[:, 0], table[np.arange(len(rows)), 1 + columns] = 100 * inner, 1.0
    found = LogisticRegression(C=1 / SHRINK, max_iter=1000).fit(table, answers)
    slope = max(100 * float(found.coef_[0, 0]), LEAST_SLOPE)
    shifts = slope * first.shifts + found.intercept_[0] + found.coef_[0, 1:]
    return Calibration(slope * first.slope, shifts)


def estimate_labels_per_image(probabilities: NDArray[np.floating[Any]], positive: Mask) -> float:
    """Estimate how many classes an image shows on average from known positives, see `priors`."""
    return float(estimate_each_class(probabilities, positive)[:, 0].sum())


def _scale(share: Array, total: float) -> Array:
    """Scale shares to a total, with none above what is thought possible."""
    share = np.maximum(share, RAREST)
    free = np.ones(len(share), dtype=np.bool_)
    scaled = share
    for _ in range(len(share)):
        left = total - MOST_COMMON * np.count_nonzero(~free)
        scaled = np.where(free, share * max(left, 0.0) / share[free].sum(), MOST_COMMON)
        over = free & (scaled > MOST_COMMON)
        if not over.any() or over.sum() == free.sum():
            break
        free &= ~over
    return np.minimum(scaled, MOST_COMMON)


def _fit(logits: Array, share: Array, likelihood: Callable[[Array], float]) -> Calibration:
    """Look for the slope by golden section; the shifts follow from it."""
    shifts = -to_logits(1 - share)

    def worth(log_slope: float) -> float:
        nonlocal shifts
        scaled = np.exp(log_slope) * logits
        shifts = _solve_shifts(scaled, share, shifts)
        return likelihood(scaled + shifts) - HOLD * log_slope**2

    low, high = float(np.log(LEAST_SLOPE)), float(np.log(MOST_SLOPE))
    golden = (5**0.5 - 1) / 2
    inner = [high - golden * (high - low), low + golden * (high - low)]
    values = [worth(inner[0]), worth(inner[1])]
    for _ in range(14):  # to a hundredth of the slope
        if values[0] >= values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - golden * (high - low)
            values[0] = worth(inner[0])
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + golden * (high - low)
            values[1] = worth(inner[1])
    slope = float(np.exp((low + high) / 2))
    return Calibration(slope, _solve_shifts(slope * logits, share, shifts))


def _solve_shifts(scaled: Array, share: Array, begin: Array | None = None) -> Array:
    """Return for each class the shift at which its mean probability is its share."""
    shifts = np.zeros(len(share)) if begin is None else begin.copy()
    low, high = np.full(len(share), -1e3), np.full(len(share), 1e3)
    for _ in range(100):
        inner = to_probabilities(scaled + shifts)
        surplus = inner.mean(0) - share
        if np.all(np.abs(surplus) < 1e-6 * share):
            break
        low, high = np.where(surplus < 0, shifts, low), np.where(surplus > 0, shifts, high)
        step = surplus / np.maximum((inner * (1 - inner)).mean(0), 1e-12)
        moved = shifts - step
        outside = (moved <= low) | (moved >= high) | (np.abs(step) > 8)
        middle = np.clip((low + high) / 2, shifts - 8, shifts + 8)
        shifts = np.where(outside, middle, moved)
    return shifts
