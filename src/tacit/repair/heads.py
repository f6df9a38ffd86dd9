"""Heads for all classes at once, on features that do not change: seconds for thousands of images.

Logistic regression over the whole set. The features are turned to their principal axes, in which
a step along each can have a length of its own; a few dozen steps are enough, fewer from a start
that is nearly right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]

AXES = 512
"""Principal axes that are kept; on photographs, more of them brought nothing."""
RIDGE = 0.006
"""Weight decay, where the first axis has a variance of 1. On photographs with one known label each
all between 0.003 and 0.02 did as well; at 0.0001 a quarter of the average precision was gone."""
STEPS = 30
ROWS_AT_ONCE = 16_384
COMMON = 0.06  # a share of positives, to guess how curved the loss is


@dataclass(frozen=True, eq=False)
class Basis:
    """Principal axes of features.

    Attributes:
        mean: (D,) of the features.
        axes: (D, K) directions, divided by the deviation along the first.
        spectrum: (K,) variances along them; the first is 1.
    """

    mean: Tensor
    axes: Tensor
    spectrum: Tensor

    def project(self, features: Tensor) -> Tensor:
        """Return features along the axes, (N, K)."""
        return (features.float() - self.mean) @ self.axes


def find_basis(features: Tensor, axes: int = AXES) -> Basis:
    """Find the principal axes of features, (N, D), a block of rows at a time."""
    count, width = features.shape
    total = torch.zeros(width, dtype=torch.float64)
    squares = torch.zeros(width, width)
    shift = features[: min(count, 1000)].float().mean(0)
    for block in torch.split(features, ROWS_AT_ONCE):
        moved = block.float() - shift
        total += moved.double().sum(0)
        squares += moved.T @ moved
    mean = total / count
    covariance = squares.double() / count - torch.outer(mean, mean)
    values, vectors = torch.linalg.eigh(covariance)
    kept = min(axes, width, count)
    values, vectors = values.flip(0)[:kept].clamp(min=0), vectors.flip(1)[:, :kept]
    first = values[0].clamp(min=1e-12)
    return Basis((mean + shift).float(), (vectors / first.sqrt()).float(), (values / first).float())


def fit_heads(
    features: Tensor,
    targets: Tensor,
    spectrum: Tensor,
    *,
    weights: Tensor | None = None,
    ridge: float = RIDGE,
    start: Tensor | None = None,
    steps: int = STEPS,
) -> Tensor:
    """Fit a logistic head for each class, (K + 1, C); the last row holds the biases.

    Args:
        features: (N, K) along principal axes.
        targets: (N, C) from 0 to 1.
        spectrum: (K,) variances along the axes.
        weights: (N, C) of the cells, or (N, 1) of the images; all weigh 1 if None.
        ridge: Weight decay.
        start: Heads to begin with.
        steps: Steps to take at most.
    """
    scale = torch.rsqrt(spectrum * COMMON * (1 - COMMON) + ridge)[:, None]
    if start is None:
        share = targets.mean(0).clamp(1e-5, 1 - 1e-5)
        values = torch.cat([torch.zeros(features.shape[1], targets.shape[1]), share.logit()[None]])
    else:
        values = torch.cat([start[:-1] / scale, start[-1:]])
    images = float(len(features)) if weights is None else float(weights.float().mean(1).sum())
    values = values.requires_grad_()
    solver = torch.optim.LBFGS(
        [values], max_iter=steps, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        heads = values[:-1] * scale
        total = 0.5 * ridge * (heads**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        summed = total.detach()
        for first in range(0, len(features), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            logits = features[rows] @ (values[:-1] * scale) + values[-1]
            loss = F.binary_cross_entropy_with_logits(logits, targets[rows], reduction="none")
            if weights is not None:
                loss = loss * weights[rows]
            part = loss.sum() / images
            part.backward()  # type: ignore[no-untyped-call]
            summed = summed + part.detach()
        return summed

    with torch.enable_grad():
        solver.step(closure)  # type: ignore[no-untyped-call]
    found = values.detach()
    return torch.cat([found[:-1] * scale, found[-1:]])


def apply_heads(features: Tensor, heads: Tensor) -> Tensor:
    """Return logits, (N, C)."""
    return torch.addmm(heads[-1], features, heads[:-1])


def draw_folds(
    images: int, folds: int, seed: int = 0, groups: Sequence[int] | NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Share images out over folds, those of a group into the same one, (N,)."""
    generator = np.random.default_rng(seed)
    if groups is None:
        return generator.permutation(images) % folds
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(members)
    order = generator.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(folds), np.zeros(len(names), np.int64)
    for group in order:  # the largest first, each to where there is most room
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[members]
