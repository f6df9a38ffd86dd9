"""What guessing reaches: the score of a ranking that knows nothing, to be set beside a model's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def compute_chance(positives: NDArray[np.integer], images: int) -> float:
    """Return the mean average precision, in percent, that a random order has on average.

    A class of which one image in a hundred is positive has little more than 1, unless there are
    few images: the mean over all orders is computed, not its limit for many images.

    Args:
        positives: (C,) number of positive images of each class; a class without any adds 0.
        images: Number of images.
    """
    if not images or not len(positives):
        return 0.0
    harmonic = float((1 / np.arange(1, images + 1)).sum())
    # At place k of a random order, of the k images seen 1 + (k - 1) (m - 1) / (n - 1) are positive
    # where the k-th is, which it is with chance m / n; the mean over m such places is this sum.
    among = (positives - 1) / max(images - 1, 1)
    precision = (harmonic + among * (images - harmonic)) / images
    return float(np.where(positives > 0, precision, 0.0).mean()) * 100
