"""What looks teach about posteriors: where a person found more, or less, than was thought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPREAD = (1.0, 0.3, 0.7)
"""Standard deviations, before any look, of what is corrected, on the scale of log odds: for all
cells, for each unit of log odds, and for each class."""


@dataclass(frozen=True, eq=False)
class Correction:
    """How log odds of posteriors are corrected.

    Attributes:
        level: Added for all cells.
        slope: Multiplies log odds.
        classes: (C,) added for each class.
    """

    level: float
    slope: float
    classes: Floats

    def apply(self, posteriors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return corrected posteriors, (N, C)."""
        added = (self.level + self.classes).astype(np.float32)
        moved = self.slope * to_log_odds(posteriors).astype(np.float32) + added
        corrected: NDArray[np.float32] = (1 / (1 + np.exp(-moved))).astype(np.float32)
        return corrected


def to_log_odds(posteriors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return log odds, of none that is surer than a person could be."""
    inside = np.clip(posteriors, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def fit_correction(
    posteriors: Floats, kinds: NDArray[np.int64], present: NDArray[np.bool_], classes: int
) -> Correction:
    """Learn from looks how posteriors have to be corrected.

    A logistic regression on log odds, drawn to no correction as strongly as `SPREAD` says. Which
    cells were looked at may depend on their posteriors in any way.

    Args:
        posteriors: (n,) of the cells that were looked at.
        kinds: (n,) their classes.
        present: (n,) whether the class is there.
        classes: Number of classes.
    """
    x = np.zeros((len(present), classes + 2))
    x[:, 0], x[:, 1] = 1, to_log_odds(posteriors)
    x[np.arange(len(present)), kinds + 2] = 1
    start = np.zeros(classes + 2)
    start[1] = 1
    drawn = 1 / np.array([*SPREAD[:2], *[SPREAD[2]] * classes]) ** 2
    found = start.copy()
    for _ in range(12):  # Newton's steps; the loss is convex
        guess = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        slope = x.T @ (guess - present) + drawn * (found - start)
        curve = (x * (guess * (1 - guess))[:, None]).T @ x + np.diag(drawn)
        step = np.linalg.solve(curve, slope)
        found = found - step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-9))
    return Correction(float(found[0]), max(float(found[1]), 0.1), found[2:])
