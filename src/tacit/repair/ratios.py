"""How much a score tells: how much more often known positives have it than unknown cells.

Everything is done on counts of scores in bins, so that a million images need no more memory than a
thousand. Scores are standardised within their class before, so that classes can share what little
each of them has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Block = tuple[NDArray[np.int8], NDArray[np.floating]]  # labels and scores of some images
Blocks = Callable[[], Iterable[Block]]

BINS = 1024
REACH = 8.0  # standard deviations to both sides
CENTRES = (np.arange(BINS) + 0.5) / BINS * 2 * REACH - REACH

OWN_WEIGHT = 100.0
"""Known positives from which on a class is believed more than all classes together."""


@dataclass(frozen=True)
class Scale:
    """How scores are standardised within their class.

    Attributes:
        probabilities: The scores lie between 0 and 1, and their log odds are taken.
        mean: (C,) of the unknown cells.
        deviation: (C,) of the unknown cells.
    """

    probabilities: bool
    mean: Floats
    deviation: Floats

    def apply(self, scores: NDArray[np.floating]) -> Scores:
        """Return standardised scores, (N, C)."""
        wide = to_log_odds(scores) if self.probabilities else np.asarray(scores, np.float32)
        standard = (wide - self.mean.astype(np.float32)) / self.deviation.astype(np.float32)
        return np.clip(standard, -REACH + 1e-3, REACH - 1e-3)


def to_log_odds(scores: NDArray[np.floating]) -> Scores:
    """Return log odds of probabilities, as far out as single precision tells them apart."""
    inside = np.clip(np.asarray(scores, np.float32), 1e-7, 1 - 1e-7)
    odds: Scores = np.log(inside / (1 - inside))
    return odds


@dataclass(frozen=True)
class Counts:
    """How often scores fall into each bin.

    Attributes:
        scale: How they were standardised.
        positive: (C, BINS) known positives.
        unknown: (C, BINS) unknown cells.
        images: The number of images.
    """

    scale: Scale
    positive: Floats
    unknown: Floats
    images: int


def count_scores(blocks: Blocks) -> Counts:
    """Count scores, in three passes over blocks of images."""
    low, high = np.inf, -np.inf
    for _, scores in blocks():
        low, high = min(low, float(scores.min())), max(high, float(scores.max()))
    if not np.isfinite([low, high]).all():
        raise ValueError("scores hold values that are no numbers")
    odds = low >= 0 and high <= 1
    sums: Floats = np.zeros((3, 1))
    images = 0
    for labels, scores in blocks():
        wide = (to_log_odds(scores) if odds else scores).astype(np.float64)
        open_ = labels == 0
        sums = sums + np.stack([open_.sum(0), (wide * open_).sum(0), (wide**2 * open_).sum(0)])
        images += len(labels)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    deviation = np.sqrt(np.maximum(sums[2] / count - mean**2, 1e-12))
    scale = Scale(odds, mean, deviation)
    classes = len(mean)
    positive, unknown = np.zeros((classes, BINS)), np.zeros((classes, BINS))
    for labels, scores in blocks():
        places = find_bins(scale.apply(scores)) + np.arange(classes) * BINS
        for state, counts in ((1, positive), (0, unknown)):
            found = np.bincount(places[labels == state], minlength=classes * BINS)
            counts += found.reshape(classes, BINS)
    return Counts(scale, positive, unknown, images)


def find_bins(standard: Scores) -> NDArray[np.int64]:
    """Return the bin of each standardised score."""
    return ((standard + REACH) * (BINS / (2 * REACH))).astype(np.int64)


def fit_ratios(counts: Counts, own_weight: float = OWN_WEIGHT) -> Floats:
    """Return log ratios of densities, known positives over unknown cells, (C, BINS).

    They never fall with the score. All classes are fitted together, known positives of each
    weighing the same; where a class has enough of its own it is drawn to what it says itself.
    """
    positives, unknown = counts.positive.sum(1), counts.unknown.sum(1)
    used = (positives > 0) & (unknown > 0)
    if not used.any():
        return np.zeros_like(counts.positive)
    # A class of few counts for little: what it adds is mostly noise.
    weight = positives / (positives + 20.0)
    share = np.divide(weight, positives, out=np.zeros_like(weight), where=used)
    pooled_positive = (counts.positive * share[:, None]).sum(0)
    share = np.divide(weight, unknown, out=np.zeros_like(weight), where=used)
    pooled_unknown = (counts.unknown * share[:, None]).sum(0)
    pooled = _fit_one(pooled_positive, pooled_unknown, float(positives[used].sum()))
    ratios = np.tile(pooled, (len(positives), 1))
    for kind in np.flatnonzero(used & (positives >= 10)):
        own = _fit_one(counts.positive[kind], counts.unknown[kind], float(positives[kind]))
        trust = positives[kind] / (positives[kind] + own_weight)
        ratios[kind] = (1 - trust) * pooled + trust * own
    return ratios


def _fit_one(positive: Floats, unknown: Floats, count: float) -> Floats:
    """Fit the log ratio of one class, or of all, over the bins."""
    from sklearn.isotonic import IsotonicRegression

    positive, unknown = positive / positive.sum(), unknown / unknown.sum()
    # Half an observation of no information, spread as the unknown cells are, keeps it finite.
    rest = 0.5 / (count + 0.5)
    positive = (1 - rest) * positive + rest * unknown
    seen = np.flatnonzero(positive + unknown > 0)
    weights = (positive + unknown)[seen]
    share = positive[seen] / weights
    isotonic = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-6)
    fitted = isotonic.fit(CENTRES[seen], share, weights).predict(CENTRES[seen])
    # Between the centres of its steps the ratio rises evenly, so that steps are no ties.
    starts = np.flatnonzero(np.diff(fitted, prepend=-1.0) > 1e-12)
    mass = np.add.reduceat(weights, starts)
    middle = np.add.reduceat(weights * CENTRES[seen], starts) / mass
    level = fitted[starts]
    ratio: Floats = np.interp(CENTRES, middle, np.log(level / (1 - level)))
    return ratio


def spread_missing(counts: Counts, ratios: Floats, missing: Floats) -> Floats:
    """Return posteriors, (C, BINS), whose sum over a class's unknown cells is what is missing.

    The posterior is the share that is missing times the ratio; where that exceeds one, the rest is
    given to the cells below.
    """
    most = 0.999
    open_ = counts.unknown.sum(1)
    wanted = np.minimum(missing, 0.95 * open_)
    raw = np.exp(ratios)
    low, high = np.full(len(wanted), -60.0), np.full(len(wanted), 60.0)
    for _ in range(60):  # halves the interval; the sum rises with the factor
        middle = (low + high) / 2
        total = (counts.unknown * np.minimum(raw * np.exp(middle)[:, None], most)).sum(1)
        low, high = np.where(total < wanted, middle, low), np.where(total < wanted, high, middle)
    posterior: Floats = np.minimum(raw * np.exp(high)[:, None], most)
    posterior[wanted <= 0] = 0
    return posterior


def look_up(table: Floats, standard: Scores) -> Scores:
    """Read a table over the bins, (C, BINS), at standardised scores, (N, C), evenly between."""
    place = (standard + REACH) * (BINS / (2 * REACH)) - 0.5
    lower = np.clip(place.astype(np.int64), 0, BINS - 2)
    part = np.clip(place - lower, 0, 1).astype(np.float32)
    narrow = table.astype(np.float32)
    classes = np.arange(standard.shape[1])
    below, above = narrow[classes, lower], narrow[classes, lower + 1]
    found: Scores = below + part * (above - below)
    return found
