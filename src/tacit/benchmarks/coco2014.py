"""Microsoft COCO 2014, as single positive multi-label learning uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tacit.data.listing import Boxes, Listing, join_splits
from tacit.errors import DataError
from tacit.labels import SparseLabels

SPLITS = {"train": "train2014", "test": "val2014"}


def read(root: Path) -> Listing:
    """Read the instances: a class is present where any annotation, crowds included, says so.

    Images without annotations are left out. Images are sorted by their number written out without
    leading zeros, as text: "100012" comes before "25". The draw of labels depends on it.
    """
    found, classes, offset = {}, None, 0
    boxes: list[tuple[int, int, list[float]]] = []
    for split, official in SPLITS.items():
        path = root / "annotations" / f"instances_{official}.json"
        annotations, categories = _read(path)
        names = tuple(categories.values())
        if classes is not None and names != classes:
            raise DataError(f"{path} has other categories than the training split.")
        classes = names
        column = {number: place for place, number in enumerate(categories)}
        numbers = sorted({int(a["image_id"]) for a in annotations}, key=str)
        row = {number: place for place, number in enumerate(numbers)}
        rows = [row[int(a["image_id"])] for a in annotations]
        columns = [column[int(a["category_id"])] for a in annotations]
        labels = SparseLabels.from_present(rows, columns, (len(numbers), len(classes)))
        images = [f"{official}/COCO_{official}_{number:012d}.jpg" for number in numbers]
        found[split] = (images, labels)
        boxes += [
            (offset + r, c, _corners(a["bbox"]))
            for r, c, a in zip(rows, columns, annotations, strict=True)
            if "bbox" in a
        ]
        offset += len(numbers)
    return join_splits("coco2014", root, classes or (), found, boxes=_join(boxes))


def _read(path: Path) -> tuple[list[Any], dict[int, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        annotations = content["annotations"]
        strange = {int(a["category_id"]) for a in annotations} - set(categories)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not hold COCO's instances: {error!r}.") from error
    if strange:
        raise DataError(f"{path}: {len(strange)} category numbers are in no category.")
    return annotations, categories


def _corners(box: list[float]) -> list[float]:
    left, top, width, height = box
    return [left, top, left + width, top + height]


def _join(boxes: list[tuple[int, int, list[float]]]) -> Boxes | None:
    if not boxes:
        return None
    rows, labels, corners = zip(*boxes, strict=True)
    return Boxes(
        np.array(rows, dtype=np.int64),
        np.array(labels, dtype=np.int32),
        np.array(corners, dtype=np.float32),
    )
