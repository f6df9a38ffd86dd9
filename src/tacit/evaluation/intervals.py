"""How far a score would move had other images been drawn: bootstrap intervals over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.evaluation.checks import Labels, Mask, Scores

RESAMPLES = 1000
# Fewer resamples where tables are large, and none where even so few would take minutes.
FEWEST, MOST_CELLS, MOST_DRAWN = 100, 400_000_000, 50_000_000
SHARE = 0.95

Interval = list[float]


def count_resamples(images: int, classes: int) -> int:
    """Return how many resamples a table of this size is worth; 0 for none."""
    affordable = min(MOST_CELLS // (images * classes), MOST_DRAWN // images)
    return min(affordable, RESAMPLES) if affordable >= FEWEST else 0


def draw_resamples(images: int, resamples: int, seed: int = 0) -> NDArray[np.int32]:
    """Return how often each image is in each resample, (B, N); as many images as there are."""
    random = np.random.default_rng(seed)
    counts = np.empty((resamples, images), dtype=np.int32)
    for row in counts:
        row[:] = np.bincount(random.integers(0, images, images), minlength=images)
    return counts


def resample_map(
    scores: Scores, positive: Mask, known: Mask, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the mAP in percent of every resample, over classes that have a positive in it, (B,).

    Each class is sorted once; an image that is drawn twice counts twice.
    """
    each = np.ascontiguousarray(counts.T).astype(np.int16)  # a row for each image, to be sorted
    total, scored = np.zeros(len(counts)), np.zeros(len(counts))
    for column in range(scores.shape[1]):
        rows = np.flatnonzero(known[:, column])
        order = rows[np.argsort(-scores[rows, column], kind="stable")]
        if positive[order, column].any():
            area, found = _resample_one(scores[order, column], positive[order, column], each[order])
            total += area
            scored += found
    return 100 * total / np.maximum(scored, 1)


def _resample_one(
    ranked: NDArray[np.floating], positive: Mask, counts: NDArray[np.int16]
) -> tuple[NDArray[np.float64], Mask]:
    """Return a class's average precision in every resample, and where it has a positive.

    Only groups of equal scores that hold a positive gain anything, so that images are summed from
    one such group to the next.
    """
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
    group = np.searchsorted(ends, np.flatnonzero(positive), side="right")
    group, first = np.unique(group, return_index=True)
    starts = np.concatenate([[0], ends[group]])[:-1]
    taken = np.cumsum(np.add.reduceat(counts[: ends[group[-1]]], starts, 0, np.int32), 0)
    gained = np.add.reduceat(counts[positive], first, 0, np.int32)
    hits = np.cumsum(gained, 0)
    area = (gained * (hits / np.maximum(taken, 1))).sum(0) / np.maximum(hits[-1], 1)
    return area, hits[-1] > 0


def resample_of1(
    decided: Mask, positive: Mask, known: Mask, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the OF1 in percent of every resample, (B,)."""
    both = (decided & positive & known).sum(1)
    either = (decided & known).sum(1) + (positive & known).sum(1)
    return np.asarray(200 * (counts @ both) / np.maximum(counts @ either, 1))


def take_interval(values: NDArray[np.float64], share: float = SHARE) -> Interval:
    """Return between which values so large a share of the resamples lies."""
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return [float(low), float(high)]


def find_intervals(
    scores: Scores, truth: Labels, decided: dict[str, Mask], seed: int = 0
) -> dict[str, object]:
    """Return 95 % intervals of the mAP, and of the OF1 of several decisions, over known cells.

    Args:
        scores: (N, C).
        truth: (N, C), 1, -1 or 0 where unknown; every class has positives and negatives.
        decided: Decided cells, (N, C), by the name of their OF1.
        seed: Of the resamples.
    """
    resamples = count_resamples(*scores.shape)
    if not resamples:
        return {"resamples": 0}
    counts = draw_resamples(len(scores), resamples, seed)
    positive, known = truth == 1, truth != 0
    found: dict[str, object] = {"map": take_interval(resample_map(scores, positive, known, counts))}
    for name, cells in decided.items():
        found[name] = take_interval(resample_of1(cells, positive, known, counts))
    return {**found, "share": SHARE, "resamples": resamples}
