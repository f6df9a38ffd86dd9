"""Objects in images, one at a time, as formats of boxes and tags list them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacit.data.formats.shared.assemble import Cells


class Objects:
    """Collects objects by the row of their image and the name of their class."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.names: list[str] = []
        self.corners: list[tuple[int, Sequence[float]]] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: int, name: str, corners: Sequence[float] | None = None) -> None:
        """Note an object, with x0, y0, x1, y1 in pixels if it is a box."""
        if corners is not None:
            self.corners.append((len(self.rows), corners))
        self.rows.append(row)
        self.names.append(name)

    def drop_classes_of(self, others: Objects) -> Objects:
        """Return the objects whose class is not among the other objects of their image."""
        taken = set(zip(others.rows, others.names, strict=True))
        kept = Objects()
        for row, name in zip(self.rows, self.names, strict=True):
            if (row, name) not in taken:
                kept.add(row, name)
        return kept

    def put_into(self, cells: Cells, state: int = 1) -> None:
        """Give the cells of all objects a state, and hand the boxes on."""
        numbers: dict[str, int] = {}
        which = np.array([numbers.setdefault(n, len(numbers)) for n in self.names], dtype=np.int64)
        rows = np.array(self.rows, dtype=np.int64)
        cells.add(rows, list(numbers), which, state)
        if self.corners:
            at = np.array([entry for entry, _ in self.corners])
            corners = np.array([corners for _, corners in self.corners], dtype=np.float32)
            cells.add_boxes(rows[at], list(numbers), which[at], corners)
