"""Draws of observed labels by annotators with habits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tacit.data.listing import Boxes, Listing
from tacit.data.observe import WAYS, draw_observed, observe
from tacit.data.prepared import read_prepared, write_prepared
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels

ROWS, CLASSES = 4000, 5


def make(boxes: bool = True, parts: bool = False) -> Listing:
    """Classes of falling frequency; the area of class c is (c + 1) times a common factor."""
    generator = np.random.default_rng(0)
    present = generator.random((ROWS, CLASSES)) < np.array([0.8, 0.6, 0.4, 0.2, 0.1])
    rows, columns = np.nonzero(present)
    sides = np.sqrt(columns + 1.0)
    corners = np.stack([np.zeros_like(sides), np.zeros_like(sides), sides, sides], 1)
    there = Boxes(rows, columns.astype(np.int32), corners.astype(np.float32))
    return Listing(
        "made",
        Path(),
        [f"{row}.jpg" for row in range(ROWS)],
        tuple("abcde"),
        SparseLabels.of(np.where(present, 1, -1).astype(np.int8)),
        ["train" if row % 2 else "test" for row in range(ROWS)] if parts else (),
        there if boxes else None,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("positives", "negatives"), [(1, 0), (2, 1), (-1, -1)])
def test_as_many_are_kept_as_asked_for_and_all_are_true(
    way: str, positives: int, negatives: int
) -> None:
    listing = make()
    observed, truth = observe(listing, way, positives, negatives).dense(), listing.labels.dense()
    for state, keep in ((1, positives), (-1, negatives)):
        there = (truth == state).sum(1)
        expected = there if keep == -1 else np.minimum(there, keep)
        assert np.array_equal((observed == state).sum(1), expected)
    assert np.array_equal(observed[observed != 0], truth[observed != 0])


def test_uniform_is_the_literatures_draw_part_by_part() -> None:
    listing = make(parts=True)
    observed = observe(listing, "uniform", 1, 2, seed=5)
    for rows in listing.rows_by_split():
        assert observed.take(rows).equals(draw_observed(listing.labels.take(rows), 1, 2, seed=5))


@pytest.mark.parametrize("way", WAYS)
def test_a_draw_is_repeatable_and_depends_on_its_seed(way: str) -> None:
    listing = make()
    assert observe(listing, way).equals(observe(listing, way))
    assert observe(listing, way).equals(observe(listing, way, seed=1)) == (way == "salient")


def test_salient_names_the_largest() -> None:
    listing = make()
    observed, truth = observe(listing, "salient").dense(), listing.labels.dense()
    last = CLASSES - 1 - (truth[:, ::-1] == 1).argmax(1)  # the area grows with the class
    shown = (truth == 1).any(1)
    assert np.array_equal(observed.argmax(1)[shown], last[shown])


@pytest.mark.parametrize(
    ("way", "odds"),
    [("uniform", [1, 1, 1, 1, 1]), ("area", [1, 2, 3, 4, 5]), ("frequent", [8, 6, 4, 2, 1])],
)
def test_chances_are_those_of_the_weights(way: str, odds: list[int]) -> None:
    """Where exactly two classes are present, how often the second is named."""
    listing = make()
    observed, truth = observe(listing, way).dense(), listing.labels.dense()
    for one, two in ((0, 1), (0, 2), (1, 2)):
        pairs = ((truth == 1).sum(1) == 2) & (truth[:, one] == 1) & (truth[:, two] == 1)
        share = (observed[pairs][:, two] == 1).mean()
        expected = odds[two] / (odds[one] + odds[two])
        assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs.sum())


def test_balanced_knows_the_same_share_of_every_class_as_far_as_it_can() -> None:
    listing = make()
    true = listing.labels.per_class(1)
    spreads = {w: np.ptp(observe(listing, w).per_class(1) / true) for w in ("uniform", "balanced")}
    assert spreads["balanced"] < spreads["uniform"] / 10


def test_a_positive_without_a_box_can_be_drawn_and_one_cell_may_have_several() -> None:
    labels = SparseLabels.of(np.array([[1, 1, -1], [1, -1, -1], [-1, 1, 1]], dtype=np.int8))
    corners = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 3, 3]], dtype=np.float32)
    boxes = Boxes(np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2], dtype=np.int32), corners)
    listing = Listing("few", Path(), ["1", "2", "3"], ("a", "b", "c"), labels, boxes=boxes)
    assert observe(listing, "salient").dense().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert observe(listing, "area").per_image(1).tolist() == [1, 1, 1]


def test_an_area_is_width_times_height_of_what_is_not_turned_over() -> None:
    """A long flat box, a square one and a high one; a box whose corners are exchanged has none."""
    corners = [[5, 1, 15, 2], [0, 0, 3, 3], [7, 2, 8, 10], [20, 20, 0, 0]]  # 10, 9, 8 and 0
    for order in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]):
        boxes = Boxes(
            np.zeros(4, dtype=np.int64),
            np.argsort(order).astype(np.int32),
            np.array(corners, dtype=np.float32),
        )
        labels = SparseLabels.of(np.ones((1, 4), dtype=np.int8))
        listing = Listing("one", Path(), ["1"], tuple("abcd"), labels, boxes=boxes)
        for keep in (1, 2, 3):
            drawn = observe(listing, "salient", keep).dense()[0]
            largest = np.argsort(order)[:keep].tolist()
            assert np.flatnonzero(drawn == 1).tolist() == sorted(largest)


def test_of_classes_as_large_as_each_other_the_first_is_salient() -> None:
    classes = 60
    corners = np.tile(np.array([0, 0, 2, 3], dtype=np.float32), (classes, 1))
    boxes = Boxes(np.zeros(classes, dtype=np.int64), np.arange(classes, dtype=np.int32), corners)
    labels = SparseLabels.of(np.ones((1, classes), dtype=np.int8))
    names = tuple(f"{number:02}" for number in range(classes))
    listing = Listing("one", Path(), ["1"], names, labels, boxes=boxes)
    for keep in (1, 7):
        drawn = np.flatnonzero(observe(listing, "salient", keep).dense()[0] == 1)
        assert drawn.tolist() == list(range(keep))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(DataError, match="has no boxes, and 'area'"):
        observe(make(boxes=False), "area")
    with pytest.raises(UsageError, match="did you mean 'salient'"):
        observe(make(), "salien")
    with pytest.raises(UsageError, match="-1 for all"):
        observe(make(), positives=-2)
    gaps = SparseLabels.of(np.array([[1, 0], [0, 1]], dtype=np.int8))
    with pytest.raises(DataError, match="leaves 2 cells unknown.*--absent negative"):
        observe(Listing("gaps", Path(), ["1", "2"], ("a", "b"), gaps))


def test_boxes_survive_being_prepared(tmp_path: Path) -> None:
    listing = make()
    write_prepared(tmp_path / "out", listing, {})
    read = read_prepared(tmp_path / "out")
    assert read.boxes is not None and listing.boxes is not None
    assert [read.boxes.of(row) for row in range(20)] == [listing.boxes.of(row) for row in range(20)]
