"""PASCAL VOC 2012, as single positive multi-label learning uses it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tacit.data.listing import Listing, join_splits
from tacit.errors import DataError
from tacit.files import read_text
from tacit.labels import SparseLabels
from tacit.names import split_lines

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
FOLDER = Path("VOCdevkit") / "VOC2012"
SPLITS = {"train": "train", "test": "val"}


def read(root: Path) -> Listing:
    """Read the image sets: the official validation split is the test split.

    A class is present where its file says 1. Where it says 0, only difficult instances are in the
    image, and the literature counts it as absent. Images without any class are left out.
    """
    found, notes = {}, []
    for split, official in SPLITS.items():
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
        labels = SparseLabels.from_present(
            rows, list(chain.from_iterable(columns)), (len(images), len(CLASSES))
        )
        found[split] = ([f"JPEGImages/{image}" for image in images], labels)
        notes.append(f"{difficult} cells of {split} are only difficult and count as absent")
    return join_splits("voc2012", root / FOLDER, CLASSES, found, notes)


def _flags(path: Path) -> list[tuple[str, int]]:
    flags = []
    for number, line in enumerate(split_lines(read_text(path)), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or words[-1] not in ("1", "0", "-1"):
            raise DataError(f"{path}, line {number}: expected an image and 1, 0 or -1: {line!r}.")
        flags.append((words[0], int(words[-1])))
    return flags
