"""The draw of observed labels: the literature's, cell for cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tacit.data import observe
from tacit.data.observe import drop_missed, label_all
from tacit.labels import SparseLabels

TRUTH = np.array(
    [
        [1, 1, 0, 0, 1],
        [0, 1, 1, 1, 0],
        [1, 0, 0, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 0, 1, 0, 1],
        [1, 1, 1, 0, 0],
        [0, 1, 0, 1, 1],
        [0, 0, 0, 0, 0],
    ],
    dtype=np.int8,
)
FULL = np.where(TRUTH == 1, 1, -1).astype(np.int8)
# The class drawn for each row with seed 1200, -1 where there is none. Computed by an independent
# implementation; the released script that prepares the literature's data gives the same.
DRAWN = [0, 1, 3, 0, 4, 2, 3, -1]
# The same if the negatives, of which none is kept, were not shuffled: different from row 1 on.
DRAWN_WITHOUT_NEGATIVES = [0, 2, 0, 3, 2, 1, 4, -1]


def draw_observed(truth: NDArray[np.int8], *options: int, **named: int) -> NDArray[np.int8]:
    return observe.draw_observed(SparseLabels.of(truth), *options, **named).dense()


def one_each(classes: list[int]) -> list[list[int]]:
    return [[int(label == drawn) for label in range(5)] for drawn in classes]


def random_truth(rows: int = 300, classes: int = 7) -> NDArray[np.int8]:
    present = np.random.default_rng(0).random((rows, classes)) < 0.3
    return np.where(present, 1, -1).astype(np.int8)


def test_the_draw_is_the_literatures() -> None:
    observed = draw_observed(FULL)
    assert observed.dtype == np.int8
    assert observed.tolist() == one_each(DRAWN)


def test_cells_the_truth_leaves_open_are_never_drawn() -> None:
    truth = FULL.copy()
    truth[:, 1] = 0
    observed = draw_observed(truth, 2, 2)
    assert (observed[:, 1] == 0).all() and (observed[:, 0] != 0).any()


def test_another_generator_would_draw_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    modern = np.random.default_rng(1200)
    monkeypatch.setattr(np.random, "RandomState", lambda seed: modern)
    assert draw_observed(FULL).tolist() != one_each(DRAWN)


def test_the_negatives_move_the_generator_on_though_none_is_kept() -> None:
    generator = np.random.RandomState(1200)
    drawn = []
    for row in TRUTH:
        cells = np.flatnonzero(row == 1)
        generator.shuffle(cells)
        drawn.append(int(cells[0]) if len(cells) else -1)
    assert drawn == DRAWN_WITHOUT_NEGATIVES
    assert draw_observed(FULL).tolist() != one_each(drawn)


@pytest.mark.parametrize("positives", [0, 1, 2, -1])
@pytest.mark.parametrize("negatives", [0, 1, 3, -1])
def test_as_many_labels_are_kept_as_asked_for(positives: int, negatives: int) -> None:
    truth = random_truth()
    observed = draw_observed(truth, positives, negatives)
    for state, keep in ((1, positives), (-1, negatives)):
        there = (truth == state).sum(1)
        expected = there if keep == -1 else np.minimum(there, keep)
        assert np.array_equal((observed == state).sum(1), expected)
    assert np.array_equal(observed[observed != 0], truth[observed != 0])


def test_more_labels_of_a_kind_contain_the_fewer() -> None:
    truth = random_truth()
    one, two = draw_observed(truth, 1), draw_observed(truth, 2, 3)
    assert (two[one == 1] == 1).all()


@pytest.mark.parametrize("options", [{"seed": 1201}, {"positives": 2}, {"negatives": 1}])
def test_every_option_counts(options: dict[str, Any]) -> None:
    truth = random_truth()
    assert not np.array_equal(draw_observed(truth), draw_observed(truth, **options))


def test_the_draw_leaves_its_surroundings_alone() -> None:
    truth = random_truth()
    before, state = truth.copy(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    first = draw_observed(truth)
    assert np.array_equal(truth, before)
    assert np.array_equal(np.random.get_state()[1], state)
    assert np.array_equal(draw_observed(truth), first)


def test_full_labels_leave_nothing_unknown() -> None:
    full = label_all(TRUTH)
    assert full.rest == -1 and len(full.states) == TRUTH.sum()
    assert np.array_equal(full.dense(), FULL)


@pytest.mark.parametrize("open_cells", [False, True])
def test_only_the_missed_positives_stay_unknown(open_cells: bool) -> None:
    truth = random_truth()
    if open_cells:
        truth[::3, 2] = 0
    observed = draw_observed(truth)
    expected = np.where(truth == 1, observed, truth)
    bound = drop_missed(SparseLabels.of(truth), SparseLabels.of(observed))
    assert np.array_equal(bound.dense(), expected)
