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
Indices = NDArray[np.intp]
Block = tuple[NDArray[np.int8], NDArray[np.floating]]  # labels and scores of some images
Blocks = Callable[[], Iterable[Block]]

BINS = 1024
REACH = 12.0  # to both sides, in standard deviations or in log odds
CENTRES = (np.arange(BINS) + 0.5) / BINS * 2 * REACH - REACH
BEND = 2.0  # how late posteriors begin to bend below one
CLEARLY = 0.05
"""By which share the likelihood has to be better for probabilities not to be taken as they are."""
NARROW = 1e-3  # what keeps a score off the last edge


@dataclass(frozen=True)
class Scale:
    """How scores are made comparable across classes, before anything is learned of them.

    Attributes:
        log_odds: The scores lie between 0 and 1, and their log odds are taken first.
        shift: (C,) what is taken off each class's scores.
        unit: (C,) what they are divided by after that.
        odds: (C,) the log odds by which a cell of each class is known, before its score is looked
            at; zeros where scores say that themselves.
    """

    log_odds: bool
    shift: Floats
    unit: Floats
    odds: Floats

    def apply(self, scores: NDArray[np.floating]) -> Scores:
        """Return comparable scores, (N, C)."""
        wide = to_log_odds(scores) if self.log_odds else np.asarray(scores, np.float32)
        standard = (wide - self.shift.astype(np.float32)) / self.unit.astype(np.float32)
        return np.clip(standard, -REACH + NARROW, REACH - NARROW)


def to_log_odds(scores: NDArray[np.floating]) -> Scores:
    """Return log odds of probabilities, as far out as single precision tells them apart."""
    inside = np.clip(np.asarray(scores, np.float32), 1e-7, 1 - 1e-7)
    odds: Scores = np.log(inside / (1 - inside))
    return odds


@dataclass(frozen=True)
class Counts:
    """How often comparable scores fall into each bin.

    Attributes:
        scale: How they were made comparable.
        positive: (C, BINS) known positives.
        unknown: (C, BINS) unknown cells.
        images: The number of images.
    """

    scale: Scale
    positive: Floats
    unknown: Floats
    images: int


def count_scores(blocks: Blocks) -> Counts:
    """Count scores, in five passes over blocks of images.

    Three scales are tried, and the one by which known positives are told best is kept: log odds as
    they are, if a model learned from these labels and says how probably each class is labelled;
    log odds beside those of the class; and any scores, standardised within their class.
    """
    low, high = np.inf, -np.inf
    for _, scores in blocks():
        low, high = min(low, float(scores.min())), max(high, float(scores.max()))
    odds = low >= 0 and high <= 1
    sums: Floats = np.zeros((4, 1))
    images = 0
    for labels, scores in blocks():
        wide = (to_log_odds(scores) if odds else scores).astype(np.float64)
        open_ = labels == 0
        moments = [open_.sum(0), (wide * open_).sum(0), (wide**2 * open_).sum(0)]
        sums = sums + np.stack([*moments, (labels == 1).sum(0)])
        images += len(labels)
    count = np.maximum(sums[0], 1)
    mean = sums[1] / count
    deviation = np.sqrt(np.maximum(sums[2] / count - mean**2, 1e-12))
    known = np.log(np.maximum(sums[3], 0.5) / count)
    ones = np.ones_like(known)
    scales = (
        Scale(odds, 0 * known, ones, 0 * known),
        Scale(odds, known, ones, known),
        Scale(odds, mean, deviation, known),
    )
    # Scores that are no probabilities do not say by themselves how often a class is known.
    best, *others = [_count(blocks, scale, images) for scale in scales[0 if odds else 1 :]]
    least, clearly = _measure_fit(best), CLEARLY if odds else 0.0
    for other in others:
        if (fit := _measure_fit(other)) > least + clearly * abs(least):
            best, least = other, fit
    return best


def _count(blocks: Blocks, scale: Scale, images: int) -> Counts:
    classes = len(scale.shift)
    positive, unknown = np.zeros((classes, BINS)), np.zeros((classes, BINS))
    for labels, scores in blocks():
        places = find_bins(scale.apply(scores)) + np.arange(classes) * BINS
        for state, counts in ((1, positive), (0, unknown)):
            found = np.bincount(places[labels == state], minlength=classes * BINS)
            counts += found.reshape(classes, BINS)
    return Counts(scale, positive, unknown, images)


def _measure_fit(counts: Counts) -> float:
    """Return the log likelihood of what is known under the ratios of all classes together."""
    odds = counts.scale.odds[:, None] + fit_ratios(counts)
    lost = np.logaddexp(0, -odds) * counts.positive + np.logaddexp(0, odds) * counts.unknown
    return -float(lost.sum())


def find_bins(standard: Scores) -> NDArray[np.int64]:
    """Return the bin of each standardised score."""
    return ((standard + REACH) * (BINS / (2 * REACH))).astype(np.int64)


def fit_ratios(counts: Counts) -> Floats:
    """Return log ratios, known positives to unknown cells, (BINS,); with the odds of the scale
    they are the log odds by which a cell is labelled.

    They never fall with the score, and all classes share them: one that had ratios of its own
    ranked worse on photographs, even with a thousand known positives. Half of it is an isotonic
    regression, which takes any form, and half a logistic one, which does not end in steps.
    """
    if not counts.positive.sum() or not counts.unknown.sum():
        return np.zeros(BINS)
    # Where the odds of a class are given, its unknown cells weigh what its known positives do.
    positive = counts.positive.sum(0)
    rest = (counts.unknown * np.exp(counts.scale.odds)[:, None]).sum(0)
    # One observation of no information, spread as the unknown cells are, keeps it finite.
    positive = positive + rest / rest.sum()
    seen = np.flatnonzero(positive + rest > 0)
    mass, share = (positive + rest)[seen], positive[seen] / (positive + rest)[seen]
    found: Floats = 0.5 * (_fit_steps(seen, mass, share) + _fit_line(seen, mass, share))
    return found


def _fit_steps(seen: Indices, mass: Floats, share: Floats) -> Floats:
    from sklearn.isotonic import IsotonicRegression

    isotonic = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-5)
    fitted = isotonic.fit(CENTRES[seen], share, mass).predict(CENTRES[seen])
    # Between the centres of its steps the ratio rises evenly, so that steps are no ties.
    starts = np.flatnonzero(np.diff(fitted, prepend=-1.0) > 1e-12)
    middle = np.add.reduceat(mass * CENTRES[seen], starts) / np.add.reduceat(mass, starts)
    level = fitted[starts]
    ratio: Floats = np.interp(CENTRES, middle, np.log(level / (1 - level)))
    return ratio


def _fit_line(seen: Indices, mass: Floats, share: Floats) -> Floats:
    """Fit a logistic regression on the bins, which rises with the score or not at all."""
    x = np.stack([np.ones(len(seen)), CENTRES[seen]])
    line = np.zeros(2)
    for _ in range(50):  # Newton's steps; the loss is convex
        guess = 1 / (1 + np.exp(-line @ x))
        curve = (x * (mass * guess * (1 - guess))) @ x.T + 1e-6 * np.eye(2)
        line = line + np.clip(np.linalg.solve(curve, x @ (mass * (share - guess))), -2, 2)
    ratio: Floats = line[0] + max(line[1], 0.0) * CENTRES
    return ratio


def find_posteriors(counts: Counts, ratios: Floats, rates: Floats, total: float) -> Floats:
    """Return posteriors, (C, BINS).

    Bayes' rule: the odds by which a cell is labelled, times how many labels of its class are
    missing for each that is known. No
    share exceeds one, which is approached evenly so that order is kept. Where a class has fewer
    cells with high scores than it should miss, it is left at that: its labelling rate was too low.
    What then is too few or too many over all classes is set right by one factor for all.

    Args:
        counts: How often unknown cells have each score.
        ratios: (BINS,) log ratios, shared by all classes.
        rates: (C,) labelling rates.
        total: What is missing in all.
    """
    shared = np.tile(ratios, (len(rates), 1))
    if counts.scale.odds.any():  # then it is a ratio of densities, whose mean is one in each class
        unknown = counts.unknown + 1e-9
        mean = (unknown * np.exp(shared)).sum(1) / unknown.sum(1)
        shared = shared - np.log(mean)[:, None]
    with np.errstate(divide="ignore"):
        odds = (np.log(1 / rates - 1) + counts.scale.odds)[:, None] + shared
    if not total:
        return np.zeros_like(counts.unknown)
    low, high = -20.0, 20.0
    for _ in range(60):  # halves the interval; the sum rises with the factor
        middle = (low + high) / 2
        found = (counts.unknown * _saturate(odds + middle)).sum()
        low, high = (middle, high) if found < total else (low, middle)
    return _saturate(odds + middle)


def _saturate(logarithms: Floats) -> Floats:
    """Return what is near its argument where that is small, and near one where it is large."""
    steep = np.clip(BEND * logarithms, -300, 300)
    shares: Floats = np.exp((steep - np.logaddexp(0, steep)) / BEND)
    return np.where(np.isneginf(logarithms), 0.0, shares)


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
