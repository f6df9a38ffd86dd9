"""COCO's JSON: images, categories, and annotations with boxes.

A class is present where any annotation says so, crowds included. COCO itself looked for every class
in every image; other people's files often did not, so what is not annotated is unknown unless told
otherwise. An image's ``neg_category_ids`` are classes that are known to be absent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells, assemble, place_names
from tacit.data.formats.shared.json_files import entries, field, numbers, read_json, read_outline
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.writing import (
    describe_left_out,
    file_name,
    name_rows,
    refuse_existing,
    refuse_odd_names,
    writing_folder,
)
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import find_split_name
from tacit.errors import DataError
from tacit.files import write_text
from tacit.labels import number_cells

KEYS = frozenset(("images", "annotations", "categories"))
PREFIX = "instances_"
# Of an image: the classes that somebody looked for and did not find, as LVIS calls them.
NEGATIVE = "neg_category_ids"


def recognise(path: Path) -> Match | None:
    """Say why a path looks like COCO's JSON."""
    if path.is_file():
        return Match("JSON of images, annotations and categories") if _is_coco(path) else None
    return next((Match(f"a folder with {file.name}") for file in find_files(path)), None)


def _is_coco(path: Path) -> bool:
    seen = read_outline(path) if path.suffix.lower() == ".json" else None
    if seen is None or seen.kind != "object" or "data" in seen.keys:
        return False
    return seen.keys >= KEYS if seen.whole else bool(KEYS & seen.keys)


def find_files(folder: Path) -> list[Path]:
    """Return the files of a folder's splits; of COCO's own annotations, the instances."""
    patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    found = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
    found = [file for file in found if _is_coco(file)]
    return [file for file in found if file.name.startswith(PREFIX)] or found


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
) -> Listing:
    """Read one file, or a folder with a file for each split.

    Args:
        path: The file, or the folder in which they lie, or in whose ``annotations`` they lie.
        images: Folder of the images; looked for beside the file if None.
        absent: What it means that a class has no annotation in an image.
        name: What the set is called; the file's name if None.
    """
    files = find_files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} has no JSON file with images, annotations and categories.")
    root = path if path.is_dir() else path.parent
    root = images or (root.parent if root.name == "annotations" else root)
    cells, objects, absents = Cells(str(path), absent), Objects(), Objects()
    rows: list[str] = []
    splits: list[str] = []
    classes: list[str] = []
    for file in files:
        names, found = _read_file(file, objects, absents, len(rows))
        if splits and found != classes:
            raise DataError(f"{file} has other categories than {files[0].name}.")
        classes, split = found, _name_split(file)
        stem = file.stem.removeprefix(PREFIX)
        also = [f"{top}{folder}" for folder in (stem, split) for top in ("", "images/")]
        folder, placed = place_names(names, root, images, also)
        below = folder.relative_to(root).as_posix()
        rows += placed if below == "." else [f"{below}/{image}" for image in placed]
        splits += [split] * len(names)
    objects.put_into(cells)
    absents.put_into(cells, -1)
    several = splits if len(files) > 1 else None
    return assemble(cells, name or path.stem, (root, rows), several, classes)


def _name_split(file: Path) -> str:
    if file.stem.startswith("_annotations"):  # one in each split's folder
        return file.parent.name
    return find_split_name(file.stem, PREFIX)


def _read_file(
    path: Path, objects: Objects, absents: Objects, first: int
) -> tuple[list[str], list[str]]:
    """Add a file's objects; return the names of its images and of its classes."""
    where, document = str(path), read_json(path)
    names = {
        field(c, "id", where): str(field(c, "name", where))
        for c in entries(document, "categories", where)
    }
    listed = entries(document, "images", where)
    row_of = {field(image, "id", where): first + row for row, image in enumerate(listed)}
    if len(row_of) < len(listed):
        raise DataError(f"{where} gives {len(listed) - len(row_of)} images a number twice.")
    lost = 0
    for place, image in enumerate(listed, first):
        said = image.get(NEGATIVE) or []
        if not isinstance(said, list) or not all(isinstance(n, str | int) for n in said):
            raise DataError(f"{where}: {NEGATIVE} should be a list of categories and is none.")
        for found in (names.get(number) for number in said):
            if found is None:
                lost += 1
            else:
                absents.add(place, found)
    for annotation in entries(document, "annotations", where):
        row = row_of.get(field(annotation, "image_id", where))
        name = names.get(field(annotation, "category_id", where))
        if row is None or name is None:
            lost += 1
            continue
        box = annotation.get("bbox")
        objects.add(row, name, None if box is None or box == [] else _corners(box, where))
    if lost:
        raise DataError(f"{where} has {lost:,} annotations whose image or category is not listed.")
    files = [str(field(image, "file_name", where)) for image in listed]
    return files, list(dict.fromkeys(names.values()))


def _corners(box: Any, where: str) -> list[float]:
    left, top, width, height = numbers(box, 4, where)
    return [left, top, left + width, top + height]


def write(listing: Listing, path: Path) -> list[str]:
    """Write a file, or a folder with ``annotations/instances_PART.json`` if there are splits.

    Boxes are written where the class is known to be present. A label without a box becomes an
    annotation without ``bbox``; no box is invented. Where something is unknown, an image names the
    classes that are known to be absent.
    """
    notes = describe_left_out(listing, boxes=True)
    if listing.labels.count(-1) and not listing.labels.count(0):
        notes.append("everything is known: read it with absent = negative")
    refuse_odd_names(listing)
    boxes = _boxes_of_cells(listing)
    plain = listing.labels.count(1) - len(boxes)
    if plain:
        notes.append(f"{plain:,} labels have no box; their annotations have no bbox")
    if not listing.splits:
        refuse_existing(path)
        write_text(path, json.dumps(_document(listing, np.arange(len(listing)), boxes)))
        return notes
    with writing_folder(path) as folder:
        (folder / "annotations").mkdir()
        for split, rows in zip(listing.split_names(), listing.rows_by_split(), strict=True):
            target = folder / "annotations" / f"{PREFIX}{file_name(split)}.json"
            if find_split_name(split) != split:
                raise DataError(
                    f"The split '{split}' would be read as '{find_split_name(split)}'; rename it."
                )
            write_text(target, json.dumps(_document(listing, rows, boxes)))
    return notes


def _boxes_of_cells(listing: Listing) -> dict[tuple[int, int], list[list[float]]]:
    """Return the boxes of every cell that is known to be present."""
    found: dict[tuple[int, int], list[list[float]]] = {}
    if listing.boxes is None:
        return found
    labels, boxes = listing.labels, listing.boxes
    cells = number_cells(boxes.rows, boxes.labels, labels.classes)
    for entry in np.flatnonzero(np.isin(cells, labels.number_cells(1))):
        row, column = int(boxes.rows[entry]), int(boxes.labels[entry])
        left, top, right, bottom = (float(edge) for edge in boxes.corners[entry])
        found.setdefault((row, column), []).append([left, top, right - left, bottom - top])
    return found


def _document(
    listing: Listing, rows: NDArray[np.int64], boxes: dict[tuple[int, int], list[list[float]]]
) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for row, columns in zip(rows, listing.labels.take(rows).positives(), strict=True):
        for column in columns:
            for box in boxes.get((int(row), int(column)), [None]):
                entry = {"id": len(annotations) + 1, "image_id": int(row) + 1, "iscrowd": 0}
                entry["category_id"] = int(column) + 1
                sized = {} if box is None else {"bbox": box, "area": box[2] * box[3]}
                annotations.append({**entry, **sized})
    images: list[dict[str, Any]] = [
        {"id": int(row) + 1, "file_name": listing.images[row]} for row in rows
    ]
    number = {name: n for n, name in enumerate(listing.classes, 1)}
    if listing.labels.count(0):
        absent = name_rows(listing.labels.take(rows), listing.classes, -1)
        for image, names in zip(images, absent, strict=True):
            image |= {NEGATIVE: [number[name] for name in names]} if names else {}
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for name, n in number.items()],
    }
