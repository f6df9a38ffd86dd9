"""How common each class is, estimated from known positives and scores of all images alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Chance that the bounds behind the estimate fail, and slack of its minimum; the values of the
# paper, which were not tuned there.
FAILURE = SLACK = 0.01


def estimate_each_class(
    scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Estimate the prior of each class, and how well scores tell it apart, (C, 2).

    For every threshold, the share of all images that score above it is divided by the share of
    known positives that do. At the threshold where a confidence bound on this ratio is least, it
    bounds the prior from above. It assumes that a known positive is a random one of its class's
    positives; annotators who name the salient thing first break this.

    From scores that tell nothing this bound is 1. The share of images where a class is known to be
    present bounds its prior from below, whatever the scores. The estimate lies between the two, as
    far up as the scores tell positives from other images, see `interpolate_prior` and
    `measure_separation`.

    Args:
        scores: (N, C), larger for images that rather show the class.
        positive: (N, C), the known positives. A class without any gets zeros.
    """
    found = np.zeros((scores.shape[1], 2))
    for column in range(scores.shape[1]):
        if positive[:, column].any():
            found[column] = _one_class(scores[:, column], positive[:, column])
    return found


def _one_class(scores: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> tuple[float, float]:
    images, count = len(scores), int(known.sum())
    least = count / images
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    found = np.cumsum(known[order]) / count
    share = np.arange(1, images + 1) / images
    bound = math.sqrt(math.log(4 / FAILURE) / (2 * images))
    bound += math.sqrt(math.log(4 / FAILURE) / (2 * count))
    # A threshold lies between two different scores, never inside a group of equal ones.
    usable = np.append(ranked[1:] != ranked[:-1], True)
    places = np.flatnonzero(usable & (found > 0))
    best = places[np.argmin((share[places] + (1 + SLACK) * bound) / found[places])]
    most = min(max(float(share[best] / found[best]), least), 1.0)
    apart = float(np.max(np.where(usable, found - share, 0)))
    prior = interpolate_prior(least, most, apart, expect_by_chance(images, count))
    return prior, measure_separation(apart, expect_by_chance(images, count), prior)


def expect_by_chance(images: int, count: int) -> float:
    """How far apart scores that tell nothing put so many of the images from all of them.

    It is the limit of Kolmogorov and Smirnov, which one class in a hundred exceeds.
    """
    return math.sqrt(math.log(1 / FAILURE) / 2 * (1 / count - 1 / images))


def measure_separation(apart: float, chance: float, prior: float) -> float:
    """How well scores tell positives from negatives: 0 is no better than chance, 1 perfectly.

    Among all images there are positives, too, so that perfect scores put known positives apart
    from all images by the share of negatives, and not by 1.

    Args:
        apart: Share of known positives above the best threshold, less that of all images.
        chance: What `apart` may be of scores that tell nothing.
        prior: Share of images that are positives.
    """
    perfect = 1 - prior
    return min(max((apart - chance) / (perfect - chance), 0.0), 1.0) if perfect > chance else 0.0


def interpolate_prior(least: float, most: float, apart: float, chance: float) -> float:
    """Return the prior that lies as far from ``least`` to ``most`` as scores tell classes apart.

    How well they do depends on the prior in turn. This is the least prior that agrees with itself,
    p = least + separation(apart, chance, p) * (most - least), a quadratic equation; ``most`` if
    scores tell so much that there is none.
    """
    gain = max(apart - chance, 0.0) * (most - least)
    end = 1 - chance
    if not gain or end <= least:
        return least
    root = (end - least) ** 2 - 4 * gain
    if root < 0:
        return most
    return min(max((least + end - math.sqrt(root)) / 2, least), most)
