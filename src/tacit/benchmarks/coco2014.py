"""Microsoft COCO 2014, as single positive multi-label learning uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tacit.data.listing import Boxes, Listing, join_splits
from tacit.errors import DataError
from tacit.files import read_json
from tacit.labels import SparseLabels

SPLITS = {"train": "train2014", "test": "val2014"}

Annotation = tuple[int, int, list[float] | None]  # image, category, box if there is one


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
        numbers = sorted({image for image, _, _ in annotations}, key=str)
        row = {number: place for place, number in enumerate(numbers)}
        rows = [row[image] for image, _, _ in annotations]
        columns = [column[category] for _, category, _ in annotations]
        labels = SparseLabels.from_present(rows, columns, (len(numbers), len(classes)))
        images = [f"{official}/COCO_{official}_{number:012d}.jpg" for number in numbers]
        found[split] = (images, labels)
        boxes += [
            (offset + r, c, box)
            for r, c, (_, _, box) in zip(rows, columns, annotations, strict=True)
            if box is not None
        ]
        offset += len(numbers)
    return join_splits("coco2014", root, classes or (), found, boxes=_join(boxes))


def _read(path: Path) -> tuple[list[Annotation], dict[int, str]]:
    content = read_json(path)
    try:
        categories = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        annotations = [
            (
                int(a["image_id"]),
                int(a["category_id"]),
                _corners(a["bbox"]) if "bbox" in a else None,
            )
            for a in content["annotations"]
        ]
        strange = {category for _, category, _ in annotations} - set(categories)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{path} does not hold COCO's instances: {error!r}.") from error
    if strange:
        raise DataError(f"{path}: {len(strange)} category numbers are in no category.")
    return annotations, categories


def _corners(box: list[float]) -> list[float]:
    left, top, width, height = map(float, box)
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
