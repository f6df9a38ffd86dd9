"""From rows of present classes to a listing with full labels, split after split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacit.data.listing import Boxes, Listing
from tacit.labels import Absence, SparseLabels


def build_full_listing(
    name: str,
    root: Path,
    classes: Sequence[str],
    splits: Mapping[str, tuple[Sequence[str], SparseLabels]],
    notes: Sequence[str] = (),
    boxes: Boxes | None = None,
) -> Listing:
    """Join splits, each with its images and their labels, to one listing."""
    images = [image for split, _ in splits.values() for image in split]
    split_of = [split for split, (listed, _) in splits.items() for _ in listed]
    labels = SparseLabels.stack([labels for _, labels in splits.values()])
    return Listing(name, root, images, tuple(classes), labels, split_of, boxes, tuple(notes))


def mark_present(
    rows: NDArray[np.integer] | Sequence[int],
    columns: NDArray[np.integer] | Sequence[int],
    shape: tuple[int, int],
    rest: Absence = -1,
) -> SparseLabels:
    """Return labels where the cells given are present; they may be given more than once."""
    return SparseLabels.from_cells(rows, columns, np.ones(len(rows), dtype=np.int8), shape, rest)
