"""Three-state labels of many images, stored by the cells that say something."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Dense = NDArray[np.int8]
Absence = Literal[0, -1]


class CellClash(ValueError):
    """Cells were given two different states.

    Attributes:
        cells: Rows and columns of these cells.
    """

    def __init__(self, cells: Sequence[tuple[int, int]]) -> None:
        row, column = cells[0]
        super().__init__(f"{len(cells)} cells have two states, first row {row}, class {column}")
        self.cells = cells


@dataclass(frozen=True, eq=False)
class SparseLabels:
    """Labels as rows of listed cells; every other cell has one and the same state.

    Memory grows with the listed cells and the rows, not with rows times classes. Where a class
    that is not listed is known to be absent, ``rest`` is -1; where nobody has looked, it is 0.

    Attributes:
        starts: (N + 1,) where each row's cells begin, and where the last row's end.
        columns: The listed cells' classes, ascending within a row.
        states: The listed cells' states: 1 known positive, 0 unknown, -1 known negative.
        classes: Number of classes.
        rest: State of every cell that is not listed.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    states: Dense
    classes: int
    rest: Absence = 0

    @classmethod
    def of(cls, dense: Dense) -> SparseLabels:
        """Store an array, (N, C); the more frequent of 0 and -1 need not be listed."""
        dense = np.asarray(dense)
        if dense.ndim != 2 or dense.dtype != np.int8 or not np.isin(dense, (-1, 0, 1)).all():
            raise ValueError("labels are an array of int8, (N, C), of 1, 0 (unknown) and -1")
        rest: Absence = -1 if (dense == -1).sum() > (dense == 0).sum() else 0
        rows, columns = np.nonzero(dense != rest)
        starts = np.zeros(len(dense) + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=len(dense)), out=starts[1:])
        states = np.ascontiguousarray(dense[rows, columns])
        return cls(starts, columns.astype(np.int32), states, dense.shape[1], rest)

    @classmethod
    def from_cells(
        cls,
        rows: NDArray[np.integer] | Sequence[int],
        columns: NDArray[np.integer] | Sequence[int],
        states: NDArray[np.integer] | Sequence[int],
        shape: tuple[int, int],
        rest: Absence = 0,
    ) -> SparseLabels:
        """Store cells given in any order. A cell given twice must have the same state twice.

        Raises:
            CellClash: If a cell is given two different states.
        """
        row, column = np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)
        state = np.asarray(states, dtype=np.int8)
        order = np.lexsort((column, row))
        row, column, state = row[order], column[order], state[order]
        again = (row[1:] == row[:-1]) & (column[1:] == column[:-1])
        clashes = np.flatnonzero(again & (state[1:] != state[:-1]))
        if len(clashes):
            raise CellClash(list(zip(row[clashes].tolist(), column[clashes].tolist(), strict=True)))
        kept = np.concatenate([[True], ~again])[: len(row)] & (state != rest)
        starts = np.zeros(shape[0] + 1, dtype=np.int64)
        np.cumsum(np.bincount(row[kept], minlength=shape[0]), out=starts[1:])
        return cls(starts, column[kept].astype(np.int32), state[kept], shape[1], rest)

    @classmethod
    def from_present(
        cls,
        rows: NDArray[np.integer] | Sequence[int],
        columns: NDArray[np.integer] | Sequence[int],
        shape: tuple[int, int],
    ) -> SparseLabels:
        """Store full labels: cells given, perhaps repeatedly, are present, others absent."""
        return cls.from_cells(rows, columns, np.ones(len(rows), dtype=np.int8), shape, rest=-1)

    @classmethod
    def stack(cls, parts: Sequence[SparseLabels]) -> SparseLabels:
        """Put labels below each other; what is not listed must mean the same in all of them."""
        first = parts[0]
        if any((part.classes, part.rest) != (first.classes, first.rest) for part in parts):
            raise ValueError("the parts differ in their classes or in what is not listed")
        ends = np.cumsum([0, *(int(part.starts[-1]) for part in parts)])
        starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
        return cls(
            np.concatenate([*starts, ends[-1:]]).astype(np.int64),
            np.concatenate([part.columns for part in parts]),
            np.concatenate([part.states for part in parts]),
            first.classes,
            first.rest,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(N, C), as of an array."""
        return len(self.starts) - 1, self.classes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: NDArray[np.integer] | Sequence[int] | slice | int) -> Dense:
        """Return some rows as an array: (C,) for one row, (n, C) for several."""
        if isinstance(rows, int | np.integer):
            return self[[int(rows)]].reshape(self.classes)
        part = self.take(rows)
        dense = np.full(part.shape, self.rest, dtype=np.int8)
        dense[part.row_of_cells(), part.columns] = part.states
        return dense

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.generic]:
        dense: NDArray[np.generic] = self.dense().astype(dtype or np.int8)  # type: ignore[call-overload]
        return dense

    def dense(self) -> Dense:
        """Return all labels as an array, (N, C): one byte for every cell."""
        return self[:]

    def take(self, rows: NDArray[np.integer] | Sequence[int] | slice) -> SparseLabels:
        """Return some rows, in the order given, at the price of these rows alone."""
        if isinstance(rows, Sequence | np.ndarray) and not len(rows):
            rows = slice(0)  # an empty array has no kind of number
        begins, ends = self.starts[:-1][rows], self.starts[1:][rows]
        starts = np.zeros(len(begins) + 1, dtype=np.int64)
        np.cumsum(ends - begins, out=starts[1:])
        cells = np.repeat(begins - starts[:-1], ends - begins) + np.arange(starts[-1])
        return SparseLabels(
            starts, self.columns[cells], self.states[cells], self.classes, self.rest
        )

    def row_of_cells(self) -> NDArray[np.int64]:
        """Return the row of every listed cell."""
        return np.repeat(np.arange(len(self)), self.starts[1:] - self.starts[:-1])

    def number_cells(self, state: int | None = None) -> NDArray[np.int64]:
        """Return the number of every listed cell, or of those of a state, see `number_cells`."""
        numbers = number_cells(self.row_of_cells(), self.columns, self.classes)
        return numbers if state is None else numbers[self.states == state]

    def with_cells(self, numbers: NDArray[np.int64], states: NDArray[np.integer]) -> SparseLabels:
        """Return the same labels with other states in some cells, each numbered once."""
        given = self.number_cells()
        kept = ~np.isin(given, numbers)
        rows, columns = np.divmod(np.concatenate([given[kept], numbers]), self.classes)
        states = np.concatenate([self.states[kept], states])
        return self.from_cells(rows, columns, states, self.shape, self.rest)

    def per_image(self, state: int) -> NDArray[np.int64]:
        """Count the cells of a state on each image, (N,)."""
        hits = np.concatenate([[0], np.cumsum(self.states == state)])
        listed: NDArray[np.int64] = hits[self.starts[1:]] - hits[self.starts[:-1]]
        if state != self.rest:
            return listed
        counts: NDArray[np.int64] = listed + self.classes - (self.starts[1:] - self.starts[:-1])
        return counts

    def per_class(self, state: int) -> NDArray[np.int64]:
        """Count the cells of a state in each class, (C,)."""
        columns = self.columns[self.states == state]
        listed = np.bincount(columns, minlength=self.classes).astype(np.int64)
        if state != self.rest:
            return listed
        unlisted = len(self) - np.bincount(self.columns, minlength=self.classes)
        return (listed + unlisted).astype(np.int64)

    def count(self, state: int) -> int:
        """Count the cells of a state."""
        return int(self.per_class(state).sum())

    def positives(self) -> Iterable[NDArray[np.int32]]:
        """Go through the images and return each one's positive classes."""
        for first, last in zip(self.starts[:-1], self.starts[1:], strict=True):
            yield self.columns[first:last][self.states[first:last] == 1]

    def equals(self, other: SparseLabels) -> bool:
        """Whether every cell has the same state in both, however they are stored."""
        if self.shape != other.shape:
            return False
        return all(np.array_equal(a, b) for a, b in zip(self._canon(), other._canon(), strict=True))

    def to_bytes(self) -> bytes:
        """Return bytes that are equal for equal labels, however they are stored."""
        return b"".join(part.tobytes() for part in self._canon())

    def _canon(self) -> tuple[NDArray[np.generic], ...]:
        rest: Absence = -1 if self.count(-1) > self.count(0) else 0
        stored = self if rest == self.rest else self.of(self.dense())
        said = stored.states != stored.rest
        return stored.number_cells()[said], stored.states[said]


def number_cells(
    rows: NDArray[np.integer], columns: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Number cells row by row; ``np.divmod(numbers, classes)`` gives rows and columns again."""
    numbers: NDArray[np.int64] = np.asarray(rows, dtype=np.int64) * classes + columns
    return numbers


def fingerprint(classes: Sequence[str], images: Sequence[str], labels: SparseLabels) -> str:
    """Return a short hash of names, classes and labels: equal data, equal fingerprint."""
    digest = hashlib.sha256()
    for text in (*classes, "", *images):
        digest.update(text.encode() + b"\0")
    digest.update(labels.to_bytes())
    return digest.hexdigest()[:16]
