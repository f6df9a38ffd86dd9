"""The cells of the audit in the order in which they are asked, and what was drawn if nothing was.

Whoever answers is not told which questions these are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacit.labels import SparseLabels
from tacit.repair.answers import Answers, Cell

SIZE = 1000
TRIES = 50  # times the size; where hardly any cell is unknown, fewer are found


@dataclass(frozen=True, eq=False)
class Sample:
    """Cells drawn at random; any first part of them is a sample, too.

    Attributes:
        cells: In the order in which they are asked.
        probability: With which probability each was drawn.
    """

    cells: list[Cell]
    probability: dict[Cell, float]

    def open(self, answers: Answers) -> Iterator[Cell]:
        """Go through the cells that nobody has answered yet."""
        return (cell for cell in self.cells if cell not in answers.said)

    def answered(self, answers: Answers) -> list[Cell]:
        """Return the first cells, up to one that nobody has answered yet.

        Cells that were answered because they stood in the queue count where they were drawn: to
        leave them out, or to take those that come later, would make the sample a biased one.
        """
        first = next(self.open(answers), None)
        return self.cells if first is None else self.cells[: self.cells.index(first)]


def draw_cells(labels: SparseLabels, seed: int, size: int = SIZE) -> Sample:
    """Draw unknown cells, each as probably as any other."""
    rows, columns = labels.shape
    unknown = labels.count(0)
    random = np.random.default_rng(seed)
    drawn: NDArray[np.int64] = random.integers(rows * columns, size=size * TRIES)
    found: dict[Cell, None] = {}
    for first in range(0, len(drawn), size):
        row, column = np.divmod(drawn[first : first + size], columns)
        open_cells = labels[row][np.arange(len(row)), column] == 0
        pairs = zip(row[open_cells].tolist(), column[open_cells].tolist(), strict=True)
        found.update(dict.fromkeys(pairs))
        if len(found) >= min(size, unknown):
            break
    cells = list(found)[:size]
    probability = len(cells) / max(1, unknown)
    return Sample(cells, dict.fromkeys(cells, probability))
