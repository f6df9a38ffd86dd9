"""Tables that metrics refuse, with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]


def check_tables(scores: Scores, truth: Labels, known: Mask | None) -> tuple[Scores, Labels]:
    """Return both as arrays, scores as float32 or float64, if every cell that counts is usable."""
    scores, truth = np.asarray(scores), np.asarray(truth)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"scores must be images by classes, but have shape {scores.shape}.")
    check_labels("truth", truth, scores.shape)
    blank, broken = truth == -1, np.isnan(scores)
    if known is not None:
        check_mask("known", known, scores.shape)
        blank &= known
        broken &= known
    if blank.any():
        raise ValueError(f"truth is -1 (not annotated) in {blank.sum()} cells that count.")
    counts = np.count_nonzero(broken, axis=0)
    if counts.any():
        worst = int(np.argmax(counts))
        raise ValueError(f"{counts[worst]} scores of class {worst} are NaN and have no rank.")
    narrow = scores.dtype.kind == "f" and scores.dtype.itemsize <= 4
    return np.asarray(scores, dtype=np.float32 if narrow else np.float64), truth


def check_labels(name: str, table: Labels, shape: tuple[int, ...]) -> None:
    """Refuse a table of another shape, or with values that are no state of a label."""
    if table.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, but has {table.shape}.")
    wrong = table[(table != 0) & (table != 1) & (table != -1)]
    if wrong.size:
        raise ValueError(f"{name} must be 1, 0 or -1, but {wrong.size} cells are not: {wrong[0]}.")


def check_mask(name: str, mask: Mask, shape: tuple[int, ...]) -> None:
    """Refuse a mask of another shape or type."""
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ValueError(
            f"{name} must be boolean of shape {shape}, but is {mask.dtype} of shape {mask.shape}."
        )
