"""YOLO's folders: labels mirror images, and a missing text file is not an empty one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark_copies import touch_image
from data.formats.examples import yolo
from tacit.data.formats import read_listing, recognise
from tacit.data.formats import yolo as yolo_format
from tacit.errors import DataError


def test_an_empty_file_was_looked_at_and_a_missing_one_was_not(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "labels" / "train" / "1.txt").write_text("")
    (tmp_path / "labels" / "train" / "2.txt").unlink()
    unknown = read_listing(tmp_path)
    assert unknown.labels.dense().tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    negative = read_listing(tmp_path, absent="negative")
    assert negative.images == ["images/train/1.jpg", "images/val/3.jpg"]
    assert negative.labels.dense().tolist() == [[-1, -1, -1], [1, -1, -1]]
    assert any("1 images have no text file" in note for note in negative.notes)


def test_boxes_and_outlines_are_in_pixels_when_asked_for(tmp_path: Path) -> None:
    yolo(tmp_path)
    line = "0 0.25 0.5 0.75 0.5 0.5 1.0\n2 0.5 0.5 0.25 0.5 0.9\n"
    (tmp_path / "labels" / "val" / "3.txt").write_text(line)
    assert read_listing(tmp_path).boxes is None
    boxes = read_listing(tmp_path, boxes=True).boxes
    assert boxes is not None
    assert [(box.label, box.corners) for box in boxes.of(2)] == [
        (0, (2, 3, 6, 6)), (2, (3, 1.5, 5, 4.5))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: [images/val]\nnames: [bird, cat, dog]\n",
        "path: .\ntrain: train.txt\nval: images/val\nnames: {0: bird, 2: dog, 1: cat}\n",
        "train: ../images/train\nval: ../images/val\nnc: 3\nnames: ['bird', 'cat', 'dog']\n",
    ],
)
def test_a_part_is_a_folder_a_list_or_a_file(text: str, tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/train/1.jpg\nimages/train/2.jpg\n")
    (tmp_path / "data.yaml").write_text(text)
    for path in (tmp_path, tmp_path / "data.yaml"):
        assert recognise(path) == "yolo"
        listing = read_listing(path)
        assert listing.classes == ("bird", "cat", "dog")
        assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]
        assert list(listing.splits) == ["train", "train", "val"]


def test_folders_without_a_description_need_names_of_classes(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    assert recognise(tmp_path) == "yolo"
    with pytest.raises(DataError, match="neither data.yaml nor classes.txt"):
        read_listing(tmp_path)
    (tmp_path / "classes.txt").write_text("bird\ncat\ndog\n")
    assert list(read_listing(tmp_path).splits) == ["train", "train", "val"]


def test_parts_may_hold_the_folders_of_images_and_labels(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("bird\ncat\ndog\n")
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        for kind in ("images", "labels"):
            (tmp_path / kind / part).rename(tmp_path / part / kind)
    for kind in ("images", "labels"):
        (tmp_path / kind).rmdir()
    (tmp_path / "notes").mkdir()  # no part of a data set, and so left out
    listing = read_listing(tmp_path, format="yolo")
    assert listing.images == ["train/images/1.jpg", "train/images/2.jpg", "val/images/3.jpg"]
    assert list(listing.splits) == ["train", "train", "val"]
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_of_several_folders_called_images_the_last_has_labels_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "set"
    yolo(folder)
    listing = read_listing(folder)
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_a_folder_may_be_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (Path(), Path("data.yaml")):
        assert read_listing(path).labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_labels_beside_images_are_found_as_well(tmp_path: Path) -> None:
    touch_image(tmp_path / "all" / "1.jpg")
    (tmp_path / "all" / "1.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: all\nnames: [no, yes]\n")
    listing = read_listing(tmp_path)
    assert listing.classes == ("no", "yes") and listing.labels.dense().tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("labels/val/3.txt", "7 0.5 0.5 1 1\n", "line 1: '7' is no number of a class; there are 3"),
        ("labels/val/3.txt", "cat 0.5 0.5 1 1\n", "'cat' is no number"),
        ("data.yaml", "train: images/train\n", "has no names"),
        ("data.yaml", "names: [a, b]\ntrain: nowhere\n", "names 'nowhere', and there is nothing"),
        ("data.yaml", "names: [a, b]\n", "leads to no images"),
        ("data.yaml", "names: [a, b]\ntrain: {a: b}\n", "paths or lists of paths"),
        ("data.yaml", "names: [a, b]\ntrain: [images, {a: b}]\n", "paths or lists of paths"),
        ("data.yaml", "names: [a, [b]]\ntrain: images\n", "has no names"),
        ("data.yaml", "names: [a, b\n", "not readable as YAML"),
        ("data.yaml", "names: !!python/object:os.system [a]\n", "has no names|not readable|leads"),
    ],
)
def test_what_is_wrong_is_said(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_listing(tmp_path, format="yolo")


def test_a_description_without_end_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yolo(tmp_path)
    length = len((tmp_path / "data.yaml").read_text())
    monkeypatch.setattr(yolo_format, "LONGEST", length)
    assert len(read_listing(tmp_path)) == 3
    monkeypatch.setattr(yolo_format, "LONGEST", length - 1)
    with pytest.raises(DataError, match="too long for a description"):
        read_listing(tmp_path)


@pytest.mark.parametrize("corner", ["1e9", "-1e9", "inf", "nan"])
def test_numbers_beyond_any_image_are_no_box(corner: str, tmp_path: Path) -> None:
    yolo(tmp_path)
    line = "1 0.5 0.5 {} 0.5\n"
    (tmp_path / "labels" / "val" / "3.txt").write_text(line.format(corner))
    with pytest.raises(DataError, match=r"line 1: a box should be 4 numbers and is not"):
        read_listing(tmp_path, boxes=True)
    (tmp_path / "labels" / "val" / "3.txt").write_text(line.format("999999999"))
    assert read_listing(tmp_path, boxes=True).boxes is not None


@pytest.mark.parametrize(
    "text",
    [
        "train: ../elsewhere/images\n",
        "train: others/../../elsewhere/images\n",
        "train: /\n",
        "path: ../elsewhere\ntrain: images\n",
        "train: list.txt\n",
    ],
)
def test_a_description_does_not_lead_out_of_its_folder(text: str, tmp_path: Path) -> None:
    """It comes with the data, and could name the whole disk."""
    folder = tmp_path / "set"
    yolo(folder)
    touch_image(tmp_path / "elsewhere" / "images" / "1.jpg")
    (folder / "images").rename(folder / "others")
    (folder / "list.txt").write_text(f"{tmp_path}/elsewhere/images/1.jpg\n")
    (folder / "data.yaml").write_text(f"names: [bird, cat, dog]\n{text}")
    with pytest.raises(DataError, match=r"leads out of .*set; .*images=FOLDER"):
        read_listing(folder, format="yolo")


def test_images_elsewhere_are_read_where_the_user_names_them(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    yolo(folder)
    touch_image(elsewhere / "images" / "1.jpg")
    (elsewhere / "labels").mkdir()
    (elsewhere / "labels" / "1.txt").write_text("1 0.5 0.5 1 1\n")
    (folder / "data.yaml").write_text("names: [bird, cat, dog]\ntrain: ../elsewhere/images\n")
    listing = read_listing(folder, format="yolo", images=elsewhere)
    assert listing.labels.dense().tolist() == [[0, 1, 0]]
