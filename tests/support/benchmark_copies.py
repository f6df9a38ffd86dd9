"""Small copies of the benchmarks in their official formats, oddities included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tacit.benchmarks.nuswide import CLASSES as NUS
from tacit.benchmarks.voc2012 import CLASSES as VOC

Make = Callable[[], Path]


def touch_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "gray").save(path)


@pytest.fixture
def voc2012(tmp_path: Path) -> Path:
    """Flags: 1 present, 0 only difficult, -1 absent; an image without a class; columns padded."""
    main = tmp_path / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main"
    main.mkdir(parents=True)
    flags = {
        "train": {
            "2008_000008": {"horse": 1, "person": 1},
            "2007_000027": {"person": 1},
            "2007_000032": {"aeroplane": 1, "person": 0},
            "2009_000001": {"dog": 0},
        },
        "val": {"2007_000033": {"cat": 1}, "2007_000042": {"train": 1, "tvmonitor": 1}},
    }
    for part, images in flags.items():
        for name in VOC:
            lines = [f"{image} {flag.get(name, -1):>2}" for image, flag in images.items()]
            (main / f"{name}_{part}.txt").write_text("\n".join(lines) + "\n")
        for image in images:
            touch_image(tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{image}.jpg")
    return tmp_path


@pytest.fixture
def coco2014(tmp_path: Path) -> Path:
    """Numbers whose order as text is another one; a crowd; an image without annotations."""
    categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 90, "name": "bus"}]

    def annotation(image: int, category: int, crowd: int = 0) -> dict[str, object]:
        return {"image_id": image, "category_id": category, "iscrowd": crowd, "bbox": [1, 2, 3, 4]}

    annotations = {
        "train2014": [annotation(25, 1), annotation(25, 1), annotation(100012, 90)]
        + [annotation(100012, 3, crowd=1), annotation(9, 3)],
        "val2014": [annotation(42, 1), annotation(7, 90)],
    }
    folder = tmp_path / "annotations"
    folder.mkdir()
    for part, listed in annotations.items():
        numbers = {int(str(a["image_id"])) for a in listed}
        images = [{"id": n, "file_name": f"COCO_{part}_{n:012d}.jpg"} for n in (*numbers, 77)]
        content = {"images": images, "annotations": listed, "categories": categories}
        (folder / f"instances_{part}.json").write_text(json.dumps(content))
        for image in images:
            touch_image(tmp_path / part / str(image["file_name"]))
    return tmp_path


@pytest.fixture
def nuswide(tmp_path: Path) -> Path:
    """Arrays, with an image that shows nothing."""
    for part, names in (("train", ["a/1.jpg", "a/2.jpg", "b/3.jpg"]), ("val", ["b/4.jpg"])):
        labels = np.zeros((len(names), len(NUS)))
        labels[0, [3, 80]] = 1
        if part == "train":
            labels[2, 0] = 1
        np.save(tmp_path / f"formatted_{part}_images.npy", np.array(names))
        np.save(tmp_path / f"formatted_{part}_labels.npy", labels)
        for name in names:
            touch_image(tmp_path / "Flickr" / name)
    return tmp_path


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    """Attributes image by image; some lines have stray words after the third."""
    folder = tmp_path / "CUB_200_2011"
    (folder / "attributes").mkdir(parents=True)
    names = {1: "001.Albatross/A_1.jpg", 2: "001.Albatross/A_2.jpg", 3: "002.Wren/W_1.jpg"}
    (folder / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in names.items()))
    (folder / "train_test_split.txt").write_text("1 1\n2 0\n3 1\n")
    present = {1: (1, 5, 312), 2: (2,), 3: (300, 301)}
    lines = []
    for number in names:
        for attribute in range(1, 313):
            flag = int(attribute in present[number])
            stray = " 0 7.5" if attribute == 5 else ""
            lines.append(f"{number} {attribute} {flag} 3{stray} 1.5")
        touch_image(folder / "images" / names[number])
    (folder / "attributes" / "image_attribute_labels.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def openimages_v3(tmp_path: Path) -> Path:
    """Verified present and absent, a class that is not trainable, the same row twice."""
    folder = tmp_path / "2017_11"
    rows = {
        "train": ["b2,verification,/m/1,1", "a1,verification,/m/2,0", "a1,crowdsource,/m/3,1.0"]
        + ["a1,verification,/m/9,1", "a1,verification,/m/2,0"],
        "validation": ["c3,verification,/m/1,0"],
        "test": ["d4,verification,/m/3,1"],
    }
    for part, lines in rows.items():
        (folder / part).mkdir(parents=True)
        text = "\n".join(["ImageID,Source,LabelName,Confidence", *lines, ""])
        (folder / part / "annotations-human.csv").write_text(text)
    (folder / "classes-trainable.txt").write_text("/m/1\n/m/2\n/m/3\n")
    return tmp_path
