"""What follows from known labels: implied, excluded and ruled-out classes."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.data.knowledge.rules import SideInformation, complete
from tacit.labels import Dense, SparseLabels

# 0 poodle > 1 dog > 2 animal; 3 cat > 2 animal; dog and cat exclude each other; 4 stands alone.
SIDE = SideInformation(
    implications=((0, 1), (0, 2), (1, 2), (3, 2)),
    exclusions=((1, 3),),
)


def completed(
    rows: list[list[int]], side: SideInformation = SIDE
) -> tuple[list[list[int]], list[list[int]]]:
    labels = SparseLabels.of(np.array(rows, dtype=np.int8))
    done = complete(labels, side)
    return done.labels.dense().tolist(), np.stack(done.contradictions, axis=1).tolist()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 0, 0, 0, 0], [1, 1, 1, -1, 0]),  # a poodle is a dog, an animal, and no cat
        ([0, 0, 0, 1, 0], [-1, -1, 1, 1, 0]),  # a cat is no dog, hence no poodle
        ([0, 0, -1, 0, 0], [-1, -1, -1, -1, 0]),  # no animal, nothing of them
        ([0, -1, 0, 0, 1], [-1, -1, 0, 0, 1]),  # no dog says nothing about animals
        ([0, 0, 1, 0, 0], [0, 0, 1, 0, 0]),  # nor does an animal about dogs
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    ],
)
def test_what_follows_is_added(given: list[int], expected: list[int]) -> None:
    assert completed([given]) == ([expected], [])
    assert completed([expected]) == ([expected], [])  # and nothing follows from that


@pytest.mark.parametrize(
    ("given", "expected", "cells"),
    [
        ([0, 1, -1, 0, 0], [-1, 1, -1, -1, 0], [1, 2]),
        ([0, 1, 0, 1, 0], [-1, 1, 1, 1, 0], [1, 3]),
    ],
    ids=["a dog that is no animal", "a dog and a cat"],
)
def test_what_was_given_stays_and_contradictions_are_told(
    given: list[int], expected: list[int], cells: list[int]
) -> None:
    labels, contradictions = completed([[0] * 5, given])
    assert labels == [[0] * 5, expected]
    assert {column for row, column in contradictions if row == 1} >= set(cells)
    assert {row for row, _ in contradictions} == {1}


def test_classes_ruled_out_are_absent_with_all_that_imply_them() -> None:
    barred = SparseLabels.from_cells([0, 1], [1, 1], [-1, -1], (2, 5))
    side = SideInformation(implications=SIDE.implications, ruled_out=barred)
    rows, contradictions = completed([[0] * 5, [0, 1, 0, 0, 0]], side)
    assert rows == [[-1, -1, 0, 0, 0], [-1, 1, 1, 0, 0]] and contradictions == [[1, 1]]
    assert side.take(np.array([1])).describe() == {"implications": 4, "labels ruled out": 1}


def test_where_absence_needs_no_cell_an_implied_class_is_present_all_the_same() -> None:
    labels = SparseLabels.from_cells([0, 1, 1], [0, 3, 1], [1, 1, 0], (2, 5), rest=-1)
    done = complete(labels, SIDE)
    assert done.labels.dense().tolist() == [[1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]]
    assert (done.positives, done.negatives, len(done.contradictions[0])) == (3, 1, 0)
    assert done.labels.rest == -1 and len(done.labels.columns) == 5


def closure(row: Dense) -> tuple[set[int], set[int]]:
    """What is there and what is not, rule by rule until nothing new follows."""
    there, absent = set(np.flatnonzero(row == 1)), set(np.flatnonzero(row == -1))
    while True:
        more = {p for c, p in SIDE.implications if c in there}
        for exclusive in SIDE.exclusions:
            present = there & set(exclusive)
            absent |= {o for name in present for o in exclusive if o != name}
        less = {c for c, p in SIDE.implications if p in absent}
        if more <= there and less <= absent:
            return there, absent
        there, absent = there | more, absent | less


def test_rules_one_by_one_say_the_same() -> None:
    rng = np.random.default_rng(0)
    rows = rng.choice(np.array([-1, 0, 1], dtype=np.int8), (400, 5), p=[0.15, 0.65, 0.2])
    done = complete(SparseLabels.of(rows), SIDE)
    contradicting = set(done.contradictions[0].tolist())
    clean = 0
    for number, (before, after) in enumerate(zip(rows, done.labels.dense(), strict=True)):
        there, absent = closure(before)
        assert (number in contradicting) == bool(there & absent)
        assert (after[before != 0] == before[before != 0]).all()
        if number not in contradicting:
            clean += 1
            assert set(np.flatnonzero(after == 1)) == there
            assert set(np.flatnonzero(after == -1)) == absent
    assert 100 < clean < 400
    added = done.labels.count(1) - int((rows == 1).sum())
    assert added == done.positives and done.labels.count(-1) - (rows == -1).sum() == done.negatives


def test_no_labels_and_no_rules_are_nothing_special() -> None:
    assert completed([[0] * 5, [0] * 5]) == ([[0] * 5, [0] * 5], [])
    assert completed([[1, -1, 0, 0, 1]], SideInformation()) == ([[1, -1, 0, 0, 1]], [])
