"""Setting validation images aside: the literature's split, row for row."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark_copies import touch_image
from tacit.config import DataConfig
from tacit.data.splits import load_splits, split_rows
from tacit.errors import DataError, TacitError

# For sizes of the literature's data sets: the first validation rows, the first training rows, the
# number of validation rows, and the MD5 of all validation rows as 64-bit integers. Computed by an
# independent implementation; the functions released with the literature give the same.
REFERENCES = {
    10: ([3, 7], [0, 1, 2, 4, 5, 6, 8, 9], 2, "fc949f662306fb521889affc6f67dfd6"),
    5717: (
        [5, 6, 11, 15, 22, 23, 29, 34],
        [0, 1, 2, 3, 4, 7, 8, 9],
        1143,
        "fdbee06d3ab7b4ea6043b7fc925a270b",
    ),
    5994: (
        [5, 6, 11, 15, 22, 23, 29, 34],
        [0, 1, 2, 3, 4, 7, 8, 9],
        1199,
        "e0bc8fd7aa7e6fe1e6f35a1e7718e50c",
    ),
    82081: (
        [3, 4, 34, 37, 48, 64, 69, 76],
        [0, 1, 2, 5, 6, 7, 8, 9],
        16416,
        "f30c9d7ad03af33500cfaeb1698480cd",
    ),
    126034: (
        [3, 4, 34, 37, 48, 64, 69, 76],
        [0, 1, 2, 5, 6, 7, 8, 9],
        25207,
        "c2acdef227c42bf0750161d889ef66bf",
    ),
    150000: (
        [2, 4, 5, 7, 9, 11, 12, 19],
        [0, 1, 3, 6, 8, 10, 13, 14],
        30000,
        "9531e2bbe8141571e89a4bf9db307c25",
    ),
}


@pytest.mark.parametrize("count", REFERENCES)
def test_the_split_is_the_literatures(count: int) -> None:
    first_held_out, first_kept, size, digest = REFERENCES[count]
    kept, held_out = split_rows(count)
    assert (len(kept), len(held_out)) == (count - size, size)
    assert held_out[:8].tolist() == first_held_out
    assert kept[:8].tolist() == first_kept
    assert hashlib.md5(held_out.astype("<i8").tobytes()).hexdigest() == digest


@pytest.mark.parametrize("count", [0, 1, 7, 100, 1001])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_every_row_is_on_one_side_in_order(count: int, share: float) -> None:
    kept, held_out = split_rows(count, share)
    assert sorted([*kept, *held_out]) == list(range(count))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()


# Worked by hand: halves go to the even neighbour.
@pytest.mark.parametrize(("count", "expected"), [(5, 2), (15, 8), (25, 12), (35, 18)])
def test_halves_are_rounded_to_even(count: int, expected: int) -> None:
    assert len(split_rows(count, 0.5)[1]) == expected


def test_nothing_may_be_set_aside() -> None:
    kept, held_out = split_rows(10, 0.0)
    assert (len(kept), len(held_out)) == (10, 0)


@pytest.mark.parametrize("options", [{"seed": 1201}, {"validation": 0.3}])
def test_every_option_counts(options: dict[str, Any]) -> None:
    assert split_rows(1000)[1].tolist() != split_rows(1000, **options)[1].tolist()


def test_another_generator_would_split_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    modern = np.random.default_rng(1200)
    monkeypatch.setattr(np.random, "RandomState", lambda seed: modern)
    assert split_rows(5717)[1][:8].tolist() != REFERENCES[5717][0]


def test_groups_of_one_are_split_like_rows() -> None:
    rows = np.random.default_rng(0).permutation(1000)
    for by_group, by_row in zip(
        split_rows(1000, groups=np.arange(1000)), split_rows(1000), strict=True
    ):
        assert by_group.tolist() == by_row.tolist()
    kept, held_out = split_rows(1000, groups=rows)
    assert len(held_out) == 200 and sorted([*kept, *held_out]) == list(range(1000))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_divided_and_the_share_is_met_nearly(seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 60, 900)
    kept, held_out = split_rows(900, 0.2, seed, groups)
    assert not set(groups[kept]) & set(groups[held_out])
    assert sorted([*kept, *held_out]) == list(range(900))
    assert abs(len(held_out) - 180) <= np.bincount(groups).max() / 2


def test_a_group_that_comes_no_nearer_stays_in_training() -> None:
    """Two rows are wanted; a group of four misses them by as much as no group does."""
    kept, held_out = split_rows(12, 1 / 6, groups=np.arange(12) // 4)
    assert len(held_out) == 0 and kept.tolist() == list(range(12))
    assert len(split_rows(12, 0.25, groups=np.arange(12) // 4)[1]) == 4  # three: missed by one


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("scnes", "did you mean 'scenes'"), ("no/such.csv", r"There is nothing at no/such\.csv")],
)
def test_data_that_nobody_knows_is_refused_by_its_name(name: str, sentence: str) -> None:
    with pytest.raises(TacitError, match=sentence):
        load_splits(DataConfig(name=name))


def test_parts_of_a_table_are_the_parts_of_the_data(tmp_path: Path) -> None:
    parts = {"train": 6, "val": 3, "test": 2}
    names = [part for part, count in parts.items() for _ in range(count)]
    rows = [f"{row}.jpg,{'ab'[row % 2]},{part}" for row, part in enumerate(names)]
    for row in range(len(rows)):
        touch_image(tmp_path / f"{row}.jpg")
    path = tmp_path / "it.csv"
    path.write_text("\n".join(["file,labels,split", *rows]) + "\n")
    found = load_splits(DataConfig(name=str(path)))
    assert [len(found.train), len(found.validation), len(found.test)] == [6, 3, 2]
    assert found.validation.labels.dense().tolist() == [[1, 0], [0, 1], [1, 0]]
    assert found.train.labels.per_image(1).tolist() == [1] * 6
    # Without a part for validation a share of the training images is set aside.
    path.write_text("\n".join(["file,labels,split", *(row for row in rows if "val" not in row)]))
    found = load_splits(DataConfig(name=str(path), validation=0.5))
    assert [len(found.train), len(found.validation), len(found.test)] == [3, 3, 2]
    with pytest.raises(DataError, match=r"6 training images; setting 1% aside for validation le"):
        load_splits(DataConfig(name=str(path), validation=0.01))


SCENES = {"name": "scenes", "options": {"images": 40, "test_images": 8}}


@pytest.mark.parametrize("kind", [None, "clean", "observed"])
def test_validation_labels_are_the_truth_or_what_was_observed(kind: Any) -> None:
    found = load_splits(DataConfig(**SCENES, validation_labels=kind))
    train, held = found.train, found.validation
    assert (len(train), len(held), len(found.test)) == (32, 8, 8)
    truth = held.require_truth("to compare")
    assert truth.count(0) == 0
    if kind == "observed":
        # One known positive of each image, drawn before the split, as for training.
        assert held.labels.per_image(1).tolist() == [1] * 8 and not held.labels.count(-1)
        cells = held.labels.dense() == 1
        assert (truth.dense()[cells] == 1).all()
    else:
        assert held.labels.equals(truth)
    assert train.labels.per_image(1).tolist() == [1] * 32
    for labels, expected in (("full", train.require_truth("to compare")), ("observed", None)):
        again = load_splits(DataConfig(**SCENES, validation_labels=kind), labels=labels)
        assert again.train.labels.equals(train.labels if expected is None else expected)
