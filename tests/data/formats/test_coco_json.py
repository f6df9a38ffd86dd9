"""COCO's JSON: what an annotation names is present, and boxes are where it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark_copies import touch_image
from data.formats.examples import coco_document, coco_folder, coco_json
from tacit.data.formats import read_listing, recognise
from tacit.errors import DataError


def read(folder: Path, change: dict[str, Any], **options: Any) -> Any:
    path = folder / "labels.json"
    path.write_text(json.dumps({**coco_document(["1.jpg", "2.jpg", "3.jpg"]), **change}))
    return read_listing(path, **options)


def test_crowds_are_present_and_boxes_are_corners(tmp_path: Path) -> None:
    listing = read_listing(coco_json(tmp_path))
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert listing.boxes is not None
    assert [(box.label, box.corners) for box in listing.boxes.of(0)] == [
        (1, (1, 2, 4, 5)), (2, (1, 2, 4, 5))
    ]  # fmt: skip
    assert listing.boxes.of(2)[0].label == 0


def test_boxes_of_an_image_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    places = list(range(90))
    annotations = [
        {"image_id": 1 + place % 2, "category_id": 1, "bbox": [place, 0, 1, 1]} for place in places
    ]
    listing = read(tmp_path, {"annotations": annotations})
    for row in (0, 1):
        assert [box.corners[0] for box in listing.boxes.of(row)] == places[row::2]


def test_images_without_annotations_stay(tmp_path: Path) -> None:
    listing = read(tmp_path, {"annotations": []})
    assert len(listing) == 3 and listing.labels.count(0) == 9 and listing.boxes is None


def test_files_are_parts_and_other_annotations_are_passed_over(tmp_path: Path) -> None:
    listing = read_listing(coco_folder(tmp_path))
    assert list(listing.splits) == ["train", "train", "val"]
    assert listing.images == ["train2017/1.jpg", "train2017/2.jpg", "val2017/3.jpg"]


def test_a_folder_for_each_part_with_its_own_file(tmp_path: Path) -> None:
    for part, names in {"train": ["1.jpg"], "valid": ["2.jpg"]}.items():
        touch_image(tmp_path / part / names[0])
        text = json.dumps(coco_document(names))
        (tmp_path / part / "_annotations.coco.json").write_text(text)
    listing = read_listing(tmp_path)
    assert listing.images == ["train/1.jpg", "valid/2.jpg"]
    assert list(listing.splits) == ["train", "valid"]


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    same = [{"id": 1, "name": "a"}, {"id": 11, "name": "b"}, {"id": 21, "name": "a"}]
    assert read(tmp_path, {"categories": same}).classes == ("a", "b")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": 5}, "no list of objects called 'images'"),
        ({"annotations": [5]}, "no list of objects called 'annotations'"),
        ({"categories": [{"id": 1, "name": "a"}]}, "3 annotations whose image or category"),
        (  # and nothing of them is looked at
            {"annotations": [{"image_id": 9, "category_id": 1, "bbox": [1, 2]}]},
            "1 annotations whose image or category",
        ),
        ({"images": [{"id": 1, "file_name": "1.jpg"}] * 2}, "gives 1 images a number twice"),
        ({"images": [{"id": 1}]}, "no name or number called 'file_name'"),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2]}]}, "4 numbers"),
        ({"annotations": [{"image_id": [], "category_id": 1}]}, "called 'image_id'"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    if "images" in change and change["images"] and change["images"] != 5:
        change = {**change, "annotations": []}
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, change)


def test_parts_with_other_categories_are_refused(tmp_path: Path) -> None:
    path = coco_folder(tmp_path) / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    document["categories"].append({"id": 99, "name": "more"})
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="other categories than instances_train2017.json"):
        read_listing(tmp_path)


def test_a_large_file_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    document = coco_document(["1.jpg"])
    document["images"] = [{"id": n, "file_name": f"{n}.jpg"} for n in range(1, 20_000)]
    path = tmp_path / "large.json"
    path.write_text(json.dumps(document))
    assert path.stat().st_size > 1 << 19 and recognise(path) == "coco_json"


def test_classes_that_somebody_looked_for_in_vain_are_absent(tmp_path: Path) -> None:
    document = coco_document(["1.jpg", "3.jpg"])
    document["images"][1]["neg_category_ids"] = [11, 21]
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(document))
    assert read_listing(path).labels.dense().tolist() == [[0, 1, 1], [1, -1, -1]]
    for wrong, said in (
        (7, "should be a list"),
        ([{}], "should be a list"),
        ([99], "1 annotations"),
    ):
        document["images"][1]["neg_category_ids"] = wrong
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match=said):
            read_listing(path)
    document["images"][1]["neg_category_ids"] = [1]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="contradicts itself"):
        read_listing(path)
