"""Open Images' CSV: people said yes, people said no, or nobody was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark_copies import touch_image
from data.formats.examples import openimages_csv
from tacit.data.formats import read_listing, recognise, write_listing
from tacit.errors import DataError

HEADER = "ImageID,Source,LabelName,Confidence\n"


def test_confidence_zero_is_a_known_negative(tmp_path: Path) -> None:
    listing = read_listing(openimages_csv(tmp_path))
    assert listing.classes == ("bird", "cat", "dog")
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, -1, 1], [1, 0, 0]]


def test_classes_called_alike_keep_their_ids(tmp_path: Path) -> None:
    path = openimages_csv(tmp_path)
    text = "LabelName,DisplayName\n/m/bird,animal\n/m/cat,animal\n"
    (tmp_path / "class-descriptions.csv").write_text(text)
    assert read_listing(path).classes == ("/m/dog", "animal (/m/bird)", "animal (/m/cat)")


def test_a_folder_has_a_file_for_each_part_and_machines_are_passed_over(tmp_path: Path) -> None:
    openimages_csv(tmp_path)
    test = tmp_path / "test-annotations-human-imagelabels.csv"
    test.write_text(HEADER + "4,verification,/m/cat,1\n")
    (tmp_path / "train-annotations-machine-imagelabels.csv").write_text(HEADER + "1,m,/m/cat,0.7\n")
    (tmp_path / "train-annotations-bbox.csv").write_text(HEADER.strip() + ",XMin\n1,x,/m/cat,1,0\n")
    touch_image(tmp_path / "test" / "4.jpg")
    assert recognise(tmp_path) == "openimages_csv"
    listing = read_listing(tmp_path)
    assert dict(zip(listing.images, listing.splits, strict=True))["test/4.jpg"] == "test"
    assert listing.split_names() == ["test", "train"] and len(listing) == 4


def test_another_suffix_can_be_said(tmp_path: Path) -> None:
    assert read_listing(openimages_csv(tmp_path), suffix=".png").images[0] == "1.png"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("1,m,/m/cat,0.7\n", "1 rows have a confidence other than 0 and 1"),
        ("1,v,/m/cat,1\n1,c,/m/cat,0\n", "contradicts itself"),
        ("1,v,/m/cat,yes\n", "cannot be read"),
        ("", "lists no images"),
        (",v,/m/cat,1\n2,v,,1\n", "name of 1 class entries is empty"),
    ],
)
def test_what_is_wrong_is_said(rows: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(DataError, match=sentence):
        read_listing(path)


def test_images_of_several_suffixes_have_no_ids(tmp_path: Path) -> None:
    listing = read_listing(openimages_csv(tmp_path))
    for name in ("2.png", ".jpg"):
        odd = replace(listing, images=["1.jpg", name, "3.jpg"])
        with pytest.raises(DataError, match=rf"1 images do not end in '\.jpg', first '{name}'"):
            write_listing(odd, tmp_path / "out.csv", "openimages_csv")
        assert not (tmp_path / "out.csv").exists()


def test_one_file_has_no_split_and_its_name_no_folder(tmp_path: Path) -> None:
    path = openimages_csv(tmp_path)
    (tmp_path / "images").rename(tmp_path / "train")
    listing = read_listing(path)
    assert listing.root / listing.images[0] == tmp_path / "train" / "1.jpg"
    assert not listing.splits and listing.name == path.stem
    assert read_listing(path, name="mine").name == "mine"


def test_one_file_does_not_lead_into_a_folder_that_happens_to_be_called_like_it(
    tmp_path: Path,
) -> None:
    path = openimages_csv(tmp_path).rename(tmp_path / "pets.csv")
    for number in "123":
        touch_image(tmp_path / "pets" / f"{number}.jpg")  # crops, say
    listing = read_listing(path)
    assert listing.root / listing.images[0] == tmp_path / "images" / "1.jpg"


def test_images_elsewhere_are_read_where_the_user_names_them(tmp_path: Path) -> None:
    path = openimages_csv(tmp_path / "labels")
    (tmp_path / "labels" / "images").rename(tmp_path / "far")
    listing = read_listing(path, images=tmp_path / "far")
    assert listing.root / listing.images[0] == tmp_path / "far" / "1.jpg"
    with pytest.raises(DataError, match="no folder of images"):
        read_listing(path, images=tmp_path / "nowhere")


def test_lines_within_quotes_are_read_wherever_a_block_ends(tmp_path: Path) -> None:
    """Arrow reads a megabyte at a time, and may not look for the end of a row in a cell."""
    note = "\n".join(["one line"] * 200)
    lines = [f'{row},"{note}",/m/{"ab"[row % 2]},1\n' for row in range(1200)]
    (tmp_path / "labels.csv").write_text(HEADER + "".join(lines))
    listing = read_listing(tmp_path / "labels.csv")
    assert len(listing) == 1200 and listing.labels.per_class(1).tolist() == [600, 600]
