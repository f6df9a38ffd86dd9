"""PASCAL VOC's XML: sets are splits, and what is difficult is what one says it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.formats.examples import voc_object, voc_xml
from tacit.data.formats import read_listing
from tacit.errors import DataError, UsageError


def with_difficult(folder: Path) -> Path:
    """A difficult bird in the first image; a difficult and a plain dog in the second."""
    voc_xml(folder)
    for name, objects in {
        "1": [("cat", 0), ("dog", 0), ("bird", 1)],
        "2": [("dog", 1), ("dog", 0)],
    }.items():
        inside = "".join(voc_object(*entry) for entry in objects)
        text = f"<annotation><filename>{name}.jpg</filename>{inside}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("difficult", "absent", "first"),
    [
        ("unknown", "unknown", [0, 1, 1]),
        ("unknown", "negative", [0, 1, 1]),
        ("positive", "negative", [1, 1, 1]),
        ("absent", "unknown", [-1, 1, 1]),
        ("absent", "negative", [-1, 1, 1]),
    ],
)
def test_difficult_objects_are_what_one_says(
    difficult: str, absent: str, first: list[int], tmp_path: Path
) -> None:
    listing = read_listing(with_difficult(tmp_path), difficult=difficult, absent=absent)  # type: ignore[arg-type]
    assert listing.classes == ("bird", "cat", "dog")
    rest = -1 if absent == "negative" else 0
    assert listing.labels.dense().tolist() == [first, [rest, rest, 1], [1, rest, rest]]


def test_another_word_for_difficult_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="positive, unknown or absent, not maybe"):
        read_listing(voc_xml(tmp_path), difficult="maybe")


def test_sets_are_parts_and_what_is_in_none_is_left_out(tmp_path: Path) -> None:
    voc_xml(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("9\n")
    listing = read_listing(tmp_path)
    assert listing.root.name == "JPEGImages" and listing.images == ["1.jpg", "2.jpg"]
    assert any("1 images of ImageSets/Main have no annotations, and 1" in n for n in listing.notes)


def test_an_image_in_two_sets_is_refused(tmp_path: Path) -> None:
    voc_xml(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("1\n3\n")
    with pytest.raises(DataError, match="in another set, too: 1"):
        read_listing(tmp_path)


def test_boxes_are_of_objects_and_not_of_their_parts(tmp_path: Path) -> None:
    listing = read_listing(voc_xml(tmp_path))
    assert listing.boxes is not None and len(listing.boxes.rows) == 4
    assert listing.boxes.of(1)[0].corners == (1, 2, 4, 5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<svg></svg>", "begins with <svg>"),
        ("<annotation><object></object></annotation>", "object without a name"),
        ("<annotation>", "not readable as XML"),
        (
            "<annotation><object><name>a</name><bndbox><xmin>x</xmin></bndbox></object></annotation>",
            "4 numbers",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_file(text: str, sentence: str, tmp_path: Path) -> None:
    voc_xml(tmp_path)
    (tmp_path / "Annotations" / "2.xml").write_text(text)
    with pytest.raises(DataError, match=sentence) as error:
        read_listing(tmp_path)
    assert "2.xml" in str(error.value)
