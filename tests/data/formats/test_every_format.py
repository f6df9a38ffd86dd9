"""What holds of all formats: names of sets, doubtful names of images, and kinds of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.formats.examples import CLASSES, EXAMPLES, SHOWN
from tacit.data.formats import FORMATS, is_writable, read_listing, write_listing
from tacit.data.listing import Listing
from tacit.errors import DataError
from tacit.labels import SparseLabels

# Folders give images names of their own, and so refuse others than files of labels do.
NAMED = sorted(name for name in FORMATS if is_writable(name) and name not in ("folders",))


def listing(images: list[str], root: Path) -> Listing:
    labels = SparseLabels.of(np.array([[1, 0], [0, 1]], dtype=np.int8))
    return Listing("it", root, images, ("cat", "dog"), labels)


@pytest.mark.parametrize("example", [name for name in EXAMPLES if name != "prepared"])
def test_a_set_is_called_as_the_user_says_and_else_by_its_place(
    example: str, tmp_path: Path
) -> None:
    (tmp_path / "things").mkdir()
    path = EXAMPLES[example][1](tmp_path / "things")
    assert read_listing(path, name="mine").name == "mine"
    assert read_listing(path).name in ("things", path.stem)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_says_the_same(example: str, tmp_path: Path) -> None:
    format, make = EXAMPLES[example]
    options = {"join": "name"} if example == "folders" else {}
    read = read_listing(make(tmp_path), format=format, **options)  # type: ignore[arg-type]
    assert read.classes == tuple(CLASSES)
    shown = {
        Path(image).name: {read.classes[column] for column in columns}
        for image, columns in zip(read.images, read.labels.positives(), strict=True)
    }
    assert shown == {name: set(labels) for name, labels in SHOWN.items()}
    if read.boxes is not None:
        assert read.boxes.corners.dtype == np.float32 and read.boxes.labels.dtype == np.int32


@pytest.mark.parametrize("format", NAMED)
@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (["1.jpg", "1.jpg"], "1 images that are named again"),
        (["./1.jpg", "2.jpg"], "1 image names that would be read as others, first './1.jpg'"),
        (["a\\1.jpg", "b\\2.jpg"], "2 image names that would be read as others"),
    ],
)
def test_names_that_would_be_read_as_others_are_not_written(
    format: str, images: list[str], sentence: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ending = {"table": "it.csv", "coco_json": "it.json", "openimages_csv": "it.csv"}
    with pytest.raises(DataError, match=sentence):
        write_listing(listing(images, tmp_path), out / ending.get(format, "it"), format)
    assert not list(out.iterdir())
