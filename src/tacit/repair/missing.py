"""Missing labels: how probably each unknown cell is one, and how many there are.

A probability of a model that learned from incomplete labels cannot be compared across classes: it
is the smaller, the more of a class's positives went unlabelled. Bayes' rule says what can be
compared. What a class is missing follows from how often a label that is there was written down,
the labelling rate; which images miss it follows from how much more often known positives have such
a score than unknown cells do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels
from tacit.ranges import checked
from tacit.repair.ratios import (
    Blocks,
    Counts,
    count_scores,
    find_posteriors,
    fit_ratios,
    look_up,
)

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]

ROWS_AT_ONCE = 16_384
GUESS = 1.25
"""By which factor a stated number of labels may be off; nine in ten are taken to be nearer."""
CLASS_SPREAD = 0.35
"""Standard deviation of log labelling rates over classes, beyond what scores tell of them."""
HIGHEST = 0.25
"""The share of a class's known positives by whose scores its labelling rate is measured."""
FEW = 8.0
"""So many cells the share of all classes is worth beside a class's own."""


@dataclass(frozen=True, eq=False)
class Prior:
    """How much is missing of each class, before any score is looked at.

    Attributes:
        rate: The labelling rate: how often a label that is there was written down.
        rests_on: Where it comes from: "stated", "labels per image" or "estimated".
        rates: (C,) the rate of each class, drawn from the one of all to what its scores say.
        missing: (C,) expected missing labels of each class.
        low: (C,) where the interval of each begins; nine in ten hold.
        high: (C,) where it ends.
        total_low: Where the interval of their sum begins.
        total_high: Where it ends.
    """

    rate: float
    rests_on: str
    rates: Floats
    missing: Floats
    low: Floats
    high: Floats
    total_low: float
    total_high: float


@dataclass(frozen=True, eq=False)
class Missing:
    """What `find_missing` found.

    Attributes:
        posterior: (N, C) how probably each unknown cell is a missed positive; 0 on known cells.
        prior: How much is missing, what that rests on, and its intervals.
        classes: Names of the classes.
        unknown: (N, C) bool, the cells that were judged.
    """

    posterior: Scores
    prior: Prior
    classes: tuple[str, ...]
    unknown: NDArray[np.bool_] = field(repr=False)

    @property
    def total(self) -> float:
        """The expected number of missing labels."""
        return float(self.posterior.sum(dtype=np.float64))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the total; nine in ten hold, if what the rate rests on does."""
        return self.prior.total_low, self.prior.total_high

    @property
    def per_class(self) -> dict[str, tuple[float, float, float]]:
        """For each class the expected number of missing labels, and its interval."""
        sums = self.posterior.sum(0, dtype=np.float64)
        rows = zip(sums, self.prior.low, self.prior.high, strict=True)
        each = ((float(a), float(b), float(c)) for a, b, c in rows)
        return dict(zip(self.classes, each, strict=True))

    @property
    def rests_on(self) -> str:
        """A sentence on what the number of missing labels rests on."""
        return describe_prior(self.prior)

    def top(self, count: int = 100) -> list[tuple[int, str, float]]:
        """Return the most probable cells: row of the image, class, posterior."""
        flat = np.where(self.unknown, self.posterior, -1.0).ravel()
        count = min(count, int(self.unknown.sum()))
        if not count:
            return []
        best = np.argpartition(-flat, count - 1)[:count]
        best = best[np.lexsort((best, -flat[best]))]
        rows, columns = np.divmod(best, len(self.classes))
        return [
            (int(row), self.classes[column], float(flat[cell]))
            for row, column, cell in zip(rows, columns, best, strict=True)
        ]

    def ranking(self) -> Iterator[tuple[int, str, float]]:
        """Go through all unknown cells, the most probable first."""
        total, count = int(self.unknown.sum()), 0
        while count < total:  # most people stop early, so that not all is sorted at once
            known, count = count, min(max(4 * count, 1000), total)
            yield from self.top(count)[known:]


@checked
def find_missing(
    labels: Any,
    scores: Any,
    *,
    classes: Sequence[str] | None = None,
    labelling_rate: float | None = None,
    labels_per_image: float | None = None,
) -> Missing:
    """Say how probably each unknown cell is a missed positive, and how many there are.

    The scores may be of any model. They should be of a model that was not trained on the images
    that it scores, as by cross-validation: a model knows its own training labels, and its scores
    then tell known positives from missed ones.

    Say how complete the labels are, if you know: by ``labelling_rate`` or ``labels_per_image``.
    Left out, it is estimated from the scores as well as these can tell, which is not
    well where the model has learned from these labels. An audit measures it.

    Args:
        labels: (N, C), 1 known positive, 0 unknown, -1 known negative; an array, `SparseLabels`, a
            sparse matrix of SciPy, or a table of Arrow or pandas with a column for each class.
        scores: (N, C), higher where the class is rather there; probabilities or anything else.
        classes: Names of the classes; their numbers, or the names of columns, if None.
        labelling_rate: How often a label that is there was written down, between 0 and 1.
        labels_per_image: How many labels an image should have on average.
    """
    names = classes or _find_names(labels) or _find_names(scores)
    known = labels if isinstance(labels, SparseLabels) else _to_array("labels", labels)
    given = _to_array("scores", scores)
    shape = known.shape
    if len(shape) != 2 or given.shape != shape or not min(shape):
        raise UsageError(
            f"Labels and scores are images by classes, and these are {shape} and {given.shape}."
        )
    names = tuple(map(str, names or range(shape[1])))
    if len(names) != shape[1]:
        raise UsageError(f"There are {len(names)} names for {shape[1]} classes.")
    if len(set(names)) < len(names):
        raise UsageError("classes names one class twice; every column has a name of its own.")
    if not isinstance(known, SparseLabels):
        if not np.isin(known, (-1, 0, 1)).all():
            raise DataError("Labels hold 1 known positive, 0 unknown and -1 known negative alone.")
        known = known.astype(np.int8)
    if not np.isfinite(given).all():
        broken = int((~np.isfinite(given)).sum())
        raise DataError(f"{broken:,} of {given.size:,} scores are no numbers, and have no rank.")

    def blocks() -> Iterator[tuple[NDArray[np.int8], NDArray[np.floating]]]:
        for first in range(0, shape[0], ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            yield known[rows], given[rows]

    judge = fit_judge(blocks, labelling_rate, labels_per_image)
    posterior, unknown = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for number, (some, values) in enumerate(blocks()):
        rows = slice(number * ROWS_AT_ONCE, (number + 1) * ROWS_AT_ONCE)
        unknown[rows] = some == 0
        posterior[rows] = judge.judge(values) * unknown[rows]
    return Missing(posterior, judge.prior, names, unknown)


@dataclass(frozen=True, eq=False)
class Judge:
    """Turns scores into posteriors, a block of images at a time.

    Attributes:
        counts: Of the scores that it was fitted on.
        prior: How much is missing of each class.
        table: (C, BINS) posteriors over standardised scores.
    """

    counts: Counts
    prior: Prior
    table: Floats

    def judge(self, scores: NDArray[np.floating]) -> Scores:
        """Return the posteriors of unknown cells with such scores, (N, C)."""
        return look_up(self.table, self.counts.scale.apply(scores))


def fit_judge(
    blocks: Blocks,
    labelling_rate: float | None = None,
    labels_per_image: float | None = None,
    prior: Prior | None = None,
) -> Judge:
    """Learn from labels and scores how probable missed positives are.

    Args:
        blocks: Goes through labels and scores, a block of images at a time; called several times.
        labelling_rate: See `find_missing`.
        labels_per_image: See `find_missing`.
        prior: How much is missing, if that is known from other scores.
    """
    counts = count_scores(blocks)
    prior = prior or find_prior(counts, labelling_rate, labels_per_image)
    total = float(prior.missing.sum())
    return Judge(counts, prior, find_posteriors(counts, fit_ratios(counts), prior.rates, total))


def find_prior(
    counts: Counts, labelling_rate: float | None = None, labels_per_image: float | None = None
) -> Prior:
    """Find how much is missing of each class.

    See `GUESS` and `CLASS_SPREAD` for how far the labelling rate of all classes, and each class's
    own, may be off. One that was estimated from scores says little; see `describe_prior`.
    """
    positives = counts.positive.sum(1)
    if not positives.sum():
        raise DataError("There is no known positive, so that nothing tells what is missing.")
    if labelling_rate is not None and labels_per_image is not None:
        raise UsageError("Say the labelling rate or the labels per image, and not both.")
    seen = measure_rates(counts)
    if labelling_rate is not None:
        if not 0 < labelling_rate <= 1:
            raise UsageError(f"A labelling rate lies between 0 and 1, not at {labelling_rate}.")
        rate, rests_on = labelling_rate, "stated"
    elif labels_per_image is not None:
        present = positives.sum() / counts.images
        if not present <= labels_per_image <= len(positives):
            raise UsageError(
                f"There are {present:.2f} known labels an image, of {len(positives)} classes, so "
                f"that labels_per_image is not {labels_per_image:g}."
            )
        rate, rests_on = present / labels_per_image, "labels per image"
    else:
        rate, rests_on = estimate_rate(counts, seen), "estimated"
    rates = share_rate(rate, seen, measure_telling(counts, seen), positives)
    missing = np.minimum(positives * (1 / rates - 1), counts.unknown.sum(1))
    lowest, whole = rates, rate
    if rests_on == "estimated":  # what the scores do not rule out
        lowest, whole = np.minimum(rates, seen), float(positives.sum() / (positives / seen).sum())
    ends = _bound(lowest, rests_on, CLASS_SPREAD, positives, counts)
    few, most = _bound(np.full(len(rates), whole), rests_on, 0.0, positives, counts)
    return Prior(rate, rests_on, rates, missing, *ends, float(few.sum()), float(most.sum()))


def measure_rates(counts: Counts) -> Floats:
    """Measure how often each class is labelled where its scores are highest, (C,).

    There nearly all cells are present, and the share that is labelled comes near to the labelling
    rate. Highest is what the upper quarter of a class's known positives exceeds. A class with few
    of them is drawn to the share of all classes.
    """
    above = np.cumsum(counts.positive[:, ::-1], 1)[:, ::-1]
    others = np.cumsum(counts.unknown[:, ::-1], 1)[:, ::-1]
    positives = counts.positive.sum(1)
    # The last bin from which on a quarter of the known positives lies above.
    place = np.maximum((above >= HIGHEST * positives[:, None]).sum(1) - 1, 0)
    kinds = np.arange(len(positives))
    labelled, cells = above[kinds, place], above[kinds, place] + others[kinds, place]
    pooled = labelled.sum() / max(cells.sum(), 1.0)
    rates: Floats = (labelled + FEW * pooled) / (cells + FEW)
    return np.clip(rates, 0.02, 0.999)


def estimate_rate(counts: Counts, seen: Floats) -> float:
    """Estimate the labelling rate of all classes together from what was measured for each.

    Scores that tell nothing would have it that everything is missing: known positives are as rare
    among the highest of them as anywhere. So each class counts as far as they are less rare there.
    """
    positives = counts.positive.sum(1)
    missing = measure_telling(counts, seen) * positives * (1 / seen - 1)
    return float(positives.sum() / (positives + missing).sum())


def measure_telling(counts: Counts, seen: Floats) -> Floats:
    """Return how much scores tell of each class, (C,): 0 for nothing, near 1 for a lot."""
    positives, unknown = counts.positive.sum(1), counts.unknown.sum(1)
    anywhere = positives / np.maximum(positives + unknown, 1)
    telling: Floats = np.clip(1 - anywhere / seen, 0, 1)
    return telling


def share_rate(rate: float, seen: Floats, telling: Floats, positives: Floats) -> Floats:
    """Return a labelling rate for each class that together make up the one of all, (C,).

    Each lies between the rate of all and what was measured for the class, halfway on the scale of
    logarithms where scores tell a lot of it: a class that is hard to see looks less often labelled
    than it is.
    """
    if rate == 1:
        return np.ones_like(seen)
    drawn = rate * (seen / rate) ** (telling / 2)
    wanted = positives.sum() / rate
    low, high = 1e-3, 1e3
    for _ in range(60):
        factor = (low * high) ** 0.5
        present = (positives / np.clip(drawn * factor, 0.01, 0.999)).sum()
        low, high = (factor, high) if present > wanted else (low, factor)
    rates: Floats = np.clip(drawn * (low * high) ** 0.5, 0.01, 0.999)
    return rates


def _bound(
    rate: Floats, rests_on: str, spread: float, positives: Floats, counts: Counts
) -> tuple[Floats, Floats]:
    """Return between what the number of missing labels of each class lies."""
    noise = spread**2 + 1 / np.maximum(positives if spread else positives.sum(), 1)
    guess = 0.0 if rests_on == "stated" else np.log(GUESS)
    factor = np.exp(1.645 * np.sqrt(noise + (guess / 1.645) ** 2))
    unknown = counts.unknown.sum(1)
    # The number of labels that are there is what is guessed, and it is no less than the known ones.
    high = np.minimum(positives * np.maximum(factor / rate - 1, 0), unknown)
    low = np.minimum(positives * np.maximum(1 / rate / factor - 1, 0), unknown)
    high[rate == 1] = 0
    return (0 * low if rests_on == "estimated" else low), high


def describe_prior(prior: Prior) -> str:
    """Say in a sentence what the number of missing labels rests on."""
    share = f"{prior.rate:.0%}"
    if prior.rests_on == "stated":
        return f"It rests on the labelling rate that was stated, {share}."
    if prior.rests_on == "labels per image":
        return f"It rests on the labels per image that were stated: {share} of them are known."
    return (
        f"It rests on a labelling rate of {share}, estimated from scores alone: too low where "
        f"scores are poor, too high where people name the obvious first or the model has learned "
        f"from these very labels. An audit measures it."
    )


def _to_array(what: str, values: Any) -> NDArray[Any]:
    """Return an array of what has rows and columns: tables, sparse matrices, tensors, lists."""
    array = _read_array(values)
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"{what} are numbers, an array of images by classes, not {type(values).__name__} of "
            f"{array.dtype}."
        )
    return array


def _read_array(values: Any) -> NDArray[Any]:
    if hasattr(values, "column_names") and hasattr(values, "column"):  # Arrow
        return np.column_stack([values.column(k).to_numpy() for k in range(values.num_columns)])
    if hasattr(values, "toarray"):  # SciPy
        values = values.toarray()
    return np.asarray(values)


def _find_names(values: Any) -> list[str] | None:
    if isinstance(values, SparseLabels):
        return None
    names = getattr(values, "column_names", None)
    if names is None:
        names = getattr(values, "columns", None)
    return None if names is None else list(names)
