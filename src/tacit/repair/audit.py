"""The audit: how many labels are missing, from cells that were drawn at random.

Cells are drawn with known probabilities, more of those where the posterior leaves more open. What
a person says of them gives totals that are right on average, however wrong the posterior is. The
posterior's part is to make the interval narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels
from tacit.repair.audit_intervals import bound_share, bound_total

Cells = NDArray[np.int64]
Floats = NDArray[np.float64]

STRATA = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85)
"""Posteriors at which strata begin."""

LEAST = 0.004
"""What a cell is taken to be missed with at least when looks are shared out. By far the most cells
have low posteriors, where a posterior says least of how many are missed, and they make most of the
variance. At 0.0005 intervals were up to two fifths wider, and narrower nowhere."""

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Audit:
    """Cells that were drawn, in the order in which they are to be asked.

    Any first part of them is a sample, too, so that a person may stop whenever she wants.

    Attributes:
        cells: (n,) numbers of cells, row times classes plus class.
        strata: (n,) the stratum of each.
        ranks: (n,) its place in the queue, from 1; 0 if it is not in the queue.
        sizes: (S,) unknown cells in each stratum.
        expected: (S, C) sum of their posteriors, by class.
    """

    cells: Cells
    strata: Cells
    ranks: Cells
    sizes: Cells
    expected: Floats

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.expected.shape[1])

    @property
    def probabilities(self) -> Floats:
        """With which probability each cell was drawn, (n,)."""
        drawn = np.bincount(self.strata, minlength=len(self.sizes))
        share: Floats = drawn[self.strata] / self.sizes[self.strata]
        return share

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {"format": FORMAT, **{name: value.tolist() for name, value in vars(self).items()}}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Audit:
        """Return what `to_dict` was called on."""
        if told.get("format", 0) > FORMAT:
            raise DataError("This audit was drawn by a newer tacit; use that one, or update this.")
        whole = ("cells", "strata", "ranks", "sizes")
        parts = {name: np.asarray(told[name], np.int64) for name in whole}
        audit = cls(**parts, expected=np.asarray(told["expected"], np.float64))
        audit._check()
        return audit

    def _check(self) -> None:
        """Refuse, by a ValueError, what no draw can have been."""
        drawn, strata = self.cells.shape, len(self.sizes)
        shapes = (self.cells, self.strata, self.ranks)
        if any(each.ndim != 1 or each.shape != drawn for each in shapes) or self.sizes.ndim != 1:
            raise ValueError("its lists are of different lengths")
        if self.expected.ndim != 2 or len(self.expected) != strata:
            raise ValueError("what is expected is no table of strata and classes")
        if (
            not np.isfinite(self.expected).all()
            or min(self.cells.min(initial=0), self.ranks.min(initial=0)) < 0
        ):
            raise ValueError("a number in it is none")
        if not ((self.strata >= 0) & (self.strata < strata)).all() or len(
            np.unique(self.cells)
        ) < len(self.cells):
            raise ValueError("its cells are in no stratum, or drawn twice")
        if (np.bincount(self.strata, minlength=strata) > self.sizes).any():
            raise ValueError("more cells are drawn than there are")


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What the looks at an audit say.

    Attributes:
        looks: Cells of the audit that were asked and answered.
        total: Estimate of how many labels were missing when the audit was drawn.
        low: Where the interval of this number begins.
        high: Where it ends.
        per_class: (C,) the estimate for each class.
        per_class_low: (C,) where the interval of each begins.
        per_class_high: (C,) where it ends.
        found: Missing labels that are found by now, in the audit or in the queue.
        depth: How many cells at the head of the queue the precision is about.
        precision: Estimated share of missing labels among them; None where the audit says nothing.
        precision_low: Where its interval begins.
        precision_high: Where it ends.
    """

    looks: int
    total: float
    low: float
    high: float
    per_class: Floats
    per_class_low: Floats
    per_class_high: Floats
    found: int
    depth: int
    precision: float | None
    precision_low: float
    precision_high: float

    @property
    def recall(self) -> float:
        """The share of the missing labels that are found by now."""
        return min(self.found / self.total, 1.0) if self.total else 1.0

    @property
    def recall_low(self) -> float:
        """Where the interval of the recall begins."""
        return min(self.found / self.high, 1.0) if self.high else 1.0

    @property
    def recall_high(self) -> float:
        """Where it ends."""
        return min(self.found / self.low, 1.0) if self.low else 1.0

    @property
    def sentence(self) -> str:
        """What a person who decides wants to read."""
        if not self.looks:
            return "Nothing of the audit was looked at yet, so that nobody knows what is missing."
        looks = f"by {self.looks:,} random looks"
        if self.high < 0.5:
            return f"No label is missing, {looks}."
        if not self.low and not self.found:
            return f"About none is missing, {self.high:,.0f} labels at most, {looks}."
        return (
            f"About {self.total:,.0f} labels are missing ({self.low:,.0f} to {self.high:,.0f}), "
            f"{looks}; {self.found:,} of them are found ({self.recall:.0%})."
        )


def draw_audit(
    cells: Cells,
    posteriors: Floats,
    classes: int,
    looks: int = 200,
    seed: int = 0,
    *,
    labels: SparseLabels | None = None,
    beneath: Floats | None = None,
) -> Audit:
    """Draw the cells of an audit.

    Args:
        cells: (M,) numbers of the unknown cells of the queue, row times classes plus class, in the
            order of their ranks.
        posteriors: (M,) how probably each is a missed positive.
        classes: Number of classes.
        looks: How many cells to draw.
        seed: Of the draw.
        labels: All labels, if the queue leaves unknown cells out; those are drawn from, too.
        beneath: (C,) sum of the posteriors of what the queue leaves out, by class.
    """
    cells, posteriors = np.asarray(cells, np.int64), np.asarray(posteriors, np.float64)
    if looks < 1:
        raise UsageError(f"An audit takes one look at least, not {looks}.")
    generator = np.random.default_rng(seed)
    strata = np.searchsorted(STRATA, posteriors, side="right")  # 0 is what the queue leaves out
    sizes = np.bincount(strata, minlength=len(STRATA) + 1)
    expected = np.zeros((len(sizes), classes))
    np.add.at(expected, (strata, cells % classes), posteriors)
    if labels is not None:
        sizes[0] = labels.count(0) - len(cells)
        expected[0] = 0 if beneath is None else beneath
    if not sizes.sum():
        raise DataError("There is no unknown cell, so that there is nothing to draw an audit from.")
    shares = _share_out(sizes, expected.sum(1), looks)
    drawn, keys = [], []
    for stratum, count in enumerate(shares):
        if stratum or labels is None:
            members = np.flatnonzero(strata == stratum)
            places = generator.choice(members, count, replace=False)
            chosen = np.stack([cells[places], places + 1])
        else:
            beyond = _draw_beyond(labels, cells, count, generator)
            chosen = np.stack([beyond, np.zeros_like(beyond)])
        drawn.append(np.stack([*chosen, np.full(count, stratum)]))
        # In any first part, strata have their shares as well as whole numbers allow.
        keys.append((np.arange(count) + generator.random()) / max(count, 1))
    found = np.concatenate(drawn, axis=1)[:, np.concatenate(keys).argsort(kind="stable")]
    return Audit(found[0], found[2], found[1], sizes, expected)


def _share_out(sizes: Cells, expected: Floats, looks: int) -> Cells:
    """Give each stratum looks by how many cells it has and how much they leave open."""
    mean = np.clip(expected / np.maximum(sizes, 1), LEAST, 0.95)
    weights = sizes * np.sqrt(mean * (1 - mean))
    shares = np.zeros(len(sizes), np.int64)
    shares[sizes > 0] = 1  # one for each that has cells, if there are looks enough
    if shares.sum() >= looks:
        shares[np.argsort(-weights)[looks:]] = 0
    for _ in range(looks - int(shares.sum())):
        full = shares >= sizes
        if full.all():
            break
        shares[np.argmax(np.where(full, -1.0, weights / (shares + 0.5)))] += 1
    return np.minimum(shares, sizes)


def _draw_beyond(
    labels: SparseLabels, cells: Cells, count: int, generator: np.random.Generator
) -> Cells:
    """Draw unknown cells that are not in the queue, without a list of all cells."""
    if labels.rest:
        listed = np.setdiff1d(labels.number_cells(0), cells)
        return generator.choice(listed, count, replace=False).astype(np.int64)
    taken = np.sort(np.concatenate([labels.number_cells(1), labels.number_cells(-1), cells]))
    drawn = np.zeros(0, np.int64)
    while len(drawn) < count:
        # The k-th cell that is not taken is found without making a list of them.
        free = len(labels) * labels.classes - len(taken)
        places = generator.choice(free, count, replace=False)
        drawn = _skip(taken, places)
    return drawn


def _skip(taken: Cells, places: Cells) -> Cells:
    """Return the numbers at some places among all numbers that are not taken."""
    before = taken - np.arange(len(taken))  # free numbers before each that is taken
    skipped: Cells = places + np.searchsorted(before, places, side="right")
    return skipped


def estimate(
    audit: Audit,
    answers: Mapping[int, bool | None],
    *,
    depth: int = 1000,
    chance: float = 0.9,
) -> AuditResult:
    """Estimate how much is missing.

    The audit counts as far as it was asked without a gap. Answers of the queue to cells that the
    audit has not come to say nothing about others, as nobody drew them; they are counted as found.

    Args:
        audit: What was drawn.
        answers: For each cell that was looked at, by the audit or the queue, whether the class is
            there; None if the person was not sure.
        depth: How many cells at the head of the queue to say the precision of.
        chance: How surely the intervals hold the truth.
    """
    kinds_found = [cell % audit.classes for cell, answer in answers.items() if answer]
    found = np.bincount(np.array(kinds_found, np.int64), minlength=audit.classes)
    said = [answers.get(cell, "open") for cell in audit.cells.tolist()]
    asked = said.index("open") if "open" in said else len(said)
    sure = np.array([answer is not None for answer in said[:asked]], bool)
    present = np.array([answer is True for answer in said[:asked]], bool)[sure]
    strata, kinds = audit.strata[:asked][sure], (audit.cells % audit.classes)[:asked][sure]
    looks = np.bincount(strata, minlength=len(audit.sizes))
    hits = np.zeros((len(audit.sizes), audit.classes))
    np.add.at(hits, (strata, kinds), present)
    total, low, high = bound_total(audit.sizes, looks, hits.sum(1), audit.expected.sum(1), chance)
    each = [
        bound_total(audit.sizes, looks, hits[:, c], audit.expected[:, c], chance)
        for c in range(audit.classes)
    ]
    weights = audit.sizes[strata] / np.maximum(looks[strata], 1)
    ranks = audit.ranks[:asked][sure]
    within = (ranks > 0) & (ranks <= depth)
    precision, least, most = bound_share(present[within], weights[within], chance)
    # What was found is there, whatever the sample says: no figure lies below it.
    per_class, per_low, per_high = np.maximum(np.array(each).T, found)
    total, low, high = (max(value, int(found.sum())) for value in (total, low, high))
    return AuditResult(
        int(sure.sum()), total, low, high,
        per_class, per_low, per_high, int(found.sum()), depth, precision, least, most,
    )  # fmt: skip


def bound_yield(recent: list[bool], looks: int = 100, chance: float = 0.9) -> float:
    """Return how many hits the next looks of the queue will bring at most.

    The queue goes from the best guess down, so that the share of hits among recent looks is, if
    anything, too high for the next ones.

    Args:
        recent: Whether each of the queue's last looks was a hit; a hundred or so.
        looks: How many looks lie ahead.
        chance: How surely it will not be more.
    """
    from scipy.special import bdtr, bdtrik, betaincinv

    count, hits = len(recent), sum(recent)
    if not count:
        return float(looks)
    # Half of what may go wrong is the share, half is luck.
    beyond = (1 - chance) / 2
    share = 1.0 if hits == count else float(betaincinv(hits + 1, count - hits, 1 - beyond))
    if share >= 1:
        return float(looks)
    most = math.ceil(bdtrik(1 - beyond, looks, share))
    return float(most - 1 if most and bdtr(most - 1, looks, share) >= 1 - beyond else most)


def may_stop(recent: list[bool], least: float, looks: int = 100, chance: float = 0.9) -> bool:
    """Whether the next looks will bring fewer hits than somebody wants for her time.

    Args:
        recent: Whether each of the queue's last looks was a hit.
        least: How many hits in so many looks are worth it.
        looks: How many looks lie ahead.
        chance: How surely.
    """
    return bound_yield(recent, looks, chance) < least
