"""What is known beside the labels: groups of images, implied and exclusive classes, limits.

Such knowledge only ever adds known labels where nothing was said. What somebody did say stays as it
is, and where the two contradict each other, that is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacit.labels import SparseLabels, number_cells

Cells = tuple[NDArray[np.int64], NDArray[np.int64]]
UNSAID = 2


@dataclass(frozen=True, eq=False)
class SideInformation:
    """Side information of a set of images.

    Attributes:
        at_most: The most labels that an annotator could give an image.
        groups: (N,) a number for the product, video or place that each image belongs to.
        implications: Pairs of classes: where the first is present, so is the second. What follows
            from several pairs is a pair, too.
        exclusions: Sets of classes of which an image shows one at most.
        ruled_out: (N, C), -1 where it is known beforehand that a class cannot be there.
        notes: What was found when all this was read, a sentence each.
        contradicting: (N,) whether the labels of an image contradict the rest.
    """

    at_most: int | None = None
    groups: NDArray[np.int64] | None = None
    implications: tuple[tuple[int, int], ...] = ()
    exclusions: tuple[tuple[int, ...], ...] = ()
    ruled_out: SparseLabels | None = None
    notes: tuple[str, ...] = ()
    contradicting: NDArray[np.bool_] | None = None

    def take(self, rows: NDArray[np.intp]) -> SideInformation:
        """Return what is known of some of the images."""
        return replace(
            self,
            groups=None if self.groups is None else self.groups[rows],
            ruled_out=None if self.ruled_out is None else self.ruled_out.take(rows),
            contradicting=None if self.contradicting is None else self.contradicting[rows],
        )

    def describe(self) -> dict[str, int | str]:
        """Describe what is known, as counts."""
        said: dict[str, int | str] = {}
        if self.at_most is not None:
            said["labels per image at most"] = self.at_most
        if self.groups is not None:
            said["groups of images"] = len(np.unique(self.groups))
        if self.implications:
            said["implications"] = len(self.implications)
        if self.exclusions:
            said["sets of exclusive classes"] = len(self.exclusions)
        if self.ruled_out is not None:
            said["labels ruled out"] = self.ruled_out.count(-1)
        if self.contradicting is not None and self.contradicting.any():
            said["images that contradict themselves"] = int(self.contradicting.sum())
        if self.notes:
            said["side information"] = "; ".join(self.notes)
        return said


@dataclass(frozen=True)
class Completion:
    """Labels with what follows from them.

    Attributes:
        labels: The labels.
        positives: How many known positives were added.
        negatives: How many known negatives were added.
        contradictions: Rows and classes of cells that would have to be both; ascending.
    """

    labels: SparseLabels
    positives: int
    negatives: int
    contradictions: Cells


def complete(labels: SparseLabels, side: SideInformation) -> Completion:
    """Add what follows from known labels.

    A present class brings the classes that it implies and rules out those that it excludes; an
    absent class takes along those that imply it. A cell that somebody listed keeps its state, and
    one that would have to be both stays as it was.
    """
    classes = labels.classes
    up, down, out = _relations(side, classes)
    rows, columns = labels.row_of_cells(), labels.columns.astype(np.int64)
    present, absent = labels.states == 1, labels.states == -1
    implied = spread_columns(up, (rows[present], columns[present]))
    positives = _join((rows[present], columns[present]), implied)
    known_absent = (rows[absent], columns[absent])
    barred: Cells = (np.zeros(0, dtype=np.int64),) * 2
    if side.ruled_out is not None:
        barred = side.ruled_out.row_of_cells(), side.ruled_out.columns.astype(np.int64)
    excluded = _join(
        barred, spread_columns(down, _join(known_absent, barred)), spread_columns(out, positives)
    )
    there = np.unique(number_cells(*implied, classes))
    not_there = np.unique(number_cells(*excluded, classes))
    given = labels.number_cells()
    said_there, said_not = _states(there, given, labels), _states(not_there, given, labels)
    both = np.intersect1d(there, not_there)
    clash = np.unique(np.concatenate([there[said_there == -1], not_there[said_not == 1], both]))
    new_there = _open(there, said_there, both)
    new_not = _open(not_there, said_not, both)
    if labels.rest == -1:  # what is not listed is absent already
        new_not = new_not[np.isin(new_not, given)]
    fresh = np.concatenate([new_there, new_not])
    states = np.repeat([1, -1], [len(new_there), len(new_not)])
    joined = labels.with_cells(fresh, states)
    return Completion(joined, len(new_there), len(new_not), np.divmod(clash, classes))


def _open(
    keys: NDArray[np.int64], said: NDArray[np.int8], both: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the cells whose state is unknown."""
    free = np.isin(said, (0, UNSAID)) & ~np.isin(keys, both)
    chosen: NDArray[np.int64] = keys[free]
    return chosen


def _states(
    keys: NDArray[np.int64], given: NDArray[np.int64], labels: SparseLabels
) -> NDArray[np.int8]:
    """Return the state that cells are listed with, or that they are not."""
    found = np.full(len(keys), UNSAID, dtype=np.int8)
    if len(given):
        place = np.minimum(np.searchsorted(given, keys), len(given) - 1)
        listed = given[place] == keys
        found[listed] = labels.states[place[listed]]
    return found


def _relations(side: SideInformation, classes: int) -> tuple[list[list[int]], ...]:
    """Return for each class those it implies, those that imply it, and those it rules out."""
    up: list[list[int]] = [[] for _ in range(classes)]
    down: list[list[int]] = [[] for _ in range(classes)]
    for child, parent in side.implications:
        up[child].append(parent)
        down[parent].append(child)
    out: list[set[int]] = [set() for _ in range(classes)]
    for exclusive in side.exclusions:
        below = {name: {name, *down[name]} for name in exclusive}
        for name in exclusive:
            out[name].update(*(below[other] for other in exclusive if other != name))
    return up, down, [sorted(ruled) for ruled in out]


def spread_columns(targets: Sequence[Sequence[int]], cells: Cells) -> Cells:
    """Put the targets of each cell's column in place of it, in the same row."""
    rows, columns = cells
    lengths = np.array([len(names) for names in targets], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.array([name for names in targets for name in names], dtype=np.int64)
    counts = lengths[columns]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    places = np.repeat(starts[columns] - (ends - counts), counts) + np.arange(total)
    return np.repeat(rows, counts), flat[places]


def _join(*parts: Cells) -> Cells:
    rows, columns = (np.concatenate(each) for each in zip(*parts, strict=True))
    return rows, columns
