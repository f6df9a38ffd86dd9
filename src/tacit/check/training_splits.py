"""The splits that training will make, where the labels name none, and groups that stay together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tacit.config import DataConfig
from tacit.data.knowledge.options import CompletedListing
from tacit.data.listing import Listing
from tacit.data.split_names import find_kind
from tacit.data.splits import divide_rows
from tacit.errors import DataError
from tacit.files import write_atomically
from tacit.names import csv_writer


def make_training_splits(whole: CompletedListing, data: DataConfig) -> list[str]:
    """Return the split of each image in training, or nothing where training makes no split.

    Args:
        whole: The labels, as training reads them.
        data: The shares that are set aside, and the seed.
    """
    listing = whole.listing
    named = listing.split_names()
    kinds = {find_kind(name): name for name in named}
    sound = not named or ("train" in kinds and None not in kinds and len(kinds) == len(named))
    if not sound or {"validation", "test"} <= set(kinds) or len(listing.classes) < 2:
        return []
    made = [find_kind(split) or "" for split in listing.splits] or ["train"] * len(listing)
    rows = np.flatnonzero(np.array(made, dtype=object) == "train")
    try:
        source = whole.source(kinds["train"] if named else None)
        parts = divide_rows(source, data, "validation" not in kinds, "test" not in kinds)
    except DataError:  # too few images, which training says
        return []
    for kind, part in zip(("train", "validation", "test"), parts, strict=True):
        for row in rows[part].tolist():
            made[row] = kind
    return made


def join_groups(
    listing: Listing, alike: Iterable[tuple[str, str]], given: Mapping[str, int]
) -> dict[str, int]:
    """Return a number for the group of each image that has one.

    Args:
        listing: The images.
        alike: Pairs of images that look alike.
        given: The groups that the user has said.
    """
    place = {image: number for number, image in enumerate(listing.images)}
    parent = list(range(len(place)))

    def find(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    first: dict[int, str] = {}
    same = [(first.setdefault(group, image), image) for image, group in given.items()]
    for one, other in (*same, *alike):
        if one in place and other in place:
            low, high = sorted((find(place[one]), find(place[other])))
            parent[high] = low
    roots = [find(number) for number in range(len(parent))]
    sizes = np.bincount(roots, minlength=len(roots))
    return {
        image: root for image, root in zip(listing.images, roots, strict=True) if sizes[root] > 1
    }


def write_groups(groups: Mapping[str, int], path: Path) -> None:
    """Write a table of images and their groups, as ``groups`` reads it."""

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            write_row = csv_writer(file)
            write_row(("file", "group"))
            for image, group in groups.items():
                write_row((image, group))

    write_atomically(path, write)
