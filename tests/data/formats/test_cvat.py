"""CVAT's XML: tags and shapes are labels, subsets are splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.formats.examples import cvat
from tacit.data.formats import read_listing, recognise
from tacit.errors import DataError


def read(folder: Path, inside: str) -> object:
    path = folder / "export.xml"
    path.write_text(f"<annotations>{inside}</annotations>")
    return read_listing(path, format="cvat")


def test_tags_and_boxes_are_labels_in_the_order_of_the_project(tmp_path: Path) -> None:
    cvat(tmp_path)
    path = tmp_path / "annotations.xml"
    names = ["<label><name>bird</name></label>", "<label><name>cat</name></label>"]
    path.write_text(path.read_text().replace("".join(names), names[1] + names[0]))
    listing = read_listing(tmp_path)
    assert listing.classes == ("cat", "bird", "dog")
    assert listing.labels.dense().tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 0]]
    assert listing.boxes is not None and listing.boxes.of(0)[0].corners == (1, 2, 4, 5.5)


def test_a_folder_and_its_file_are_the_same(tmp_path: Path) -> None:
    cvat(tmp_path)
    for path in (tmp_path, tmp_path / "annotations.xml"):
        assert recognise(path) == "cvat" and read_listing(path).root == tmp_path / "images"


def test_subsets_are_parts(tmp_path: Path) -> None:
    one = '<image name="1.jpg" subset="Train"><tag label="a"/></image>'
    two = '<image name="2.jpg" subset="Test"><polygon label="b" points="0,0;1,1"/></image>'
    listing = read(tmp_path, one + two)
    assert list(listing.splits) == ["Train", "Test"]  # type: ignore[attr-defined]
    assert listing.labels.dense().tolist() == [[1, 0], [0, 1]]  # type: ignore[attr-defined]


def test_points_of_a_skeleton_and_attributes_are_no_classes(tmp_path: Path) -> None:
    labels = (
        "<label><name>person</name><attributes><attribute><name>age</name></attribute></attributes>"
        "</label><label><name>knee</name><parent>person</parent></label>"
        "<label><name>dog</name></label>"
    )
    skeleton = '<skeleton label="person"><points label="knee" points="1,1"/></skeleton>'
    inside = f"<meta><project><labels>{labels}</labels></project></meta>"
    listing = read(tmp_path, inside + f'<image name="1.jpg">{skeleton}</image>')
    assert listing.classes == ("person", "dog")  # type: ignore[attr-defined]


def test_fifty_elements_within_each_other_are_read(tmp_path: Path) -> None:
    inside = "<a>" * 49 + "</a>" * 49 + '<image name="1.jpg"><tag label="b"/></image>'
    assert read(tmp_path, inside).classes == ("b",)  # type: ignore[attr-defined]


def test_shapes_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    box = '<box xtl="1" ytl="2" xbr="3" ybr="4"/>'
    labelled = '<image name="1.jpg"><tag label="a"/></image>'
    listing = read(tmp_path, labelled)
    assert not any("without a label" in note for note in listing.notes)  # type: ignore[attr-defined]
    listing = read(tmp_path, labelled + f'<image name="2.jpg">{box * 2}</image>')
    assert "2 shapes without a label are left out" in listing.notes  # type: ignore[attr-defined]
    assert listing.labels.dense().tolist() == [[1], [0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("inside", "sentence"),
    [
        ("", "lists no images"),
        ("<image/>", "an image without a name"),
        ('<track label="a"/>', "tracks of a video; export it as 'CVAT for images 1.1'"),
        ('<image name="1.jpg"><box label="a" xtl="1" ytl="2" xbr="x" ybr="4"/></image>', "4 numb"),
        ("<a>" * 50, "more than 50 elements deep"),  # and one around them
    ],
)
def test_what_is_wrong_is_said(inside: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, inside)


def test_other_xml_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<annotation><object/></annotation>")
    with pytest.raises(DataError, match="no known format"):
        recognise(path)
    with pytest.raises(DataError, match="begins with <annotation>"):
        read_listing(path, format="cvat")
