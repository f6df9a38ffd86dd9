"""The audit is right on average, and says how far it may be off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels
from tacit.repair.audit import STRATA, Audit, bound_yield, draw_audit, estimate, may_stop
from tacit.repair.audit_intervals import bound_total


def test_the_total_is_right_on_average_over_all_samples() -> None:
    """Every sample that can be drawn, by enumeration: the mean of the estimates is the truth."""
    truth = [np.array([1, 0, 1, 0, 0]), np.array([0, 0, 1, 0])]
    sizes, looks = np.array([5, 4]), np.array([3, 2])
    totals = [
        bound_total(sizes, looks, np.array([truth[0][list(a)].sum(), truth[1][list(b)].sum()],
                    float), np.array([2.0, 0.5]), 0.9)[0]
        for a in itertools.combinations(range(5), 3)
        for b in itertools.combinations(range(4), 2)
    ]  # fmt: skip
    assert np.mean(totals) == pytest.approx(3)


def test_every_unknown_cell_has_its_probability() -> None:
    labels = np.zeros((10, 3), np.int8)
    labels[:, 0] = 1
    labels[0, 1] = -1
    cells = np.array([5, 8, 11])  # the queue; sixteen unknown cells are beneath it
    drawn = np.zeros(30)
    for seed in range(400):
        audit = draw_audit(
            cells, np.array([0.9, 0.6, 0.3]), 3, 6, seed, labels=SparseLabels.of(labels),
            beneath=np.array([0, 0.1, 0.1]),
        )  # fmt: skip
        assert len(np.unique(audit.cells)) == 6
        assert (labels.ravel()[audit.cells] == 0).all()
        drawn[audit.cells] += 1
    assert audit.sizes.sum() == 19 and (audit.ranks[audit.strata == 0] == 0).all()
    beneath = np.setdiff1d(np.flatnonzero(labels.ravel() == 0), cells)
    assert (drawn[cells] == 400).all()  # each has a stratum of its own, and was drawn for sure
    assert drawn[beneath] / 400 == pytest.approx(np.full(16, 3 / 16), abs=0.08)
    assert audit.probabilities[audit.strata == 0] == pytest.approx(3 / 16)
    assert Audit.from_dict(audit.to_dict()).cells.tolist() == audit.cells.tolist()


def half_more(posteriors: np.ndarray) -> np.ndarray:
    return 1.5 * posteriors


def three_times(posteriors: np.ndarray) -> np.ndarray:
    return 3 * posteriors


def more_below(posteriors: np.ndarray) -> np.ndarray:
    """Too low where they are lowest, as posteriors of photographs are."""
    return posteriors + 0.01


def too_flat(posteriors: np.ndarray) -> np.ndarray:
    return 0.5 * posteriors**0.6


@pytest.mark.parametrize("looks", [200, 500])
@pytest.mark.parametrize("cells", [6_000, 120_000])
@pytest.mark.parametrize("shares", [half_more, three_times, more_below, too_flat])
def test_intervals_hold_the_truth(
    shares: Callable[[np.ndarray], np.ndarray], cells: int, looks: int
) -> None:
    """Of 400 audits with posteriors that are wrong, 87 % hold or more: 90 %, but for chance."""
    generator = np.random.default_rng(0)
    posteriors = generator.beta(0.15, 1.5, cells)
    truth = generator.random(cells) < np.clip(shares(posteriors), 0, 0.97)
    audit = draw_audit(np.arange(cells), posteriors, 1, looks)
    strata = np.searchsorted(STRATA, posteriors, side="right")
    missing = np.bincount(strata, truth, minlength=len(audit.sizes)).astype(int)
    drawn = np.bincount(audit.strata, minlength=len(audit.sizes))
    hits = generator.hypergeometric(missing, audit.sizes - missing, drawn, (400, len(drawn)))
    expected = audit.expected.sum(1)
    ends = [bound_total(audit.sizes, drawn, row.astype(float), expected, 0.9) for row in hits]
    held = np.mean([low <= truth.sum() <= high for _, low, high in ends])
    assert held >= 0.87


def test_what_was_not_asked_yet_counts_for_nothing() -> None:
    audit = draw_audit(np.arange(1000), np.full(1000, 0.3), 2, 100, 3)
    first = {int(cell): False for cell in audit.cells[:50]}
    alone = estimate(audit, first)
    # Answers of the queue beyond the gap are not drawn, and say nothing of other cells.
    queue = {int(cell): True for cell in audit.cells[60:]}
    both = estimate(audit, {**first, **queue})
    assert (alone.looks, both.looks) == (50, 50) and alone.total == 0
    # What it found is there, though, and no figure says less.
    assert both.found == both.total == both.low == both.per_class.sum() == 40 <= both.high
    unsure = estimate(audit, {**first, int(audit.cells[0]): None})
    assert unsure.looks == 49


def test_the_sentence_says_about_none() -> None:
    audit = draw_audit(np.arange(1000), np.full(1000, 0.01), 2, 200, 3)
    found = estimate(audit, {int(cell): False for cell in audit.cells})
    assert found.sentence.startswith("About none is missing")
    assert 5 < found.high < 30  # of a thousand; three in two hundred would be seen nearly surely
    assert "Nothing of the audit" in estimate(audit, {}).sentence


def test_precision_is_about_the_head_of_the_queue() -> None:
    posteriors = np.linspace(0.99, 0.001, 4000)
    truth = np.arange(4000) % 4000 < 700
    audit = draw_audit(np.arange(4000), posteriors, 4, 400, 1)
    found = estimate(audit, {int(c): bool(truth[c]) for c in audit.cells}, depth=1000)
    assert found.precision is not None
    assert found.precision_low <= 0.7 <= found.precision_high
    assert found.precision_high - found.precision_low < 0.4
    assert found.per_class.sum() == pytest.approx(found.total)


def test_the_yield_is_bounded_and_ends_the_looking() -> None:
    assert bound_yield([]) == 100
    assert bound_yield([False] * 300) <= 3 < bound_yield([True] * 10 + [False] * 90)
    assert may_stop([False] * 300, 5) and not may_stop([True] * 50 + [False] * 50, 5)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="one look"):
        draw_audit(np.arange(3), np.ones(3) / 2, 3, 0)
    with pytest.raises(DataError, match="no unknown cell"):
        draw_audit(np.zeros(0, np.int64), np.zeros(0), 3, 5)
    audit = draw_audit(np.arange(3), np.ones(3) / 2, 3, 2)
    with pytest.raises(DataError, match="newer"):
        Audit.from_dict({**audit.to_dict(), "format": 9})


@pytest.mark.parametrize(
    "change",
    [
        {"cells": [0, 1]},
        {"cells": [0, 0, 2]},
        {"cells": [0, -1, 2]},
        {"cells": [[0], [1], [2]]},
        {"strata": [0, 1, 2]},
        {"strata": [0, -1, 1]},
        {"sizes": [0, 3]},
        {"ranks": [1, 2, -3]},
        {"expected": [[0.5, 0.5]]},
        {"expected": [0.5, 0.5]},
        {"expected": [[0.5, float("nan")], [0, 0]]},
    ],
)
def test_what_no_draw_can_have_been_is_no_audit(change: dict[str, Any]) -> None:
    whole = {"format": 1, "cells": [0, 1, 2], "strata": [0, 1, 1], "ranks": [0, 1, 2]}
    whole |= {"sizes": [4, 2], "expected": [[0.5, 0.5], [1.0, 0.0]]}
    assert Audit.from_dict(whole).probabilities.tolist() == [0.25, 1, 1]
    with pytest.raises(ValueError, match="."):
        Audit.from_dict(whole | change)
