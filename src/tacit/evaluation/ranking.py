"""Average precision of tensors, where they are: for predictions that never leave the device."""

from __future__ import annotations

import torch
from torch import Tensor

# Sorted together: bounds the memory, whatever N is.
_CELLS = 2**25


def average_precision(scores: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
    """Average precision of every class from 0 to 1, (C,) in double precision.

    Equal to `tacit.evaluation.metrics.average_precision`, and so to scikit-learn's, but for the
    rounding of sums. Tied scores form one threshold. A class without positives gets 0.

    Args:
        scores: (N, C), whatever ranks the images of a class; half precision is widened.
        truth: (N, C), 1 or true where positive.
        known: (N, C) bool, the cells that count; all if None.
    """
    if scores.ndim != 2 or truth.shape != scores.shape or not scores.numel():
        raise ValueError(
            f"scores and truth must be images by classes, but have the shapes "
            f"{tuple(scores.shape)} and {tuple(truth.shape)}."
        )
    columns = max(_CELLS // len(scores), 1)
    areas = []
    for first in range(0, scores.shape[1], columns):
        block = slice(first, first + columns)
        counted = None if known is None else known[:, block].T
        areas.append(_areas(scores[:, block].T, truth[:, block].T == 1, counted))
    found = torch.cat(areas)
    if found.isnan().any():
        classes = int(found.isnan().sum())
        raise ValueError(f"Scores of {classes} classes are NaN and have no rank.")
    return found


def _areas(scores: Tensor, positive: Tensor, known: Tensor | None) -> Tensor:
    """Return the area of each row, NaN where a score that counts is NaN."""
    wide = scores if scores.dtype == torch.float64 else scores.float()
    broken = wide.isnan() if known is None else wide.isnan() & known
    if known is not None:  # the others may stand anywhere: they add to no count
        wide, positive = wide.masked_fill(~known, 0.0), positive & known
    ranked, order = wide.sort(dim=1, descending=True)
    hits = positive.gather(1, order).cumsum(1, dtype=torch.float64)
    if known is None:
        taken = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    else:
        taken = known.gather(1, order).cumsum(1, dtype=torch.float64).clamp(min=1)
    last = torch.ones_like(ranked, dtype=torch.bool)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    # What each threshold finds beyond the one before it, whose count is the largest so far.
    reached = (hits * last).cummax(1).values
    gained = torch.diff(reached, dim=1, prepend=reached.new_zeros(len(reached), 1))
    area = (gained * hits / taken).sum(1) / hits[:, -1].clamp(min=1)
    return area.masked_fill(broken.any(1), torch.nan)
