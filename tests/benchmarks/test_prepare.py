"""Preparing a benchmark: what is checked, drawn and written, and reading it back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tacit.benchmarks import BENCHMARKS, read_benchmark
from tacit.benchmarks.prepare import find_missing, prepare
from tacit.benchmarks.published import agree, read_published
from tacit.config import DataConfig
from tacit.data.formats import read_listing
from tacit.data.observe import draw_observed
from tacit.data.prepared import read_prepared, write_observed
from tacit.data.splits import load_splits
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_was_prepared_is_read_back(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root: Path = request.getfixturevalue(name)
    done = prepare(name, root, tmp_path / "out")
    official, read = read_benchmark(name, root), read_listing(tmp_path / "out")
    assert list(read.images) == list(official.images)
    assert read.classes == official.classes and list(read.parts) == list(official.parts)
    assert read.truth is not None and read.truth.equals(official.labels)
    assert read.root == official.root.resolve()
    assert done.record == json.loads((tmp_path / "out" / "data.json").read_text())
    assert done.record["source"] and done.record["licence"] and done.record["fingerprint"]
    positives = read.labels.per_image(1)
    if name == "openimages_v3":  # annotators' own labels: nothing is drawn
        assert read.labels.equals(official.labels)
    else:
        assert np.array_equal(positives, np.minimum(official.labels.per_image(1), 1))
        assert read.labels.count(-1) == 0


def test_each_part_is_drawn_with_a_generator_of_its_own(voc2012: Path, tmp_path: Path) -> None:
    prepare("voc2012", voc2012, tmp_path / "out", positives=1, negatives=2, seed=7)
    listing = read_prepared(tmp_path / "out")
    for part in ("train", "test"):
        source = listing.source(part)
        assert source.truth is not None
        expected = draw_observed(source.truth, 1, 2, seed=7)
        assert source.labels.equals(expected)


def test_counts_that_are_not_the_literatures_and_missing_pictures_are_told(
    voc2012: Path, tmp_path: Path
) -> None:
    gone = voc2012 / "VOCdevkit" / "VOC2012" / "JPEGImages" / "2007_000027.jpg"
    gone.unlink()
    done = prepare("voc2012", voc2012, tmp_path / "out")
    counts, missing = done.warnings
    assert "3 train, 2 test images; the literature has 5,717 train, 5,823 test" in counts
    assert "1 pictures are not below" in missing and "JPEGImages/2007_000027.jpg" in missing
    assert done.missing == ("JPEGImages/2007_000027.jpg",) and done.record["missing"] == 1
    assert find_missing(read_benchmark("voc2012", voc2012)) == done.missing


def test_the_literatures_counts_are_not_warned_about(
    voc2012: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = BENCHMARKS["voc2012"]
    counts = ({"train": 9, "test": 9}, {"train": 3, "test": 2})
    changed = type(row)(**{**vars(row), "counts": counts})
    monkeypatch.setitem(BENCHMARKS, "voc2012", changed)
    assert prepare("voc2012", voc2012, tmp_path / "out").warnings == ()


def test_the_split_is_recorded_with_its_digest(cub: Path, tmp_path: Path) -> None:
    split = prepare("cub", cub, tmp_path / "out").record["split"]
    assert (split["train"], split["validation"]) == (2, 0)
    # Of no rows at all: the digest of nothing.
    assert split["validation md5"] == "d41d8cd98f00b204e9800998ecf8427e"


def test_nothing_is_overwritten(voc2012: Path, tmp_path: Path) -> None:
    prepare("voc2012", voc2012, tmp_path / "out")
    with pytest.raises(DataError, match="a prepared data set in .*out already"):
        prepare("voc2012", voc2012, tmp_path / "out")


def test_a_folder_without_a_record_is_no_data_set(voc2012: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare("voc2012", voc2012, out)
    record = (out / "data.json").read_text()
    wrong = {"{": "not readable as JSON", '{"format": 9}': "has format 9", "[]": "format None"}
    for text, message in wrong.items():
        (out / "data.json").write_text(text)
        with pytest.raises(DataError, match=message):
            read_prepared(out)
    (out / "data.json").unlink()
    with pytest.raises(DataError, match="no prepared data set"):
        read_prepared(out)
    (out / "data.json").write_text(record)
    (out / "manifest.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"manifest.parquet cannot be read as a manifest"):
        read_prepared(out)


def test_training_finds_the_parts_and_the_truth(nuswide: Path, tmp_path: Path) -> None:
    prepare("nuswide", nuswide, tmp_path / "out")
    data = DataConfig(name=str(tmp_path / "out"), validation=0.34)
    splits = load_splits(data)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (2, 1, 1)
    assert splits.train.truth is not None and splits.train.labels.count(-1) == 0
    assert splits.validation_labels == "clean" and splits.test.labels.count(1) == 1
    both = load_splits(data.model_copy(update={"positives": -1}))
    assert both.train.labels.count(1) >= splits.train.labels.count(1)
    full = load_splits(data, "full")
    assert full.train.labels.count(0) == 0


def test_other_observed_labels_lie_beside_the_untouched_truth(
    coco2014: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare("coco2014", coco2014, out)
    before = (out / "truth.parquet").read_bytes()
    listing = read_prepared(out)
    assert listing.truth is not None
    all_known = type(listing)(**{**vars(listing), "labels": listing.truth})
    write_observed(out, "all", all_known, {"how": "everything"})
    assert read_prepared(out, observed="all").labels.equals(listing.truth)
    assert read_prepared(out).labels.equals(listing.labels)
    assert (out / "truth.parquet").read_bytes() == before
    with pytest.raises(DataError, match="already"):
        write_observed(out, "all", all_known, {})
    with pytest.raises(UsageError, match="did you mean 'all'"):
        read_prepared(out, observed="al")


def test_published_labels_are_compared_row_by_row(coco2014: Path, tmp_path: Path) -> None:
    listing = read_benchmark("coco2014", coco2014)
    source = listing.source("train")
    assert source.truth is not None
    ours = draw_observed(source.truth)
    first = int(ours[0].argmax())
    other = next(c for c in (1, 2) if c != first)  # the other class of the first image
    path = tmp_path / "published.txt"
    path.write_text(
        f"COCO_train2014_000000100012.jpg,{other}\nCOCO_train2014_000000000025.jpg, 0\n"
        "COCO_train2014_000000999999.jpg,1\nCOCO_train2014_000000000009.jpg,0"
    )
    theirs, strangers = read_published(path, source.images, 3)
    found = agree(source.images, ours, theirs, source.truth, strangers)
    assert (found.rows, found.equal, found.only_ours, found.only_theirs) == (3, 1, 0, 1)
    assert found.denied == 1  # image 9 shows a car, not a person
    assert found.differing == (source.images[0], source.images[2])
    assert "1 of 3 images have the same labels (33.33%)" in found.sentence()
    done = prepare("coco2014", coco2014, tmp_path / "out", published=path, use_published=True)
    assert done.agreement == found
    assert read_prepared(tmp_path / "out").source("train").labels.equals(theirs)
    assert read_prepared(tmp_path / "out").source("test").labels.count(1) == 2


def test_published_arrays_have_our_rows(tmp_path: Path) -> None:
    array = np.array([[1, 0, 0], [0, -1, 1]])
    np.save(tmp_path / "obs.npy", array)
    labels, strangers = read_published(tmp_path / "obs.npy", ["a", "b"], 3)
    assert labels.dense().tolist() == array.tolist() and strangers == 0
    with pytest.raises(DataError, match=r"has the shape \(2, 3\); \(3, 3\) was expected"):
        read_published(tmp_path / "obs.npy", ["a", "b", "c"], 3)


@pytest.mark.parametrize(
    ("line", "message"), [("a.jpg,cat", "line 1: expected"), ("a.jpg,3", "from 0 to 2")]
)
def test_published_lists_are_checked(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        read_published(tmp_path / "list.txt", ["a.jpg"], 3)
    with pytest.raises(DataError, match="1 images share their file name"):
        read_published(tmp_path / "list.txt", ["x/a.jpg", "y/a.jpg"], 3)


def test_a_large_manifest_takes_memory_for_what_is_known(tmp_path: Path) -> None:
    rows = np.arange(20_000)
    labels = SparseLabels.from_cells(rows, rows % 500, np.ones_like(rows), (20_000, 500))
    from tacit.data.listing import Listing
    from tacit.data.prepared import write_prepared

    names = [f"{row}.jpg" for row in rows]
    listing = Listing("large", tmp_path, names, tuple(map(str, range(500))), labels)
    write_prepared(tmp_path / "out", listing, {})
    assert (tmp_path / "out" / "manifest.parquet").stat().st_size < 500_000
    assert read_prepared(tmp_path / "out").labels.equals(labels)
