"""Changing labels in COCO's JSON: tags beside boxes, and no box that nobody drew.

A class that is present gets an annotation without a box. A class that people said is absent is
named in its image's ``neg_category_ids``, as LVIS has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tacit.data.formats.coco_json import NEGATIVE, find_files
from tacit.data.listing import Listing
from tacit.errors import DataError
from tacit.repair.apply import Change
from tacit.repair.write_back.splice import (
    Edit,
    Span,
    find_elements,
    find_members,
    read_exactly,
    remove_elements,
    skip_blank,
    splice,
)


def edit_coco(
    path: Path, out: Path, listing: Listing, changes: Sequence[Change], complete: bool
) -> list[str]:
    """Write COCO's JSON with some labels changed.

    Args:
        path: The file, or the folder in which files lie.
        out: What to write.
        listing: What was read.
        changes: The changes.
        complete: Whether a class without an annotation is absent anyway.
    """
    files = find_files(path) if path.is_dir() else [path]
    if listing.repeated:
        raise DataError(
            f"{path} lists {listing.repeated} images again, so nobody can tell in which place "
            f"their labels belong. Write a table: --to table --out labels.csv."
        )
    by_image: dict[str, list[Change]] = {}
    for change in changes:
        by_image.setdefault(change.image, []).append(change)
    first, tags = 0, 0
    for file in files:
        text = read_exactly(file)
        parts = _Parts(text)
        images = listing.images[first : first + len(parts.images)]
        first += len(images)
        edits, count = _edit(parts, images, by_image, complete)
        tags += count
        target = out / file.relative_to(path) if path.is_dir() else out
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(splice(text, edits).encode())
    return [f"{tags:,} labels have no box; their annotations have no bbox"] if tags else []


class _Parts:
    """Where the pieces of a document are."""

    def __init__(self, text: str) -> None:
        self.text = text
        members, _ = find_members(text, skip_blank(text, 0))
        self.images = find_elements(text, members["images"][0])
        self.annotations = find_elements(text, members["annotations"][0])
        self.annotations_end = members["annotations"][1]
        self.category: dict[str, Any] = {}
        self.same: dict[str, set[Any]] = {}
        for _, said in find_elements(text, members["categories"][0]):
            name = str(said["name"])
            self.category.setdefault(name, said["id"])
            self.same.setdefault(name, set()).add(said["id"])


def _edit(
    parts: _Parts, images: Sequence[str], by_image: Mapping[str, list[Change]], complete: bool
) -> tuple[list[Edit], int]:
    """Return the edits of a file, and how many annotations without a box they add."""
    edits: list[Edit] = []
    new: list[dict[str, Any]] = []
    gone: set[tuple[Any, Any]] = set()
    for (span, said), name in zip(parts.images, images, strict=True):
        changes = by_image.get(name, [])
        if not changes:
            continue
        number, absent = said["id"], list(said.get(NEGATIVE, []))
        for change in changes:
            same = parts.same[change.label]
            absent = [category for category in absent if category not in same]
            if change.new == 1:
                category = parts.category[change.label]
                new.append({"image_id": number, "category_id": category, "iscrowd": 0})
            else:
                gone |= {(number, category) for category in same}
                absent += [] if complete else [parts.category[change.label]]
        if absent != said.get(NEGATIVE, []):
            edits.append(_edit_negatives(parts.text, span, absent))
    spans = [span for span, _ in parts.annotations]
    taken = {n for n, (_, said) in enumerate(parts.annotations) if _key(said) in gone}
    edits += remove_elements(parts.text, spans, taken)
    numbers = [said.get("id") for _, said in parts.annotations]
    last = max((number for number in numbers if isinstance(number, int)), default=0)
    for count, entry in enumerate(new, 1):
        entry["id"] = last + count
    return edits + _append(parts, spans, taken, new), len(new)


def _key(said: Mapping[str, Any]) -> tuple[Any, Any]:
    return said.get("image_id"), said.get("category_id")


def _edit_negatives(text: str, span: Span, absent: list[Any]) -> Edit:
    members, end = find_members(text, span[0])
    if NEGATIVE in members:
        return (*members[NEGATIVE], json.dumps(absent))
    last = max((stop for _, stop in members.values()), default=end - 1)
    return last, last, f', "{NEGATIVE}": {json.dumps(absent)}'


def _append(
    parts: _Parts, spans: list[Span], taken: set[int], new: list[dict[str, Any]]
) -> list[Edit]:
    """Return the edit that adds annotations, each like the one before it."""
    if not new:
        return []
    text = parts.text
    gap = ", "
    if len(spans) > 1:
        gap = text[spans[-2][1] : spans[-1][0]]
    entries = gap.join(json.dumps(entry) for entry in new)
    if not spans:
        at = parts.annotations_end - 1
        return [(at, at, entries)]
    at = spans[-1][1]
    return [(at, at, entries if len(taken) == len(spans) else gap + entries)]
