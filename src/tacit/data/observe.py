"""From truth to observed labels: what an annotator who names only some objects would write."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tacit.labels import Dense, SparseLabels


def draw_observed(
    truth: SparseLabels, positives: int = 1, negatives: int = 0, seed: int = 1200
) -> SparseLabels:
    """Keep some labels of each image and forget the rest.

    This is the literature's draw, cell for cell: numpy's legacy generator, rows in order, and both
    the positives and the negatives of a row shuffled even when none of them is kept, which moves
    the generator on. A row without positives stays unknown.

    Args:
        truth: (N, C), see `full_labels`. Cells that are unknown there are never drawn.
        positives: Known positives to keep per image; -1 keeps all.
        negatives: Known negatives to keep per image; -1 keeps all.
        seed: 1200 gives the labels of the published tables.
    """
    generator = np.random.RandomState(seed)
    kept: list[NDArray[np.intp]] = []
    lengths = np.zeros((len(truth), 2), dtype=np.int64)
    for row, (first, last) in enumerate(pairwise(truth.starts)):
        states = np.full(truth.classes, truth.rest, dtype=np.int8)
        states[truth.columns[first:last]] = truth.states[first:last]
        for side, (state, keep) in enumerate(((1, positives), (-1, negatives))):
            cells = np.flatnonzero(states == state)
            generator.shuffle(cells)
            # A copy, since a part would hold on to all classes of its row.
            drawn = cells if keep == -1 else cells[:keep].copy()
            kept.append(drawn)
            lengths[row, side] = len(drawn)
    rows = np.repeat(np.arange(len(truth)), lengths.sum(1))
    drawn_states = np.repeat(np.tile(np.array([1, -1]), len(truth)), lengths.ravel())
    columns = np.concatenate([np.zeros(0, dtype=np.intp), *kept])
    return SparseLabels.from_cells(rows, columns, drawn_states, truth.shape)


def full_labels(present: Dense) -> SparseLabels:
    """Say of every cell of an array whether it is present (1) or absent: everything else."""
    rows, columns = np.nonzero(np.asarray(present) == 1)
    return SparseLabels.from_cells(rows, columns, np.ones_like(rows), present.shape, rest=-1)


def without_missed(truth: SparseLabels, observed: SparseLabels) -> SparseLabels:
    """Return the observed positives with every true negative; missed positives stay unknown.

    A true positive that is not observed is listed as unknown, and so is what the truth leaves open.
    """
    cells = truth.row_of_cells() * truth.classes + truth.columns
    seen = observed.row_of_cells() * observed.classes + observed.columns
    known = np.isin(cells, seen[observed.states == 1])
    states = np.where(truth.states == 1, np.where(known, 1, 0), truth.states)
    return SparseLabels(truth.starts, truth.columns, states, truth.classes, truth.rest)
