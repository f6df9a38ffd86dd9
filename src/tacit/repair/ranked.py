"""Suspects in the order of their posteriors, whatever their number: a block at a time.

Cells above the floor are sorted into files beside the list by their posterior, each of which fits
into memory; read from the best down they make the list. Nothing grows with the number of images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.data.source import Source
from tacit.repair.missing import Judge
from tacit.repair.suspects_file import ROWS_AT_ONCE, write_suspects

ScoreBlocks = Callable[[], Iterable[tuple[int, NDArray[np.float32]]]]
Evidence = Callable[[NDArray[np.int64]], Mapping[str, NDArray[np.float32]]]
Boxes = Mapping[int, list[float]]

FLOOR = 0.01
MOST = 2_000_000
"""Cells that are kept; the floor is raised where more lie above it."""
PILE = 1_000_000
"""Cells that are sorted together."""
LEVELS = 4096

CELL = np.dtype([("cell", np.int64), ("posterior", np.float32), ("score", np.float32)])


@dataclass(frozen=True, eq=False)
class Listed:
    """What is in a list of suspects, and what is beneath it.

    Attributes:
        floor: The posterior below which cells were left out.
        kept: Cells in the list.
        per_class: (C,) sum of all posteriors, by class.
        beneath: (C,) sum of the posteriors that were left out.
        counts: (LEVELS,) cells at each posterior.
    """

    floor: float
    kept: int
    per_class: NDArray[np.float64]
    beneath: NDArray[np.float64]
    counts: NDArray[np.int64]

    def expect(self, looks: int) -> float:
        """Return how many missing labels so many looks at the head of the list will bring."""
        down = self.counts[::-1]
        left = np.maximum(looks - (np.cumsum(down) - down), 0)
        middles = (np.arange(LEVELS)[::-1] + 0.5) / LEVELS
        return float((np.minimum(down, left) * middles).sum())


def list_suspects(
    source: Source, judge: Judge, scores: ScoreBlocks, floor: float = FLOOR, most: int = MOST
) -> Listed:
    """Count the cells at each posterior, and find the floor."""
    counts = np.zeros(LEVELS, np.int64)
    per_class, beneath = np.zeros(len(source.classes)), np.zeros(len(source.classes))
    for _, _, posterior in _judge(source, judge, scores):
        counts += np.bincount(_find_levels(posterior[posterior > 0]), minlength=LEVELS)
        per_class += posterior.sum(0, dtype=np.float64)
    above = np.cumsum(counts[::-1])[::-1]
    lowest = int((above > most).sum())
    floor = max(floor, lowest / LEVELS)
    kept = 0
    for _, _, posterior in _judge(source, judge, scores):
        left = np.where(posterior < floor, posterior, 0)
        beneath += left.sum(0, dtype=np.float64)
        kept += int((posterior >= floor).sum())
    return Listed(floor, kept, per_class, beneath, counts)


def write_ranked(
    path: Path,
    source: Source,
    judge: Judge,
    scores: ScoreBlocks,
    listed: Listed,
    about: Mapping[str, Any],
    evidence: Evidence | None = None,
    boxes: Boxes | None = None,
) -> None:
    """Write the list, the most probable first.

    Args:
        path: The file.
        source: The images and their labels.
        judge: Turns scores into posteriors.
        scores: Goes through the scores, from the first image on.
        listed: What `list_suspects` found.
        about: What a reader may want to know.
        evidence: Returns named numbers for some cells, by their numbers.
        boxes: Where to look, by the number of the cell.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "data": source.fingerprint(),
        "classes": list(source.classes),
        "floor": listed.floor,
        "beneath": [round(float(value), 4) for value in listed.beneath],
        **about,
    }
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".suspects-") as folder:
        piles = _pile_up(Path(folder), source, judge, scores, listed)
        write_suspects(path, _name_cells(piles, source, evidence, boxes or {}), told)


def _judge(
    source: Source, judge: Judge, scores: ScoreBlocks
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Go through first rows, scores, and posteriors of unknown cells, 0 elsewhere."""
    for first, block in scores():
        labels = source.labels[first : first + len(block)]
        yield first, block, np.where(labels == 0, judge.judge(block), 0).astype(np.float32)


def _find_levels(posterior: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.minimum((posterior * LEVELS).astype(np.int64), LEVELS - 1)


def _pile_up(
    folder: Path, source: Source, judge: Judge, scores: ScoreBlocks, listed: Listed
) -> Iterator[NDArray[Any]]:
    """Return the cells above the floor in order, a pile at a time."""
    number = np.cumsum(listed.counts[::-1])[::-1] // PILE  # of the pile that each level is in
    for first, block, posterior in _judge(source, judge, scores):
        rows, columns = np.nonzero((posterior >= listed.floor) & (posterior > 0))
        found = np.empty(len(rows), CELL)
        found["cell"] = (rows + first) * len(source.classes) + columns
        found["posterior"], found["score"] = posterior[rows, columns], block[rows, columns]
        pile = number[_find_levels(found["posterior"])]
        for each in np.unique(pile):
            with (folder / str(each)).open("ab") as file:
                found[pile == each].tofile(file)
    for each in range(int(number.max()) + 1):
        if (folder / str(each)).exists():
            cells = np.fromfile(folder / str(each), CELL)
            yield cells[np.lexsort((cells["cell"], -cells["posterior"]))]


def _name_cells(
    piles: Iterable[NDArray[Any]], source: Source, evidence: Evidence | None, boxes: Boxes
) -> Iterator[dict[str, Any]]:
    rank = 1
    for pile in piles:
        for first in range(0, len(pile), ROWS_AT_ONCE):
            block = pile[first : first + ROWS_AT_ONCE]
            rows, columns = np.divmod(block["cell"], len(source.classes))
            named: dict[str, Any] = {
                "image": [source.images[row] for row in rows.tolist()],
                "class": columns,
                "rank": np.arange(rank, rank + len(block)),
                "posterior": block["posterior"],
                "score": block["score"],
            }
            if evidence is not None:
                told = evidence(block["cell"])
                names = list(told)
                each = zip(*(told[name].tolist() for name in names), strict=True)
                named["evidence"] = [
                    [(n, v) for n, v in zip(names, row, strict=True) if v == v] for row in each
                ]
            if boxes:
                named["box"] = [boxes.get(cell) for cell in block["cell"].tolist()]
            yield named
            rank += len(block)
