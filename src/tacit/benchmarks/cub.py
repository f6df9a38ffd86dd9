"""CUB-200-2011: birds and their 312 attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacit.data.listing import Listing, join_splits
from tacit.data.observe import label_all
from tacit.errors import DataError
from tacit.files import read_text
from tacit.names import split_lines

FOLDER = Path("CUB_200_2011")
ATTRIBUTES = 312


def read(root: Path) -> Listing:
    """Read the attributes: present where an annotator said so, however certain."""
    folder = root / FOLDER
    images = _pairs(folder / "images.txt")
    in_training = _pairs(folder / "train_test_split.txt")
    if images.keys() != in_training.keys():
        raise DataError(f"{folder}: images.txt and train_test_split.txt list other images.")
    numbers = list(images)
    truth = _read_attributes(folder / "attributes" / "image_attribute_labels.txt", numbers)
    found = {}
    for split, flag in (("train", "1"), ("test", "0")):
        rows = [row for row, number in enumerate(numbers) if in_training[number] == flag]
        names = [f"images/{images[numbers[row]]}" for row in rows]
        found[split] = (names, label_all(truth[rows]))
    return join_splits("cub", folder, _names(folder), found)


def _pairs(path: Path) -> dict[str, str]:
    try:
        lines = split_lines(read_text(path))
        return dict(line.split(maxsplit=1) for line in lines if line.strip())
    except ValueError as error:
        raise DataError(f"{path} does not hold a number and a word on each line.") from error


def _read_attributes(path: Path, numbers: list[str]) -> NDArray[np.bool_]:
    """Read one row for each image and attribute, image by image.

    Only the first three words of a line count: some lines of the official file have stray ones
    after them.
    """
    row_of = {number: row for row, number in enumerate(numbers)}
    truth = np.zeros((len(numbers), ATTRIBUTES), dtype=bool)
    lines = 0
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                words = line.split(maxsplit=3)[:3]
                if not words:
                    continue
                number, attribute, flag = words
                truth[row_of[number], int(attribute) - 1] = flag == "1"
                lines += 1
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise DataError(
            f"{path}, line {lines + 1} is no attribute of an image: {error}."
        ) from error
    if lines != truth.size:
        raise DataError(f"{path} has {lines:,} attributes; {truth.size:,} were expected.")
    return truth


def _names(folder: Path) -> list[str]:
    """Return the attributes' names, or their numbers where the list is not there."""
    for path in (folder / "attributes" / "attributes.txt", folder.parent / "attributes.txt"):
        if path.is_file():
            names = _pairs(path)
            if len(names) == ATTRIBUTES:
                return list(names.values())
    return [f"attribute {number}" for number in range(1, ATTRIBUTES + 1)]
