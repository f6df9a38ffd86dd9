"""Sparse labels say what the array says, in less memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tacit.labels import SparseLabels


def draw(rows: int, classes: int, seed: int, shares: tuple[float, float, float]) -> np.ndarray:
    states = np.array([-1, 0, 1], dtype=np.int8)
    return np.random.default_rng(seed).choice(states, (rows, classes), p=shares)


ARRAYS = [
    draw(7, 5, 0, (0.1, 0.8, 0.1)),
    draw(7, 5, 1, (0.8, 0.1, 0.1)),
    draw(1, 3, 2, (0.3, 0.4, 0.3)),
    np.zeros((4, 3), dtype=np.int8),
    np.full((4, 3), -1, dtype=np.int8),
    np.zeros((0, 3), dtype=np.int8),
]


@pytest.mark.parametrize("array", ARRAYS)
def test_the_array_comes_back(array: np.ndarray) -> None:
    labels = SparseLabels.of(array)
    assert labels.shape == array.shape and len(labels) == len(array)
    assert np.array_equal(labels.dense(), array)
    assert np.array_equal(np.asarray(labels), array)
    assert labels.dense().dtype == np.int8


@pytest.mark.parametrize("array", ARRAYS)
def test_counts_are_those_of_the_array(array: np.ndarray) -> None:
    labels = SparseLabels.of(array)
    for state in (1, 0, -1):
        assert np.array_equal(labels.per_image(state), (array == state).sum(1))
        assert np.array_equal(labels.per_class(state), (array == state).sum(0))
        assert labels.count(state) == (array == state).sum()
    listed = [np.flatnonzero(row == 1).tolist() for row in array]
    assert [row.tolist() for row in labels.positives()] == listed


def test_rows_are_chosen_as_of_an_array() -> None:
    array = ARRAYS[0]
    labels = SparseLabels.of(array)
    for rows in (np.array([3, 3, 0]), [1, 2], slice(2, 5), np.array([], dtype=int), -1, 4):
        assert np.array_equal(labels[rows], array[rows])
    assert labels.take(np.array([])).shape == (0, array.shape[1])
    again = labels.take(np.array([6, 0, 6]))
    assert np.array_equal(again.dense(), array[[6, 0, 6]])


def test_cells_come_in_any_order_and_may_repeat() -> None:
    labels = SparseLabels.from_cells([1, 0, 1, 1], [2, 1, 0, 2], [1, -1, 1, 1], (3, 4))
    expected = np.zeros((3, 4), dtype=np.int8)
    expected[1, [0, 2]], expected[0, 1] = 1, -1
    assert np.array_equal(labels.dense(), expected)
    assert len(labels.states) == 3
    none = SparseLabels.from_cells([], [], [], (2, 3), rest=-1)
    assert np.array_equal(none.dense(), np.full((2, 3), -1))


def test_labels_are_stacked_if_they_mean_the_same() -> None:
    one, other = SparseLabels.of(ARRAYS[0]), SparseLabels.of(ARRAYS[0][::-1].copy())
    both = SparseLabels.stack([one, other])
    assert np.array_equal(both.dense(), np.concatenate([ARRAYS[0], ARRAYS[0][::-1]]))
    narrow = SparseLabels.of(ARRAYS[0][:, :-1].copy())
    full = SparseLabels.from_present([], [], one.shape)
    open_labels = SparseLabels.from_cells([], [], [], one.shape)
    for parts in ([one, narrow], [full, open_labels]):
        with pytest.raises(ValueError, match="differ in their classes or in what is not listed"):
            SparseLabels.stack(parts)


def test_what_is_not_listed_is_unknown_unless_said() -> None:
    cells = np.array([0, 1]), np.array([1], dtype=np.int32), np.array([1], dtype=np.int8)
    assert SparseLabels(*cells, classes=3).dense().tolist() == [[0, 1, 0]]


def test_a_cell_with_two_states_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells have two states, first row 1, class 2"):
        SparseLabels.from_cells([1, 0, 1], [2, 1, 2], [1, 1, -1], (3, 4))


@pytest.mark.parametrize("array", ARRAYS)
def test_cells_are_numbered_row_by_row_and_may_get_other_states(array: np.ndarray) -> None:
    labels = SparseLabels.of(array)
    for state in {1, 0, -1} - {labels.rest}:
        assert np.array_equal(labels.number_cells(state), np.flatnonzero(array == state))
    cells = np.unique(np.linspace(0, max(array.size - 1, 0), 3).astype(np.int64))[: array.size]
    states = np.array([-1, 0, 1])[: len(cells)]
    expected = array.copy()
    expected.reshape(-1)[cells] = states
    changed = labels.with_cells(cells, states)
    assert np.array_equal(changed.dense(), expected)
    assert changed.equals(SparseLabels.of(expected)) and np.array_equal(labels.dense(), array)


def test_equal_labels_are_equal_however_they_are_stored() -> None:
    array = ARRAYS[1]
    one = SparseLabels.of(array)
    rows, columns = np.indices(array.shape)
    other = SparseLabels.from_cells(rows.ravel(), columns.ravel(), array.ravel(), array.shape)
    assert (one.rest, other.rest) == (-1, 0)
    assert one.equals(other) and one.to_bytes() == other.to_bytes()
    changed = array.copy()
    changed[2, 2] = 1 if changed[2, 2] != 1 else 0
    assert not one.equals(SparseLabels.of(changed))
    assert one.to_bytes() != SparseLabels.of(changed).to_bytes()
    assert not one.equals(SparseLabels.of(array[:-1]))


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3)), np.full((2, 3), 2, dtype=np.int8), np.zeros(3, dtype=np.int8)]
)
def test_what_is_no_label_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="int8"):
        SparseLabels.of(wrong)


def test_memory_grows_with_what_is_known() -> None:
    rows = np.arange(100_000)
    tracemalloc.start()
    labels = SparseLabels.from_cells(rows, rows % 500, np.ones_like(rows), (100_000, 500))
    batch = labels[rows[:64]]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch.shape == (64, 500)
    assert peak < 100_000 * 500 / 4  # the array alone takes a byte for each cell


def test_labels_are_compared_by_what_they_are_and_not_cell_by_cell() -> None:
    """As keys and in `in`, two of them are one only if they are the same object."""
    one, other = (SparseLabels.of(np.eye(2, dtype=np.int8)) for _ in range(2))
    assert one == one and one != other and one.equals(other)
    assert len({one, other}) == 2
