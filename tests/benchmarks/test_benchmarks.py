"""The benchmarks' official files are read as the literature reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tacit.benchmarks import BENCHMARKS, read_benchmark
from tacit.benchmarks.nuswide import CLASSES as NUS
from tacit.benchmarks.voc2012 import CLASSES as VOC
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError


def named(listing: Listing, part: str) -> dict[str, set[str]]:
    """The present classes of every image of a part."""
    source = listing.source(part)
    return {
        image: {listing.classes[c] for c in np.flatnonzero(source.labels[row] == 1)}
        for row, image in enumerate(source.images)
    }


def test_voc_takes_1_alone_for_present_and_leaves_images_without_a_class_out(voc2012: Path) -> None:
    listing = read_benchmark("voc2012", voc2012)
    assert listing.classes == VOC and len(VOC) == 20 and list(VOC) == sorted(VOC)
    # Sorted by file name; 2009_000001 shows a difficult dog only and is not there.
    assert named(listing, "train") == {
        "JPEGImages/2007_000027.jpg": {"person"},
        "JPEGImages/2007_000032.jpg": {"aeroplane"},
        "JPEGImages/2008_000008.jpg": {"horse", "person"},
    }
    assert list(named(listing, "train")) == sorted(named(listing, "train"))
    assert named(listing, "test")["JPEGImages/2007_000042.jpg"] == {"train", "tvmonitor"}
    assert listing.labels.count(0) == 0  # difficult ones are absent, not unknown
    assert "2 cells of train are only difficult" in listing.notes[0]
    assert listing.source("train").open(0).size == (8, 6)


def test_coco_sorts_numbers_as_text_and_counts_crowds(coco2014: Path) -> None:
    listing = read_benchmark("coco2014", coco2014)
    assert listing.classes == ("person", "car", "bus")
    shown = named(listing, "train")
    assert [int(name[-16:-4]) for name in shown] == [100012, 25, 9]
    assert list(shown.values()) == [{"car", "bus"}, {"person"}, {"car"}]
    assert [int(name[-16:-4]) for name in named(listing, "test")] == [42, 7]
    boxes = listing.source("train").boxes
    assert boxes is not None
    assert [(box.label, box.corners) for box in boxes(1)] == [(0, (1, 2, 4, 6))] * 2
    listing.source("test").open(1)


def test_nus_wide_keeps_the_arrays_order_and_images_without_a_class(nuswide: Path) -> None:
    listing = read_benchmark("nuswide", nuswide)
    assert len(NUS) == 81 and list(NUS) == sorted(NUS)
    assert named(listing, "train") == {
        "Flickr/a/1.jpg": {"bear", "zebra"},
        "Flickr/a/2.jpg": set(),
        "Flickr/b/3.jpg": {"airport"},
    }
    assert "1 images of train show none of the classes" in listing.notes


def test_cub_ignores_stray_words_and_splits_by_flag(cub: Path) -> None:
    listing = read_benchmark("cub", cub)
    numbers = {image: {int(name.split()[1]) for name in said} for image, said in
               named(listing, "train").items()}  # fmt: skip
    assert numbers == {"images/001.Albatross/A_1.jpg": {1, 5, 312},
                       "images/002.Wren/W_1.jpg": {300, 301}}  # fmt: skip
    assert list(named(listing, "test")) == ["images/001.Albatross/A_2.jpg"]
    (cub / "CUB_200_2011" / "attributes" / "attributes.txt").write_text(
        "".join(f"{n} part::{n}\n" for n in range(1, 313))
    )
    assert read_benchmark("cub", cub).classes[4] == "part::5"


def test_cub_counts_its_lines(cub: Path) -> None:
    path = cub / "CUB_200_2011" / "attributes" / "image_attribute_labels.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(DataError, match="has 935 attributes; 936 were expected"):
        read_benchmark("cub", cub)


def test_open_images_knows_present_absent_and_unknown(openimages_v3: Path) -> None:
    listing = read_benchmark("openimages_v3", openimages_v3)
    train = listing.source("train")
    assert train.images == ["train/a1.jpg", "train/b2.jpg"]
    assert train.labels.dense().tolist() == [[0, -1, 1], [1, 0, 0]]
    assert listing.split_names() == ["train", "validation", "test"]
    assert "1 labels of train are of classes not trainable" in listing.notes


def test_open_images_refuses_machine_labels_and_contradictions(openimages_v3: Path) -> None:
    path = openimages_v3 / "2017_11" / "train" / "annotations-human.csv"
    good = path.read_text()
    path.write_text(good + "a1,machine,/m/1,0.7\n")
    with pytest.raises(DataError, match="1 rows have a confidence other than 0 and 1"):
        read_benchmark("openimages_v3", openimages_v3)
    path.write_text(good + "a1,verification,/m/3,0\n")
    with pytest.raises(DataError, match="train split contradicts itself: 1 cells"):
        read_benchmark("openimages_v3", openimages_v3)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_what_is_missing_is_listed_with_where_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_benchmark(name, tmp_path)
    said = str(error.value)
    for file, origin in BENCHMARKS[name].files.items():
        assert file in said and origin in said
    assert BENCHMARKS[name].source in said
    with pytest.raises(UsageError, match="There is no benchmark called"):
        read_benchmark(name[:-1] + "x", tmp_path)


def test_damaged_files_are_named(
    voc2012: Path, coco2014: Path, nuswide: Path, cub: Path
) -> None:  # the fixtures share one folder
    damage = {
        "voc2012": "VOCdevkit/VOC2012/ImageSets/Main/dog_train.txt",
        "coco2014": "annotations/instances_train2014.json",
        "nuswide": "formatted_val_labels.npy",
        "cub": "CUB_200_2011/attributes/image_attribute_labels.txt",
    }
    for name, file in damage.items():
        path = voc2012 / file
        whole = path.read_bytes()
        for broken in (whole[: len(whole) // 2 - 3], b"\x00\xff" * 50, b"{}"):
            path.write_bytes(broken)
            with pytest.raises(DataError, match=path.name):
                read_benchmark(name, voc2012)
        path.write_bytes(whole)
        read_benchmark(name, voc2012)


def test_coco_parts_must_have_the_same_categories(coco2014: Path) -> None:
    path = coco2014 / "annotations" / "instances_val2014.json"
    content = json.loads(path.read_text())
    content["categories"][1]["name"] = "lorry"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="other categories than the training split"):
        read_benchmark("coco2014", coco2014)
