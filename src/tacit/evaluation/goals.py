"""What decisions are for: a stated goal, and the calibrated probability that serves it.

Everything here follows from calibrated probabilities alone. The expected number of right labels
among some cells is the sum of their probabilities, whoever knows the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tacit.errors import UsageError

Array = NDArray[np.float64]
Kind = Literal["f1", "precision", "labels", "coverage", "looks"]

EXAMPLES = "f1, precision=0.9, labels=3, coverage=0.9 or looks=0.5"


@dataclass(frozen=True)
class Goal:
    """What thresholds are chosen for.

    Attributes:
        kind: f1, the largest expected OF1; precision, as many labels as are right to this share
            at least;
            labels, so many an image; coverage, so many of an image's labels found; looks, the
            largest expected OF1 once so many cells an image were looked at by a person.
        value: The number.
    """

    kind: Kind = "f1"
    value: float | None = None

    def __post_init__(self) -> None:
        value = self.value
        if (value is None) != (self.kind == "f1"):
            raise UsageError(f"The goal '{self}' is none of {EXAMPLES}.")
        if value is None:
            return
        if not math.isfinite(value) or value <= 0:
            raise UsageError(f"The goal '{self}' asks for a number above 0.")
        if self.kind in ("precision", "coverage") and value >= 1:
            raise UsageError(f"The goal '{self}' asks for a share below 1.")

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}={self.value:g}"


def parse_goal(text: str) -> Goal:
    """Read a goal as it is written in recipes and on the command line."""
    kind, equals, value = text.partition("=")
    if kind not in get_args(Kind):
        raise UsageError(f"'{text}' is no goal; use {EXAMPLES}.")
    try:
        return Goal(kind, float(value) if equals else None)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(f"The goal '{text}' needs a number, as in {EXAMPLES}.") from error


@dataclass(frozen=True, eq=False)
class Curve:
    """What to expect at each of some thresholds of the calibrated probability, descending.

    Attributes:
        threshold: (T,), from which calibrated probability on a class is decided.
        labels: (T,), decided labels per image.
        precision: (T,), expected share of them that is right.
        missed: (T,), mean share of an image's known positives that lie below; NaN if none is known.
        present: Expected labels per image.
        images: How many images with a known positive ``missed`` is a mean over.
        least: (T,), what the precision is at least; None where what is expected has to do.
    """

    threshold: Array
    labels: Array
    precision: Array
    missed: Array
    present: float
    images: int
    least: Array | None = None

    def f1(self) -> Array:
        """Return the expected OF1 at each threshold."""
        right = self.labels * self.precision
        return 2 * right / (self.labels + self.present)

    def choose(self, goal: Goal) -> int | None:
        """Return the place of the threshold that serves a goal; None if none does."""
        if goal.kind == "f1" or goal.value is None:
            return int(np.argmax(self.f1()))
        if goal.kind == "precision":
            fit = (self.precision if self.least is None else self.least) >= goal.value
        elif goal.kind == "labels":
            fit = self.labels <= goal.value * (1 + 1e-9)
        else:
            # Conformal risk control (Angelopoulos et al., 2022): of one more image, at worst
            # everything is missed.
            bound = (self.images * self.missed + 1) / (self.images + 1)
            fit = bound <= 1 - goal.value
            return int(np.argmax(fit)) if fit.any() else None
        return int(np.flatnonzero(fit)[-1]) if fit.any() else None


def draw_curve(calibrated: Array, positive: NDArray[np.bool_], points: int | None = None) -> Curve:
    """Follow calibrated probabilities from the highest down.

    Args:
        calibrated: (N, C).
        positive: (N, C), known positives, for what is missed.
        points: At most so many thresholds, closer together where few labels are decided; one
            for every different probability if None.
    """
    images = len(calibrated)
    ranked = np.sort(calibrated, axis=None)[::-1]
    last = np.append(ranked[1:] < ranked[:-1], True)
    places = np.flatnonzero(last)
    if points is not None and len(places) > points:
        wanted = np.geomspace(1, len(ranked), points) - 1
        places = np.unique(places[np.searchsorted(places, wanted).clip(max=len(places) - 1)])
    right = np.cumsum(ranked)[places]
    below = np.append(ranked, 0.0)[places + 1]
    threshold = (ranked[places] + below) / 2  # between two images, so that neither is a near thing
    count = places + 1
    known = positive.sum(1)
    some = int(np.count_nonzero(known))
    missed = np.full(len(places), np.nan)
    if some:
        rows, _ = np.nonzero(positive)
        values = calibrated[positive]
        order = np.argsort(values)
        weight = np.concatenate([[0.0], np.cumsum((1 / known[rows])[order])]) / some
        missed = weight[np.searchsorted(values[order], threshold)]
    present = float(calibrated.sum() / images)
    return Curve(threshold, count / images, right / count, missed, present, some)


def choose_looks(calibrated: Array, looks: float) -> tuple[float, float, float]:
    """Choose what is decided, what is looked at, and what is left, for the largest expected OF1.

    Cells in between the thresholds are looked at by a person and then are right. Of all stretches
    of so many cells in the order of their probability, one leads to the largest OF1.

    Args:
        calibrated: (N, C).
        looks: Cells per image that a person looks at.

    Returns:
        From which probability on cells are decided, and from which on they are looked at, and the
        expected OF1.
    """
    ranked = np.sort(calibrated, axis=None)[::-1]
    width = min(round(looks * len(calibrated)), len(ranked))
    right = np.concatenate([[0.0], np.cumsum(ranked)])
    start = np.arange(len(ranked) - width + 1)
    found = right[start + width]
    predicted = start + found - right[start]
    worth = 2 * found / (predicted + right[-1])
    best = int(np.argmax(worth))
    edges = np.concatenate([[1.0], ranked, [0.0]])
    decided = (edges[best] + edges[best + 1]) / 2
    looked = (edges[best + width] + edges[best + width + 1]) / 2
    return float(decided), float(looked), float(worth[best])
