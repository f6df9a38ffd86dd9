"""From which probability on a class is predicted, chosen on validation images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def choose_thresholds(
    probabilities: NDArray[np.float32], labels: NDArray[np.int8], classes: Sequence[str]
) -> dict[str, float]:
    """Return the best threshold of every class that some image is known to show.

    Where everything is known of a class, best is the largest F1. Where something is unknown,
    neither precision nor F1 can be counted; but recall can, on the known positives, if those are a
    fair sample. The square of the recall over the share of predicted images, at its largest, makes
    the product of precision and recall the largest, without anybody knowing the precision (Lee and
    Liu, ICML 2003).

    Args:
        probabilities: (N, C).
        labels: (N, C), 1, 0 where unknown, -1.
        classes: Their names.
    """
    return {
        name: _best(probabilities[:, column], labels[:, column])
        for column, name in enumerate(classes)
        if (labels[:, column] == 1).any()
    }


def _best(probabilities: NDArray[np.float32], labels: NDArray[np.int8]) -> float:
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    positive = labels[order] == 1
    found, predicted = np.cumsum(positive), np.arange(1, len(order) + 1)
    complete = not (labels == 0).any()
    worth = found / (predicted + found[-1]) if complete else found**2 / predicted
    below = np.append(ranked[1:], 0.0)
    worth[ranked == below] = -1.0  # equal probabilities are predicted together or not at all
    last = int(np.argmax(worth))
    # Halfway to the next image, so that other images near the last one are predicted as well.
    return float((ranked[last] + below[last]) / 2)
