"""Label Studio's export: what any annotator marked is there, and images are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark_copies import touch_image
from data.formats.examples import label_studio, label_studio_task
from tacit.data.formats import read_listing
from tacit.errors import DataError


def read(folder: Path, tasks: list[Any], **options: Any) -> Any:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return read_listing(path, format="label_studio", **options)


def task(address: str, *results: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"image": address}, "annotations": [{"result": list(results)}]}


def choice(*names: str, control: str = "seen") -> dict[str, Any]:
    return {"type": "choices", "from_name": control, "value": {"choices": list(names)}}


def test_choices_and_boxes_of_all_annotators_are_joined(tmp_path: Path) -> None:
    first = label_studio_task("1.jpg", ["cat", "dog"])
    first["annotations"].append({"result": [choice("bird")]})
    listing = read(tmp_path, [first, task("2.jpg", choice("dog"))])
    assert listing.labels.dense().tolist() == [[1, 1, 1], [0, 0, 1]]
    assert [box.corners for box in listing.boxes.of(0)] == [(2, 3, 6, 4.5)]


def test_a_turned_box_is_what_it_just_fits_in(tmp_path: Path) -> None:
    value = {"x": 50, "y": 0, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["a"]}
    result = {"type": "rectanglelabels", "value": value}
    result |= {"original_width": 100, "original_height": 100}
    listing = read(tmp_path, [task("1.jpg", result, choice("b"))])
    assert listing.boxes.of(0)[0].corners == pytest.approx((40, 0, 50, 20))


def test_a_path_of_a_taxonomy_is_a_class(tmp_path: Path) -> None:
    paths = [["animal", "dog"], ["animal"]]
    result = {"type": "taxonomy", "value": {"taxonomy": paths}}
    assert read(tmp_path, [task("1.jpg", result)]).classes == ("animal", "animal/dog")


def test_one_control_of_several_can_be_chosen(tmp_path: Path) -> None:
    both = task("1.jpg", choice("cat", "dog"), choice("blurred", control="quality"))
    assert read(tmp_path, [both]).classes == ("blurred", "cat", "dog")
    assert read(tmp_path, [both], control="seen").classes == ("cat", "dog")


def test_tasks_that_nobody_annotated_are_no_negatives(tmp_path: Path) -> None:
    bare = {"data": {"image": "2.jpg"}, "annotations": [{"result": [], "was_cancelled": True}]}
    tasks = [task("1.jpg", choice("a", "b")), bare]
    assert read(tmp_path, tasks).labels.dense().tolist() == [[1, 1], [0, 0]]
    assert read(tmp_path, tasks, absent="negative").images == ["1.jpg"]


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/3/0a1b2c3d-1.jpg", "0a1b2c3d-1.jpg"),
        ("/data/upload/3/0a1b2c3d-1.jpg", "1.jpg"),
        ("/data/local-files/?d=shelf/1.jpg", "shelf/1.jpg"),
        ("https://example.org/a%20b/1.jpg?size=3", "a b/1.jpg"),
        ("https://example.org/far/1.jpg", "1.jpg"),
        ("s3://bucket/deep/1.jpg", "deep/1.jpg"),
        ("is it #1? 100%.jpg", "is it #1? 100%.jpg"),
    ],
)
def test_addresses_lead_to_files(address: str, file: str, tmp_path: Path) -> None:
    touch_image(tmp_path / "images" / file)
    listing = read(tmp_path, [task(address, choice("a", "b"))], images=tmp_path / "images")
    assert listing.images == [file]


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ({"title": "a cat", "photo": "1.jpg"}, "1.jpg"),  # it is called like an image
        ({"title": "a cat", "image_url": "shelf/17"}, "shelf/17"),  # its key says so
        ({"n": 3, "image": "1.jpg", "other": "2.jpg"}, "1.jpg"),
    ],
)
def test_the_image_is_found_by_its_key_or_its_name(
    data: dict[str, Any], image: str, tmp_path: Path
) -> None:
    found = {"data": data, "annotations": [{"result": [choice("a", "b")]}]}
    assert read(tmp_path, [found]).images == [image]
    named = read(tmp_path, [{**found, "data": {**data, "x": "9.jpg"}}], image_key="x")
    assert named.images == ["9.jpg"]


def test_images_of_one_name_in_two_places_stay_two(tmp_path: Path) -> None:
    tasks = [task(f"https://example.org/{n}/1.jpg", choice("a", "b")) for n in range(2)]
    touch_image(tmp_path / "1.jpg")
    assert read(tmp_path, tasks).images == ["0/1.jpg", "1/1.jpg"]


def test_one_image_that_was_not_uploaded_keeps_all_paths(tmp_path: Path) -> None:
    uploads = [task(f"/data/upload/7/0123abcd-{n}.jpg", choice("a", "b")) for n in range(2)]
    assert read(tmp_path, uploads).images == ["0123abcd-0.jpg", "0123abcd-1.jpg"]
    elsewhere = task("https://example.org/far/2.jpg", choice("a"))
    assert read(tmp_path, [*uploads, elsewhere]).images == [
        "data/upload/7/0123abcd-0.jpg", "data/upload/7/0123abcd-1.jpg", "far/2.jpg"
    ]  # fmt: skip


def test_other_answers_are_left_out_and_told(tmp_path: Path) -> None:
    text = {"type": "textarea", "value": {"text": ["x"]}}
    listing = read(tmp_path, [task("1.jpg", choice("a", "b"), text)])
    assert any("1 answers of other kinds" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("tasks", "sentence"),
    [
        ([5], "should be a list of tasks"),
        ([{"data": {"text": "x"}, "annotations": []}], "Say which with image_key"),
        ([{"data": {"image": "1.jpg"}, "annotations": 5}], "annotations are no list"),
        ([{"data": {"image": "1.jpg"}, "annotations": [{}]}], "list called 'result'"),
        ([task("1.jpg", {"type": "choices", "value": {"choices": "a"}})], "a list of names"),
        ([task("1.jpg", {"type": "taxonomy", "value": {"taxonomy": ["a"]}})], "path of a taxonomy"),
        ([task("1.jpg"), {"data": {}, "annotations": []}], "without an image's address"),
    ],
)
def test_what_is_wrong_is_said(tasks: list[Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, tasks)


def test_the_example_names_its_images_without_what_the_upload_added(tmp_path: Path) -> None:
    assert read_listing(label_studio(tmp_path)).images == ["1.jpg", "2.jpg", "3.jpg"]
