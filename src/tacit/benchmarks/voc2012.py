"""PASCAL VOC 2012, as single positive multi-label learning uses it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tacit.benchmarks.rows import full_listing, present
from tacit.data.listing import Listing
from tacit.errors import DataError
from tacit.files import read_text

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
FOLDER = Path("VOCdevkit") / "VOC2012"
PARTS = {"train": "train", "test": "val"}


def read(root: Path) -> Listing:
    """Read the image sets: the official validation part is the test part.

    A class is present where its file says 1. Where it says 0, only difficult instances are in the
    picture, and the literature counts it as absent. Images without any class are left out.
    """
    found, notes = {}, []
    for part, official in PARTS.items():
        positives: dict[str, list[int]] = {}
        difficult = 0
        for column, name in enumerate(CLASSES):
            path = root / FOLDER / "ImageSets" / "Main" / f"{name}_{official}.txt"
            for image, flag in _flags(path):
                if flag == 1:
                    positives.setdefault(image, []).append(column)
                difficult += flag == 0
        images = sorted(f"{image}.jpg" for image in positives)
        columns = [positives[image.removesuffix(".jpg")] for image in images]
        rows = [row for row, present_here in enumerate(columns) for _ in present_here]
        labels = present(rows, list(chain.from_iterable(columns)), (len(images), len(CLASSES)))
        found[part] = ([f"JPEGImages/{image}" for image in images], labels)
        notes.append(f"{difficult} cells of {part} are only difficult and count as absent")
    return full_listing("voc2012", root / FOLDER, CLASSES, found, notes)


def _flags(path: Path) -> list[tuple[str, int]]:
    flags = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or words[-1] not in ("1", "0", "-1"):
            raise DataError(f"{path}, line {number}: expected an image and 1, 0 or -1: {line!r}.")
        flags.append((words[0], int(words[-1])))
    return flags
