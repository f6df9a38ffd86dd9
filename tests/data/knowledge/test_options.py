"""Side information as users give it: groups, taxonomy, catalogue, limits, equal files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import tacit
from tacit.config import DataConfig
from tacit.data.splits import load_splits
from tacit.errors import DataError, UsageError

TABLE = """file,labels,product
1.jpg,poodle,007
2.jpg,cat,007
3.jpg,dog;sofa,8
4.jpg,animal,8
5.jpg,sofa,
"""
CLASSES = ["animal", "cat", "dog", "poodle", "sofa"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images of which the third and the fourth are the same file."""
    for number, colour in enumerate(("red", "green", "blue", "blue", "white"), 1):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{number}.jpg")
    (tmp_path / "photos.csv").write_text(TABLE)
    (tmp_path / "tree.txt").write_text("poodle > dog > animal\ncat > animal\nexclusive: dog, cat\n")
    return tmp_path / "photos.csv"


def beside(photos: Path, name: str, text: str) -> Path:
    path = photos.parent / name
    path.write_text(text)
    return path


def test_without_side_information_nothing_changes(photos: Path) -> None:
    source = tacit.load(photos)
    assert source.side is None and list(source.classes) == CLASSES
    assert not any("group" in key or "side" in key for key in source.describe())


def test_groups_are_a_column_whose_numbers_are_names(photos: Path) -> None:
    source = tacit.load(photos, groups="product")
    assert source.side is not None and source.side.groups is not None
    first, second, third, fourth, alone = source.side.groups
    assert first == second != third == fourth and alone not in (first, third)
    assert source.describe()["groups of images"] == 3
    assert source.take(np.array([4, 0])).side.groups.tolist() == [alone, first]  # type: ignore[union-attr]


@pytest.mark.parametrize("suffix", ["file,video\n", "image,anything\n"])
def test_groups_may_stand_in_a_table_of_their_own(photos: Path, suffix: str) -> None:
    table = beside(photos, "groups.csv", f"{suffix}1.jpg,01\n3.jpg,1\n4.jpg,01\n9.jpg,7\n")
    source = tacit.load(photos, groups=table)
    assert source.side is not None and source.side.groups is not None
    groups = source.side.groups.tolist()
    assert groups[0] == groups[3] != groups[2] and len(set(groups)) == 4


def test_groups_of_a_table_in_memory(photos: Path) -> None:
    columns: dict[str, list[Any]] = {
        "file": ["1.jpg", "2.jpg", "3.jpg"],
        "labels": ["a", "b", "a"],
        "shop": [4, 4, 5],
    }
    source = tacit.load(pa.table(columns), images=photos.parent, groups="shop")
    assert source.side is not None and source.side.groups is not None
    assert source.side.groups.tolist() == [0, 0, 1]


def test_a_taxonomy_adds_what_follows(photos: Path) -> None:
    source = tacit.load(photos, taxonomy=photos.parent / "tree.txt")
    assert source.labels.dense().tolist() == [
        [1, -1, 1, 1, 0],
        [1, 1, -1, -1, 0],
        [1, -1, 1, 0, 1],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
    ]
    described = source.describe()
    assert described["implications"] == 4 and described["sets of exclusive classes"] == 1
    assert described["known negatives"] == 4
    assert "4 known positives and 4 known negatives follow" in str(described["side information"])


def test_contradictions_are_counted_and_told(photos: Path) -> None:
    beside(photos, "photos.csv", TABLE.replace("2.jpg,cat", "2.jpg,cat;dog"))
    source = tacit.load(photos, taxonomy=photos.parent / "tree.txt")
    described = source.describe()
    assert described["images that contradict themselves"] == 1
    assert "1 images contradict the taxonomy or the catalogue, first '2.jpg'" in str(
        described["side information"]
    )
    assert source.labels[1].tolist() == [1, 1, 1, -1, 0]  # both stay as they were given
    assert "contradict" not in " ".join(source.take(np.array([0])).describe())


def test_a_catalogue_of_what_is_allowed(photos: Path) -> None:
    path = beside(photos, "shop.csv", "product,allowed\n007,poodle;cat\n99,sofa\n")
    source = tacit.load(
        photos, groups="product", catalogue=path, taxonomy=photos.parent / "tree.txt"
    )
    # What an allowed class implies is allowed with it: dogs and animals.
    assert source.labels[0].tolist() == [1, -1, 1, 1, -1]
    assert source.labels[3].tolist() == [1, 0, 0, 0, 0]
    assert source.describe()["labels ruled out"] == 2
    assert "2 images belong to groups that are not in shop.csv" in str(
        source.describe()["side information"]
    )


def test_a_catalogue_of_what_is_absent(photos: Path) -> None:
    path = beside(photos, "shop.csv", 'product,absent\n8,"cat;dog;fish"\n')
    source = tacit.load(photos, groups="product", catalogue=path)
    assert source.labels[3].tolist() == [1, -1, -1, 0, 0]
    assert source.labels[2].tolist() == [0, -1, 1, 0, 1]  # it was said to show a dog
    told = str(source.describe()["side information"])
    assert "1 names in shop.csv are no classes, first 'fish'" in told
    assert "1 images contradict" in told


def test_too_many_labels_are_counted(photos: Path) -> None:
    source = tacit.load(photos, at_most=1, taxonomy=photos.parent / "tree.txt")
    described = source.describe()
    assert described["labels per image at most"] == 1  # implied ones do not count
    assert "1 images have more than 1 known positives" in str(described["side information"])


def test_equal_files_become_one_image_with_all_labels(photos: Path) -> None:
    source = tacit.load(photos, merge_duplicates=True, groups="product")
    assert list(source.images) == ["1.jpg", "2.jpg", "3.jpg", "5.jpg"]
    assert source.labels[2].tolist() == [1, 0, 1, 0, 1]
    assert source.side is not None and source.side.groups is not None
    assert len(source.side.groups) == 4
    assert "1 images are equal files and were merged" in str(source.describe()["side information"])


def test_equal_files_that_disagree_leave_the_class_unknown(photos: Path) -> None:
    table = "file,dog,cat\n1.jpg,1,\n2.jpg,,1\n3.jpg,1,0\n4.jpg,0,0\n5.jpg,,\n"
    beside(photos, "photos.csv", table)
    source = tacit.load(photos, merge_duplicates=True)
    assert source.labels[2].tolist() == [0, -1]
    assert "1 labels of equal files contradict each other" in str(
        source.describe()["side information"]
    )


def test_equal_files_of_different_parts_are_left_there_and_told(photos: Path) -> None:
    parts = [f"{line},{part}" for line, part in zip(
        TABLE.splitlines(), ("split", "train", "train", "train", "test", "test"), strict=True
    )]  # fmt: skip
    beside(photos, "photos.csv", "\n".join(parts))
    source = tacit.load(photos, merge_duplicates=True, groups="product")
    assert len(source) == 5
    told = str(source.describe()["side information"])
    assert "1 images are in another split" in told and "1 groups have images in several" in told
    assert len(tacit.load(photos, split="test", groups="product").side.groups) == 2  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "produkt"}, "no column 'produkt' of groups; did you mean 'product'"),
        ({"catalogue": "shop.csv"}, "say which column they are, as groups"),
        ({"at_most": 0}, "1 or more, not 0"),
        ({"at_most": True}, "at_most must be a whole number or none, not True"),
        ({"group": "product"}, "did you mean 'groups'"),
    ],
)
def test_wrong_requests_are_refused(photos: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tacit.load(photos, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("product,colour\n8,red\n", "needs a first column of groups and a column 'allowed'"),
        ("allowed,product\n8,red\n", "needs a first column"),
    ],
)
def test_catalogues_are_checked(photos: Path, text: str, message: str) -> None:
    path = beside(photos, "shop.csv", text)
    with pytest.raises(DataError, match=message):
        tacit.load(photos, groups="product", catalogue=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,a,b\n1.jpg,1,2\n", "needs one column of groups beside 'file'; it has 2"),
        ("name,a\n1.jpg,1\n", "no column of file names"),
        ("file,a\n9.jpg,1\n", "names none of the images"),
        ("file,a\n1.jpg,1\n1.jpg,2\n", "'1.jpg' is in two groups, '1' and '2'"),
    ],
)
def test_tables_of_groups_are_checked(photos: Path, text: str, message: str) -> None:
    path = beside(photos, "groups.csv", text)
    with pytest.raises(DataError, match=message):
        tacit.load(photos, groups=path)


def test_folders_take_groups_from_a_table_only(photos: Path) -> None:
    folder = photos.parent / "folders"
    for name in ("dog", "cat"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(folder / name / "1.jpg")
    table = beside(photos, "groups.csv", "file,video\ndog/1.jpg,a\ncat/1.jpg,a\n")
    source = tacit.load(folder, groups=table)
    assert source.side is not None and source.side.groups is not None
    assert source.side.groups.tolist() == [0, 0]
    with pytest.raises(UsageError, match="groups = 'video' is no table file"):
        tacit.load(folder, groups="video")


def make_products(photos: Path) -> Path:
    """Forty images of ten products."""
    lines = ["file,labels,product"]
    for row in range(40):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(photos.parent / f"p{row}.png")
        lines.append(f"p{row}.png,{'dog' if row % 3 else 'cat;sofa'},{row // 4}")
    return beside(photos, "products.csv", "\n".join(lines))


def test_training_keeps_groups_together_and_sees_what_follows(photos: Path) -> None:
    beside(photos, "tree.txt", "exclusive: dog, cat\n")
    options = {"groups": "product", "taxonomy": str(photos.parent / "tree.txt")}
    splits = load_splits(
        DataConfig(name=str(make_products(photos)), options=options, validation=0.25, test=0.2)
    )
    groups = []
    for source in (splits.train, splits.validation, splits.test):
        assert source.side is not None and source.side.groups is not None
        groups.append(set(source.side.groups.tolist()))
        assert (source.labels.dense()[:, :2].sum(1) == 0).all()  # one of them there, one not
    assert [len(some) for some in groups] == [6, 2, 2]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_what_follows_is_added_to_drawn_labels_as_well(photos: Path) -> None:
    beside(photos, "tree.txt", "exclusive: dog, cat\n")
    options = {"taxonomy": str(photos.parent / "tree.txt"), "absent": "negative"}
    splits = load_splits(DataConfig(name=str(make_products(photos)), options=options, positives=1))
    labels = splits.train.labels.dense()
    assert (splits.train.labels.per_image(1) == 1).all()
    dogs = labels[:, splits.train.classes.index("dog")] == 1
    assert dogs.any() and (labels[dogs, splits.train.classes.index("cat")] == -1).all()
    assert splits.train.labels.count(0) > 0


def test_one_large_group_cannot_be_divided(photos: Path) -> None:
    path = make_products(photos)
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *(f"{line.rpartition(',')[0]},one" for line in lines)]))
    with pytest.raises(DataError, match="leaves 40 and 0. .* Groups of images stay together"):
        load_splits(DataConfig(name=str(path), options={"groups": "product"}))
