"""From truth to observed labels: what an annotator who names only some objects would write."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tacit.data.listing import Boxes, Listing
from tacit.errors import DataError, UsageError, unknown_name
from tacit.labels import Dense, SparseLabels, number_cells
from tacit.ranges import checked

PerImage = Annotated[int, Field(ge=-1)]


@checked
def draw_observed(
    truth: SparseLabels,
    positives: PerImage = 1,
    negatives: PerImage = 0,
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1200,
) -> SparseLabels:
    """Keep some labels of each image and forget the rest.

    This is the literature's draw, cell for cell: numpy's legacy generator, rows in order, and both
    the positives and the negatives of a row shuffled even when none of them is kept, which moves
    the generator on. A row without positives stays unknown.

    Args:
        truth: (N, C), see `label_all`. Cells that are unknown there are never drawn.
        positives: Known positives to keep per image; -1 keeps all.
        negatives: Known negatives to keep per image; -1 keeps all.
        seed: 1200 gives the labels of the published tables.
    """
    if not isinstance(truth, SparseLabels):
        raise UsageError(
            f"labels are drawn from `SparseLabels`, such as `label_all` makes of an array, not "
            f"from {type(truth).__name__}."
        )
    generator = np.random.RandomState(seed)
    kept: list[NDArray[np.intp]] = []
    lengths = np.zeros((len(truth), 2), dtype=np.int64)
    for row, (first, last) in enumerate(pairwise(truth.starts)):
        states = np.full(truth.classes, truth.rest, dtype=np.int8)
        states[truth.columns[first:last]] = truth.states[first:last]
        for side, (state, keep) in enumerate(((1, positives), (-1, negatives))):
            cells = np.flatnonzero(states == state)
            generator.shuffle(cells)
            # A copy, since a split would hold on to all classes of its row.
            drawn = cells if keep == -1 else cells[:keep].copy()
            kept.append(drawn)
            lengths[row, side] = len(drawn)
    rows = np.repeat(np.arange(len(truth)), lengths.sum(1))
    drawn_states = np.repeat(np.tile(np.array([1, -1]), len(truth)), lengths.ravel())
    columns = np.concatenate([np.zeros(0, dtype=np.intp), *kept])
    return SparseLabels.from_cells(rows, columns, drawn_states, truth.shape)


def label_all(present: Dense | NDArray[np.bool_]) -> SparseLabels:
    """Turn an array into labels without unknown cells: 1 is present, everything else absent."""
    rows, columns = np.nonzero(np.asarray(present) == 1)
    return SparseLabels.from_present(rows, columns, present.shape)


def drop_missed(truth: SparseLabels, observed: SparseLabels) -> SparseLabels:
    """Return the observed positives with every true negative; missed positives stay unknown.

    A true positive that is not observed is listed as unknown, and so is what the truth leaves open.
    """
    known = np.isin(truth.number_cells(), observed.number_cells(1))
    states = np.where(truth.states == 1, np.where(known, 1, 0), truth.states)
    return SparseLabels(truth.starts, truth.columns, states, truth.classes, truth.rest)


Scores = NDArray[np.float64]


Chosen = NDArray[np.int64]  # numbers of listed cells


WAYS: dict[str, str] = {
    "uniform": "every present class with the same chance, as in the literature, cell for cell",
    "balanced": "the present class of which the smallest share is known so far",
    "frequent": "chance by how common the class is: people name what they know",
    "area": "chance by the area of the class's boxes in the image",
    "salient": "always the class with the largest area in the image",
}


def observe(
    listing: Listing, way: str = "uniform", positives: int = 1, negatives: int = 0, seed: int = 1200
) -> SparseLabels:
    """Draw observed labels from the truth of a listing.

    Args:
        listing: Labels whose truth is known, or that leave nothing unknown.
        way: How annotators choose, a name from `WAYS`.
        positives: Known positives to keep per image; -1 keeps all.
        negatives: Known negatives to keep per image, drawn uniformly; -1 keeps all.
        seed: Of the draw; each split is drawn with a generator of its own.
    """
    if way not in WAYS:
        raise unknown_name("way of choosing labels", way, WAYS)
    if min(positives, negatives) < -1:
        raise UsageError("positives and negatives are counts, or -1 for all.")
    truth = listing.truth if listing.truth is not None else listing.labels
    if listing.truth is None and truth.count(0):
        raise DataError(
            f"'{listing.name}' leaves {truth.count(0):,} cells unknown, so nothing can be drawn "
            f"from it as from the truth. If what is not mentioned is absent, say --absent negative."
        )
    rows = listing.rows_by_split()
    drawn = []
    for number in range(len(rows)):
        split = truth.take(rows[number])
        labels = draw_observed(split, positives, negatives, seed)
        if way != "uniform":
            generator = np.random.default_rng(seed)
            if way == "balanced":
                chosen = _choose_balanced(split, positives, generator)
            else:
                chosen = _choose_best(
                    split, _scores(way, listing, rows[number], generator), positives
                )
            labels = _replace_positives(labels, split, chosen)
        drawn.append(labels)
    return SparseLabels.stack(drawn).take(np.argsort(np.concatenate(rows), kind="stable"))


def _scores(
    way: str, listing: Listing, rows: NDArray[np.int64], generator: np.random.Generator
) -> Scores:
    """Score every listed cell of some rows; the largest scores of a row are chosen.

    Logarithms of weights with Gumbel noise draw without replacement, each next one by its weight.
    """
    truth = (listing.truth if listing.truth is not None else listing.labels).take(rows)
    if way == "frequent":
        weights = truth.per_class(1).astype(np.float64)[truth.columns]
    elif listing.boxes is None:
        raise DataError(
            f"'{listing.name}' has no boxes, and '{way}' chooses by them; COCO, VOC and YOLO files "
            f"have some. Without boxes, choose uniform, balanced or frequent."
        )
    else:
        weights = _areas(listing.boxes, rows, truth)
    if way == "salient":
        return weights
    # A positive without a box is as small as can be, but can still be drawn.
    return np.log(np.maximum(weights, 1e-9)) + generator.gumbel(size=len(weights))


def _areas(boxes: Boxes, rows: NDArray[np.int64], truth: SparseLabels) -> Scores:
    """Add up the areas of the boxes of every listed cell."""
    sides = np.maximum(boxes.corners[:, 2:] - boxes.corners[:, :2], 0).astype(np.float64)
    cells = number_cells(rows[truth.row_of_cells()], truth.columns, truth.classes)
    wanted = number_cells(boxes.rows, boxes.labels, truth.classes)
    at = np.minimum(np.searchsorted(cells, wanted), max(len(cells) - 1, 0))
    areas = np.zeros(len(cells))
    if len(cells):
        found = cells[at] == wanted
        np.add.at(areas, at[found], sides.prod(1)[found])
    return areas


def _choose_best(truth: SparseLabels, scores: Scores, keep: int) -> Chosen:
    """Choose the cells with the largest scores among each row's positives."""
    chosen = [np.zeros(0, dtype=np.int64)]
    for first, last in pairwise(truth.starts):
        cells = first + np.flatnonzero(truth.states[first:last] == 1)
        best = cells[np.argsort(-scores[cells], kind="stable")]
        chosen.append(best if keep == -1 else best[:keep])
    return np.concatenate(chosen)


def _choose_balanced(truth: SparseLabels, keep: int, generator: np.random.Generator) -> Chosen:
    """Choose, image by image in random order, the classes whose known share is least so far."""
    total = np.maximum(truth.per_class(1), 1)
    known = np.zeros(truth.classes)
    chosen = [np.zeros(0, dtype=np.int64)]
    for row in generator.permutation(len(truth)):
        first, last = truth.starts[row], truth.starts[row + 1]
        cells = first + np.flatnonzero(truth.states[first:last] == 1)
        generator.shuffle(cells)  # equal shares are chosen among by chance
        shares = (known / total)[truth.columns[cells]]
        best = cells[np.argsort(shares, kind="stable")]
        best = best if keep == -1 else best[:keep]
        known[truth.columns[best]] += 1
        chosen.append(best)
    return np.concatenate(chosen)


def _replace_positives(labels: SparseLabels, truth: SparseLabels, chosen: Chosen) -> SparseLabels:
    """Return labels with these cells of the truth as their positives."""
    kept = labels.states == -1
    rows = np.concatenate([labels.row_of_cells()[kept], truth.row_of_cells()[chosen]])
    columns = np.concatenate([labels.columns[kept], truth.columns[chosen]])
    states = np.concatenate([labels.states[kept], np.ones(len(chosen), dtype=np.int8)])
    return SparseLabels.from_cells(rows, columns, states, labels.shape)
