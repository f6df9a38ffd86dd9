"""A folder for each class: images of one name are two, unless one says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark_copies import touch_image
from data.formats.examples import folders
from tacit.data.formats import read_listing
from tacit.errors import DataError, UsageError


def test_the_same_name_in_two_folders_is_two_images(tmp_path: Path) -> None:
    listing = read_listing(folders(tmp_path))
    assert listing.images == ["bird/3.jpg", "cat/1.jpg", "dog/1.jpg", "dog/2.jpg"]
    assert listing.labels.per_image(1).tolist() == [1, 1, 1, 1]


def test_joined_by_name_it_is_one_image_of_both(tmp_path: Path) -> None:
    listing = read_listing(folders(tmp_path), join="name")
    assert listing.images == ["bird/3.jpg", "cat/1.jpg", "dog/2.jpg"]
    assert listing.labels.dense().tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


def test_names_are_joined_within_their_part_alone(tmp_path: Path) -> None:
    for name in ("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/deep/1.jpg"):
        touch_image(tmp_path / name)
    listing = read_listing(tmp_path, join="name")
    assert listing.images == ["test/a/1.jpg", "test/b/deep/1.jpg", "train/a/1.jpg"]
    assert list(listing.splits) == ["test", "test", "train"]
    assert listing.labels.dense().tolist() == [[1, 0], [0, 1], [1, 1]]


def test_one_folder_that_is_called_like_a_split_is_a_class_beside_others(tmp_path: Path) -> None:
    for name in ("train/1.jpg", "bus/2.jpg"):  # things to ride in
        touch_image(tmp_path / name)
    listing = read_listing(tmp_path)
    assert listing.classes == ("bus", "train") and not listing.splits
    assert listing.images == ["bus/2.jpg", "train/1.jpg"]


def test_empty_folders_are_classes_and_hidden_files_are_no_images(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "ant").mkdir()
    touch_image(tmp_path / "cat" / ".hidden.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    touch_image(tmp_path / ".cache" / "1.jpg")
    listing = read_listing(tmp_path)
    assert listing.classes == ("ant", "bird", "cat", "dog") and len(listing) == 4


def test_links_are_images(tmp_path: Path) -> None:
    folders(tmp_path / "set")
    touch_image(tmp_path / "far" / "9.jpg")
    (tmp_path / "set" / "cat" / "9.jpg").symlink_to(tmp_path / "far" / "9.jpg")
    assert "cat/9.jpg" in read_listing(tmp_path / "set").images


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders of classes"):
        read_listing(tmp_path, format="folders")
    folders(tmp_path)
    with pytest.raises(UsageError, match="leave images out"):
        read_listing(tmp_path, images=tmp_path)
    with pytest.raises(UsageError, match="join is name or left out, not content"):
        read_listing(tmp_path, join="content")
