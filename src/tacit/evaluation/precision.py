"""What the precision of decided labels is at least, as far as the evidence for it goes.

Two things make an expected precision too high. Calibrated probabilities have one slope for all of
a model's range, and at its upper end they may promise more than holds. So right labels are counted
as well, clean ones or known positives that stand for all, and the lower of the two is taken. And
what is counted, and the number of labels per image, would be others of other images. So images are
drawn anew, and the precision is taken to be lower by as much as it moves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS = 20
"""How often images are drawn anew; the spread of so many is known to a sixth of it."""
DEVIATIONS = 1.2816
"""So many standard deviations below the mean lies a tenth of a normal distribution."""


def bound_precision(
    calibrated: Array,
    right: Array,
    threshold: Array,
    *,
    counted: bool,
    scale: Callable[[NDArray[np.intp]], float] | None = None,
) -> Array:
    """Return for each threshold what the precision is at least, in nine draws of ten, (T,).

    Args:
        calibrated: (N, C), calibrated probabilities.
        right: (N, C), how many right labels each cell stands for: 1 and 0 where all is known,
            otherwise what a known positive counts, so that classes are as common as they are.
        threshold: (T,), descending.
        counted: Whether ``right`` is known and not concluded; then it alone counts.
        scale: Of images drawn anew, by which factor the number of labels per image is another.
    """
    images, classes = calibrated.shape
    # The first threshold that a cell reaches; those that reach none come last and are dropped.
    ascending = threshold[::-1]
    place = len(threshold) - np.searchsorted(ascending, calibrated.ravel(), side="right")

    def count(weights: Array | None = None) -> Array:
        found = np.bincount(place, None if weights is None else weights.ravel(), len(threshold) + 1)
        return np.cumsum(found[:-1].astype(np.float64))

    # One label more, a wrong one: few labels that are all right are no proof.
    decided = np.maximum(count(), 1)
    share = count(right) / (decided + 1)
    lower = share if counted else np.minimum(share, count(calibrated) / decided)
    random = np.random.default_rng(0)
    moved = np.empty((ROUNDS, len(threshold)))
    for number in range(ROUNDS):
        rows = np.asarray(random.integers(0, images, images), np.intp)
        times = np.bincount(rows, minlength=images)[:, None].astype(np.float64)
        among = count(np.broadcast_to(times, (images, classes))) + 1
        moved[number] = count(times * right) / among * (1.0 if scale is None else scale(rows))
    least: Array = np.clip(lower - DEVIATIONS * moved.std(0), 0.0, 1.0)
    return least
