"""What readers and writers refuse, what they fall back to, and the counts in what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark_copies import touch_image
from data.formats.examples import EXAMPLES, imagefolder, label_studio_task, yolo
from tacit.data.formats import find_reader, read_listing, recognise, write_listing
from tacit.data.formats.table.read import read
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels


def two(root: Path, classes: tuple[str, ...] = ("a", "b"), **changes: Any) -> Listing:
    """Two images of two classes, with files."""
    for name in ("1.jpg", "2.jpg"):
        touch_image(root / name)
    labels = SparseLabels.of(np.array([[1, 0], [0, 1]], dtype=np.int8))
    return replace(Listing("two", root, ["1.jpg", "2.jpg"], classes, labels), **changes)


def test_a_reader_is_a_function_and_absence_has_two_meanings(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("something = 3\n")
    with pytest.raises(UsageError, match="is no reader: it must be a function of a path"):
        find_reader(f"{tmp_path}/mine.py:something")
    path = EXAMPLES["csv"][1](tmp_path)
    with pytest.raises(UsageError, match="'nothing' is no meaning of absence; use unknown or"):
        read_listing(path, absent="nothing")  # type: ignore[arg-type]


def test_what_arrow_finds_only_when_it_looks_is_said_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    path.write_text("file,labels\n1.jpg,a\n")

    def reader(path: Path, images: Path | None, absent: str | None) -> Listing:
        raise pa.ArrowInvalid("a column is broken\nand here is where")

    def own(path: Path, images: Path | None, absent: str | None) -> Listing:
        raise KeyError("a fault of the reader's own")

    from tacit.data.formats import FORMATS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, "broken", reader)
        with pytest.raises(DataError, match=r"is damaged, .* as broken: a column is broken\.$"):
            read_listing(path, format="broken")
        patch.setitem(FORMATS, "own", own)
        with pytest.raises(KeyError, match="reader's own"):
            read_listing(path, format="own")


def test_a_table_that_cannot_be_read_says_why_in_one_line(tmp_path: Path) -> None:
    for name in ("it.parquet", "it.arrow", "it.jsonl"):
        (tmp_path / name).write_bytes(b"nonsense " * 40)
        with pytest.raises(DataError, match=rf"{name} cannot be read: \w.*") as refused:
            read_listing(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_parts_are_called_as_formats_call_them(tmp_path: Path) -> None:
    listing = two(tmp_path / "old", splits=["train", "mine"])
    with pytest.raises(DataError, match="split 'mine' would not be read as a split; call it tr"):
        write_listing(listing, tmp_path / "folder", "imagefolder")
    odd = two(tmp_path / "old", splits=["train", "train2017"])
    with pytest.raises(DataError, match="split 'train2017' would be read as '.*'; rename it"):
        write_listing(odd, tmp_path / "coco", "coco_json")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_table_of_an_imagefolder_may_say_its_parts_itself(tmp_path: Path) -> None:
    path = imagefolder(tmp_path) / "train" / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "split": "val"}) + "\n" for row in rows))
    listing = read_listing(tmp_path)
    splits = dict(zip(listing.images, listing.splits, strict=True))
    assert splits == {"test/3.jpg": "test", "train/1.jpg": "val", "train/2.jpg": "val"}


def test_answers_of_label_studio_are_counted_where_there_are_some(tmp_path: Path) -> None:
    task, bare = label_studio_task("1.jpg", ["a", "b"]), {"data": {"image": "2.jpg"}}
    path = tmp_path / "it.json"
    for tasks, note in (
        ([task], None),
        ([task, bare], "1 tasks have no annotations; they are unknown in every class"),
    ):
        path.write_text(json.dumps(tasks))
        notes = read_listing(path, format="label_studio").notes
        assert [n for n in notes if "no annotations" in n] == ([note] if note else [])
    notes = read_listing(path, format="label_studio", absent="negative").notes
    assert "1 tasks have no annotations; they are left out" in notes
    assert not any("other kinds" in note for note in notes)


@pytest.mark.parametrize("value", [{"taxonomy": "a"}, {}])
def test_a_taxonomy_is_a_list_of_paths(value: dict[str, Any], tmp_path: Path) -> None:
    task = label_studio_task("1.jpg", ["a"])
    task["annotations"] = [{"result": [{"type": "taxonomy", "value": value}]}]
    (tmp_path / "it.json").write_text(json.dumps([task]))
    with pytest.raises(DataError, match="'taxonomy' should be a list of paths and is none"):
        read_listing(tmp_path / "it.json", format="label_studio")


@pytest.mark.parametrize("address", ["http://[1.jpg", "a" * 300 + ".jpg", "\\\\x\\1.jpg"])
def test_an_address_that_leads_nowhere_is_a_name(address: str, tmp_path: Path) -> None:
    task = label_studio_task("1.jpg", ["a", "b"])
    task["data"]["image"] = address
    (tmp_path / "it.json").write_text(json.dumps([task]))
    (image,) = read_listing(tmp_path / "it.json", format="label_studio").images
    assert image.endswith("jpg")


def test_prepared_sets_say_themselves_what_absence_means(tmp_path: Path) -> None:
    path = EXAMPLES["prepared"][1](tmp_path)
    with pytest.raises(UsageError, match="says itself what absence means; leave absent out"):
        read_listing(path, absent="negative")


def test_a_file_that_nobody_may_read_looks_like_nothing(tmp_path: Path) -> None:
    from tacit.data.formats.shared.json_files import read_head

    assert read_head(tmp_path) == ("", True)  # a folder
    assert read_head(tmp_path / "none.json") == ("", True)
    (tmp_path / "it.json").write_text("\ufeff{}", encoding="utf-8")
    assert read_head(tmp_path / "it.json") == ("{}", True)


def test_writers_name_what_is_in_the_way(tmp_path: Path) -> None:
    listing = two(tmp_path / "old")
    with pytest.raises(UsageError, match="There is no folder .*none to write it.csv in"):
        write_listing(listing, tmp_path / "none" / "it.csv")
    with pytest.raises(UsageError, match="images is link or copy, not move"):
        write_listing(listing, tmp_path / "new", "folders", transfer="move")
    with pytest.raises(UsageError, match=r"written as lists or columns to \.csv, \.tsv, "):
        write_listing(listing, tmp_path / "it.txt")
    with pytest.raises(UsageError, match="written as lists or columns to"):
        write_listing(listing, tmp_path / "it.csv", layout="rows")
    with pytest.raises(UsageError, match=r"column for each class is written as \.csv or \.tsv"):
        write_listing(listing, tmp_path / "it.jsonl", layout="columns")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_images_that_would_become_one_are_refused(tmp_path: Path) -> None:
    labels = SparseLabels.of(np.array([[1], [1]], dtype=np.int8))
    for name in ("1.jpg", "a/1.jpg"):
        touch_image(tmp_path / "old" / name)
    listing = Listing("two", tmp_path / "old", ["1.jpg", "a/1.jpg"], ("a",), labels)
    with pytest.raises(DataError, match=r"Two images of 'two' would both become 1\.jpg"):
        write_listing(listing, tmp_path / "new", "folders")
    assert not (tmp_path / "new").exists()


def test_the_truth_is_told_to_be_left_out(tmp_path: Path) -> None:
    listing = two(tmp_path / "old")
    listing = replace(listing, truth=listing.labels)
    notes = write_listing(listing, tmp_path / "it.csv")
    assert notes == ["the truth is not written; it is for evaluation alone"]


class Stream:
    """A table of a library that speaks Arrow."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested: object = None) -> object:
        return self.table.__arrow_c_stream__(requested)


def test_tables_of_other_libraries_are_read_through_arrow() -> None:
    table = pa.table({"file": ["1.jpg", "2.jpg"], "labels": [["b", "a"], ["a"]]})
    assert read(Stream(table)).labels.dense().tolist() == [[1, 1], [1, 0]]


def test_a_column_without_an_entry_is_one_of_labels_without_labels(tmp_path: Path) -> None:
    nothing = pa.table({"file": ["1.jpg", "2.jpg"], "labels": pa.nulls(2)})
    assert read(nothing, classes=["a", "b"]).labels.dense().tolist() == [[0, 0], [0, 0]]
    numbers = pa.table({"file": ["1.jpg"], "labels": pa.array([3])})
    parquet.write_table(numbers, tmp_path / "it.parquet")
    with pytest.raises(DataError, match="column 'labels' holds int64; labels are names, or lists"):
        read_listing(tmp_path / "it.parquet")


def test_folders_of_yolo_without_parts_and_without_labels(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("bird\ncat\ndog\n")
    for kind in ("images", "labels"):
        for part in ("train", "val"):
            for file in (tmp_path / kind / part).iterdir():
                file.rename(tmp_path / kind / file.name)
            (tmp_path / kind / part).rmdir()
    assert recognise(tmp_path) == "yolo"
    listing = read_listing(tmp_path)
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert not listing.splits
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="none of 3 images has a text file"):
        read_listing(tmp_path, format="yolo", absent="negative")


@pytest.mark.parametrize("entry", ["a" * 5000, "a\\0b", "x.txt"])
def test_what_no_folder_can_be_called_is_not_there(entry: str, tmp_path: Path) -> None:
    yolo(tmp_path)
    name = '"a\\0b"' if "\\0" in entry else entry
    (tmp_path / "data.yaml").write_text(f"names: [bird, cat, dog]\ntrain: {name}\n")
    with pytest.raises(DataError, match="and there is nothing at"):
        read_listing(tmp_path, format="yolo")
    (tmp_path / "data.yaml").write_text(
        f"path: {name}\nnames: [bird, cat, dog]\ntrain: images/train\n"
    )
    assert len(read_listing(tmp_path, format="yolo")) == 2  # what another machine called it
