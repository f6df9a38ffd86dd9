"""How common each class is, estimated from positives and unlabelled images alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tacit.methods.parts.statistics import global_mean
from tacit.types import Annotations

# Chance that the bounds behind the estimate fail, and slack of its minimum; the values of the
# paper, which were not tuned there.
FAILURE = SLACK = 0.01


def estimate_priors(scores: Tensor, positive: Tensor) -> Tensor:
    """Estimate the share of images that show each class, (C,).

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
        positive: (N, C) bool, the known positives.

    Returns:
        Priors from 0 to 1. A class without a known positive gets 0.
    """
    return _each_class(scores, positive)[0]


def _each_class(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the priors, and how well scores tell each class apart, both (C,)."""
    found = torch.zeros(scores.shape[1], 2, dtype=torch.float64)
    for column in range(scores.shape[1]):
        known = positive[:, column].cpu()
        if known.any():
            found[column] = torch.tensor(
                _one_class(scores[:, column].cpu(), known), dtype=torch.float64
            )
    return found[:, 0], found[:, 1]


def _one_class(scores: Tensor, known: Tensor) -> tuple[float, float]:
    """Estimate one prior, and the separation, from scores and known positives, both (N,)."""
    images, count = len(scores), int(known.sum())
    least = count / images
    order = scores.argsort(descending=True, stable=True)
    ranked = scores[order]
    found = known[order].double().cumsum(0) / count
    share = torch.arange(1, images + 1, dtype=torch.float64) / images
    bound = math.sqrt(math.log(4 / FAILURE) / (2 * images))
    bound += math.sqrt(math.log(4 / FAILURE) / (2 * count))
    # A threshold lies between two different scores, never inside a group of equal ones.
    inside = torch.cat([ranked[1:] == ranked[:-1], torch.zeros(1, dtype=torch.bool)])
    objective = (share + (1 + SLACK) * bound) / found
    best = objective.masked_fill(inside | (found == 0), torch.inf).argmin()
    most = min(max(float(share[best] / found[best]), least), 1.0)
    apart = float((found - share).masked_fill(inside, 0).max())
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


class ExpectedPositives(nn.Module):
    """How many classes an image shows on average: stated, or estimated as training goes on.

    The literature states it from complete labels, which nobody has who needs the method. Left
    out, it starts at the mean number of known positives and follows `estimate_priors` after each
    epoch.

    Attributes:
        value: The number.
        priors: The share of images that show each class, (C,). Stated or not, they are estimates.
        told_apart: How well scores separated each class when it was estimated, (C,), from 0 to 1.
    """

    value: Tensor
    priors: Tensor
    told_apart: Tensor

    def __init__(self, stated: float | None) -> None:
        super().__init__()
        self.stated = stated
        self.register_buffer("value", torch.tensor(stated or 0.0))
        self.annotations: Annotations | None = None

    def begin(self, annotations: Annotations) -> None:
        """Look at the annotations."""
        self.annotations, known = annotations, annotations.known
        share = torch.from_numpy(known.per_class(1) / max(len(known), 1)).float()
        self.register_buffer("priors", share)
        self.register_buffer("told_apart", torch.zeros_like(share))
        if self.stated is None:
            self.value.fill_(float(share.sum()))

    def penalise(self, logits: Tensor) -> Tensor:
        """Return the square of how far the positives of a batch, (B, C), are from the number."""
        surplus = global_mean(logits.sigmoid().sum(1)) - self.value
        return (surplus / logits.shape[1]) ** 2

    def end_epoch(self, predict: Callable[[], Tensor]) -> None:
        """Estimate again after an epoch, unless the number is stated."""
        if self.stated is None:
            self.follow(predict())

    @torch.no_grad()
    def follow(self, probabilities: Tensor) -> None:
        """Estimate again from the training images' probabilities."""
        if self.annotations is None:
            raise RuntimeError("`begin` was not called")
        priors, told = _each_class(probabilities, self.annotations.labels == 1)
        self.priors.copy_(priors)
        self.told_apart.copy_(told)
        if self.stated is None:
            self.value.fill_(float(priors.sum()))
