"""Images that are the same file more than once, joined to one image with all their labels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacit.data.listing import Boxes, Listing, image_path
from tacit.labels import SparseLabels, number_cells

CHUNK = 1 << 20


def merge_equal_files(listing: Listing) -> tuple[Listing, NDArray[np.int64], list[str]]:
    """Join images of one split whose files are equal, byte for byte.

    The first of them stays. What is known of any of them is known of it; a class that is present
    in one and absent in another becomes unknown.

    Returns:
        The listing, the rows that stay, and what a person should know.
    """
    content = _contents(listing)
    splits = np.unique(listing.splits, return_inverse=True)[1] if listing.splits else 0 * content
    _, first, inverse = np.unique(
        content * (len(listing) + 1) + splits, return_index=True, return_inverse=True
    )
    kept = np.sort(first)
    target = np.searchsorted(kept, first[inverse]).astype(np.int64)
    notes = []
    across = len(kept) - len(np.unique(content))
    if across:
        notes.append(f"{across:,} images are in another split, too, and were left there")
    if len(kept) == len(listing):
        return listing, kept, notes
    labels, disagreeing = join_rows(listing.labels, target, len(kept))
    notes.insert(0, f"{len(listing) - len(kept):,} images are equal files and were merged")
    if disagreeing:
        notes.append(
            f"{disagreeing:,} labels of equal files contradict each other and are unknown now"
        )
    boxes = listing.boxes
    if boxes is not None:
        own = np.isin(boxes.rows, kept)  # of equal files, the same boxes would come twice
        boxes = Boxes(target[boxes.rows[own]], boxes.labels[own], boxes.corners[own])
    merged = replace(
        listing,
        images=[listing.images[row] for row in kept.tolist()],
        labels=labels,
        splits=[listing.splits[row] for row in kept.tolist()] if listing.splits else (),
        boxes=boxes,
        truth=None if listing.truth is None else listing.truth.take(kept),
    )
    return merged, kept, notes


def _contents(listing: Listing) -> NDArray[np.int64]:
    """Number the images by their content; files that are not there are equal to no other."""
    paths = [image_path(listing.root, name) for name in listing.images]
    by_size: dict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if path.is_file():
            by_size[path.stat().st_size].append(row)
    content = np.arange(len(listing))
    for rows in by_size.values():
        if len(rows) > 1:  # a size of its own is a content of its own
            seen: dict[bytes, int] = {}
            for row in rows:
                content[row] = seen.setdefault(_digest(paths[row]), row)
    return content


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def join_rows(
    labels: SparseLabels, target: NDArray[np.int64], count: int
) -> tuple[SparseLabels, int]:
    """Join the labels of rows that become one; what they contradict each other about is unknown.

    Args:
        labels: The labels.
        target: (N,) the row that each row becomes.
        count: Number of rows afterwards.
    """
    keys = number_cells(target[labels.row_of_cells()], labels.columns, labels.classes)
    cells, places = np.unique(keys, return_inverse=True)
    present = np.bincount(places, labels.states == 1, len(cells)) > 0
    absent = np.bincount(places, labels.states == -1, len(cells)) > 0
    states = np.where(present & absent, 0, np.where(present, 1, np.where(absent, -1, 0)))
    joined = SparseLabels.from_cells(
        *np.divmod(cells, labels.classes), states, (count, labels.classes), labels.rest
    )
    return joined, int((present & absent).sum())
