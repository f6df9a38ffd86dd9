"""Every format is known by how it looks, and taken for no other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmark_copies import touch_image
from data.formats.examples import CLASSES, EXAMPLES, SHOWN
from tacit.data.formats import (
    CONTENT,
    FORMATS,
    find_reader,
    is_writable,
    read_listing,
    recognise,
    write_listing,
)
from tacit.data.load import load
from tacit.errors import DataError, UsageError

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "formats.md"


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_known_for_what_it_is_and_for_nothing_else(
    example: str, tmp_path: Path
) -> None:
    name, make = EXAMPLES[example]
    path = make(tmp_path)
    assert recognise(path) == name
    seen = {other: find_reader(other).recognise(path) for other in FORMATS}
    named = {other for other, match in seen.items() if match and match.strength >= CONTENT}
    assert named == {name} - ({"table", "folders"})  # which name nothing but shape and kind


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("data.yaml", "names: [a, b]\n", True),
        ("other.yml", "train: x\nnames:\n  0: a\n", True),
        ("data.yaml", "title: nothing of images\n", False),
        ("notes.txt", "names: [a, b]\n", False),
    ],
)
def test_yaml_with_names_is_yolos_and_neither_alone(
    name: str, text: str, known: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert bool(find_reader("yolo").recognise(tmp_path / name)) == known


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (("cat", "dog"), True),
        (("cat",), False),
        (("images", "cat"), False),
        (("cat", "Labels"), False),
    ],
)
def test_folders_are_classes_if_there_are_two_and_none_is_for_something_else(
    names: tuple[str, ...], known: bool, tmp_path: Path
) -> None:
    for name in names:
        touch_image(tmp_path / name / "1.jpg")
    assert bool(find_reader("folders").recognise(tmp_path)) == known


@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"folders"}))
def test_each_example_says_the_same_labels(example: str, tmp_path: Path) -> None:
    listing = read_listing(EXAMPLES[example][1](tmp_path))
    assert list(listing.classes) == CLASSES
    assert [name[-5:] for name in sorted(listing.images, key=lambda name: name[-5:])] == list(SHOWN)
    for image, row in zip(listing.images, listing.labels.dense(), strict=True):
        present = [listing.classes[column] for column in np.flatnonzero(row == 1)]
        assert present == SHOWN[image[-5:]]
    assert (listing.labels.count(-1) > 0) == (example == "open images")


@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"parquet", "jsonl"}))
def test_each_example_finds_its_images(example: str, tmp_path: Path) -> None:
    source = load(EXAMPLES[example][1](tmp_path))
    assert [source.open(row).size for row in range(len(source))] == [(8, 6)] * len(source)


@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"prepared"}))
def test_absence_means_what_one_says(example: str, tmp_path: Path) -> None:
    listing = read_listing(EXAMPLES[example][1](tmp_path), absent="negative")
    assert listing.labels.count(0) == 0
    assert any("is negative" in note for note in listing.notes)


def test_what_is_in_no_format_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("nothing")
    for path in (tmp_path, tmp_path / "readme.md"):
        with pytest.raises(DataError, match="in no known format.*always works"):
            recognise(path)


def test_a_folder_that_may_be_two_things_is_refused(tmp_path: Path) -> None:
    for example in ("voc", "yolo"):
        EXAMPLES[example][1](tmp_path)
    with pytest.raises(DataError, match=r"several things \(voc_xml.*yolo.*--format"):
        recognise(tmp_path)


def test_folders_of_classes_beside_a_table_are_no_guess(tmp_path: Path) -> None:
    path = EXAMPLES["folders"][1](tmp_path)
    (path / "labels.csv").write_text("file,labels\n")
    with pytest.raises(DataError, match="no known format"):
        recognise(path)


@pytest.mark.parametrize("name", [None, *FORMATS])
def test_where_nothing_is_that_is_said(name: str | None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is nothing at .*none\."):
        read_listing(tmp_path / "none", format=name)


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_says_what_can_be_written(name: str) -> None:
    assert is_writable(name) == hasattr(find_reader(name), "write")


def test_a_format_that_is_not_written_names_those_that_are(tmp_path: Path) -> None:
    listing = read_listing(EXAMPLES["csv"][1](tmp_path))
    with pytest.raises(UsageError, match="not written as cvat; choose one of table, "):
        write_listing(listing, tmp_path / "out", "cvat")
    with pytest.raises(UsageError, match="did you mean 'coco_json'"):
        write_listing(listing, tmp_path / "out", "coco_jsn")


def test_the_documentation_has_every_format_and_says_what_can_be_written() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", text, re.MULTILINE))
    assert rows == {name: "yes" if is_writable(name) else "no" for name in FORMATS}


def test_images_of_a_prepared_set_are_where_the_user_says(tmp_path: Path) -> None:
    path = EXAMPLES["prepared"][1](tmp_path / "one")
    assert read_listing(path).root == tmp_path / "one" / "images"
    (tmp_path / "one" / "images").rename(tmp_path / "far")
    assert read_listing(path, images=tmp_path / "far").root == tmp_path / "far"
