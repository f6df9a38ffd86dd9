"""Labels cost what is known: not more for more images to a batch, not more for more classes."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from tacit.data.observe import draw_observed
from tacit.labels import SparseLabels

FEW, MANY, CLASSES, BATCH = 1_000, 2_000_000, 20, 64


def one_positive_each(images: int) -> SparseLabels:
    """Return labels without sorting them, so that making them takes no time."""
    columns = (np.arange(images) % CLASSES).astype(np.int32)
    states = np.ones(images, dtype=np.int8)
    return SparseLabels(np.arange(images + 1), columns, states, CLASSES)


def cost(labels: SparseLabels, rows: np.ndarray | int) -> float:
    """Return the processor time of the fastest of many look-ups."""
    spent = []
    for _ in range(50):
        started = time.process_time_ns()
        labels[rows]
        spent.append(time.process_time_ns() - started)
    return min(spent)


@pytest.mark.parametrize("kind", ["one row", "a batch"])
def test_a_look_up_does_not_look_at_all_images(kind: str) -> None:
    costs = []
    for images in (FEW, MANY):
        rows = np.random.default_rng(0).integers(0, images, BATCH)
        costs.append(cost(one_positive_each(images), int(rows[0]) if kind == "one row" else rows))
    assert costs[1] <= 8 * costs[0], f"{costs[0] / 1e3:.0f} and {costs[1] / 1e3:.0f} microseconds"


@pytest.mark.parametrize(
    "rows",
    [
        [3, 0, 3, -1],
        np.array([-6, 5]),
        [],
        slice(1, 5, 2),
        slice(None, None, -1),
        np.array([True, False, False, True, True, False]),
        range(2, 4),
    ],
    ids=str,
)
def test_rows_are_chosen_as_of_an_array(rows: object) -> None:
    dense = np.random.default_rng(0).integers(-1, 2, (6, 4)).astype(np.int8)
    labels, expected = (
        SparseLabels.of(dense),
        dense[list(rows) if isinstance(rows, range) else rows],
    )  # type: ignore[index]
    assert np.array_equal(labels[rows], expected)  # type: ignore[index]
    assert np.array_equal(labels.take(rows).dense(), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [6, -7, [0, 6], [-7]])
def test_a_row_that_does_not_exist_is_an_error(rows: int | list[int]) -> None:
    labels = SparseLabels.of(np.zeros((6, 4), dtype=np.int8))
    with pytest.raises(IndexError):
        labels[rows]


def test_drawing_labels_keeps_no_memory_for_every_class_of_every_image() -> None:
    images, classes = 1_000, 3_000
    rows = np.arange(images)
    truth = SparseLabels.from_cells(rows, rows % classes, np.ones(images), (images, classes), -1)
    tracemalloc.start()
    try:
        draw_observed(truth, 1, 1)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < images * classes, f"{most:,} bytes for {images * classes:,} cells"
