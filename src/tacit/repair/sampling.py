"""Unknown cells drawn at random, each as probably as any other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tacit.labels import SparseLabels
from tacit.repair.answers import Cell

TRIES = 10_000


class RandomCells:
    """A sequence of unknown cells that depends on a seed alone, so that it goes on after a stop.

    Args:
        labels: The labels that the data came with.
        seed: Where the sequence begins.
    """

    def __init__(self, labels: SparseLabels, seed: int) -> None:
        self.labels = labels
        self.random = np.random.default_rng(seed)
        self.probability = 1 / max(1, labels.count(0))
        self.open: dict[Cell, float] = {}  # drawn, with the probability

    def next(self, passed: Callable[[Cell], bool]) -> Cell | None:
        """Draw the next cell that is not passed over; None where hardly any is unknown."""
        rows, columns = self.labels.shape
        for _ in range(TRIES):
            row, column = int(self.random.integers(rows)), int(self.random.integers(columns))
            if self.labels[row][column] == 0 and (row, column) not in self.open:
                self.open[row, column] = self.probability
                if not passed((row, column)):
                    return row, column
        return None
