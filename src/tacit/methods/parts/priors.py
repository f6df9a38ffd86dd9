"""How common each class is, estimated from positives and unlabelled images alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tacit.methods.parts.statistics import global_mean
from tacit.priors import estimate_each_class
from tacit.types import Annotations


def estimate_priors(scores: Tensor, positive: Tensor) -> Tensor:
    """Estimate the share of images that show each class, (C,).

    How, and what it assumes, is said by `tacit.priors.estimate_each_class`.

    Args:
        scores: (N, C), larger for images that rather show the class.
        positive: (N, C) bool, the known positives.

    Returns:
        Priors from 0 to 1. A class without a known positive gets 0.
    """
    return _each_class(scores, positive)[0]


def _each_class(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the priors, and how well scores tell each class apart, both (C,)."""
    told = estimate_each_class(scores.cpu().double().numpy(), positive.cpu().numpy())
    found = torch.from_numpy(told)
    return found[:, 0], found[:, 1]


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
