"""Element-wise losses: logits and targets in, one value per cell out, (B, C) -> (B, C).

How the values are reduced and weighted is the business of the method that uses them.

Most released code of the field writes ``-log(p + 1e-5)`` on probabilities. ``epsilon`` reproduces
that; ``epsilon=0`` is the exact logarithm computed from the logit, which never saturates. All
losses are computed in full precision, whatever the precision of the logits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Return values in at least 32 bits; half precision makes probabilities saturate and tie."""
    return values if values.dtype == torch.float64 else values.float()


def positive_loss(logits: Tensor, epsilon: float = 0.0) -> Tensor:
    """The price of a cell that is present: -log p."""
    logits = full_precision(logits)
    return -torch.log(logits.sigmoid() + epsilon) if epsilon else F.softplus(-logits)


def negative_loss(logits: Tensor, epsilon: float = 0.0) -> Tensor:
    """The price of a cell that is absent: -log(1 - p)."""
    return positive_loss(-logits, epsilon)


def binary_cross_entropy(logits: Tensor, target: Tensor, epsilon: float = 0.0) -> Tensor:
    """The price of a cell that is present with probability ``target``."""
    target = target.to(full_precision(logits).dtype)
    present, absent = positive_loss(logits, epsilon), negative_loss(logits, epsilon)
    return target * present + (1 - target) * absent


def assumed_negative(logits: Tensor, labels: Tensor, epsilon: float = 0.0) -> Tensor:
    """The price of a cell when everything not known to be present is taken as absent."""
    return torch.where(labels == 1, positive_loss(logits, epsilon), negative_loss(logits, epsilon))


def entropy(logits: Tensor, epsilon: float = 0.0) -> Tensor:
    """How undecided a cell is, in nats: largest at p = 1/2."""
    probability = full_precision(logits).sigmoid()
    present, absent = positive_loss(logits, epsilon), negative_loss(logits, epsilon)
    return probability * present + (1 - probability) * absent


def smoothed(logits: Tensor, labels: Tensor, smoothing: float, epsilon: float = 0.0) -> Tensor:
    """The price when known positives are present, and all else absent, with chance 1 - s only."""
    present, absent = positive_loss(logits, epsilon), negative_loss(logits, epsilon)
    likely = torch.where(labels == 1, present, absent)
    return (1 - smoothing) * likely + smoothing * (present + absent - likely)


def asymmetric(
    logits: Tensor,
    labels: Tensor,
    *,
    positive_focus: float,
    negative_focus: float,
    shift: float,
    epsilon: float = 1e-8,
    detach_focus: bool = False,
) -> Tensor:
    """Focal losses of different strength for both sides; easy negatives cost nothing.

    Args:
        logits: (B, C).
        labels: (B, C); everything that is not 1 counts as absent.
        positive_focus: Power that discounts positives already found.
        negative_focus: Power that discounts negatives already rejected.
        shift: Probability below which a negative is free.
        epsilon: Smallest argument of the logarithms.
        detach_focus: Treat the discount as a constant.
    """
    probability = full_precision(logits).sigmoid()
    absent = (1 - probability + shift).clamp(max=1)
    positive = labels == 1
    likelihood = torch.where(positive, probability, absent)
    power = torch.where(positive, positive_focus, negative_focus)
    # Not quite 0, where a power below 1 has no gradient; what it multiplies is 0 there.
    focus = (1 - likelihood).clamp(min=torch.finfo(likelihood.dtype).tiny)
    focus = focus.detach() if detach_focus else focus
    return -likelihood.clamp(min=epsilon).log() * focus**power


def discounted(logits: Tensor, present: Tensor, focus: float) -> Tensor:
    """The price of cells that are present or absent, discounted by how settled they are.

    Args:
        logits: (B, C).
        present: (B, C) bool; all other cells are absent.
        focus: Power of the distance between probability and target.
    """
    positive, negative = positive_loss(logits), negative_loss(logits)
    # The distance is the exponential of minus the other side's loss; as a power of a probability
    # its gradient would be lost where that is 0.
    distance = torch.exp(-focus * torch.where(present, negative, positive))
    return distance * torch.where(present, positive, negative)


def hill(logits: Tensor, peak: float) -> Tensor:
    """A negative loss whose pull fades for likely cells: a very confident prediction is probably
    right.

    The loss itself turns at two thirds of ``peak``. With 1.5, the literature's value, that is at
    p = 1, so it never falls; its gradient on the logit is largest at p = 1/2.
    """
    probability = full_precision(logits).sigmoid()
    return (peak - probability) * probability**2


def generalised_cross_entropy(logits: Tensor, power: float) -> Tensor:
    """The price of a present cell, (1 - p ** power) / power.

    Power 1 is the plain miss 1 - p, and one near 0 the logarithm. Cells that look absent are
    forgiven the more the larger it is. Negated logits give the price of an absent cell.
    """
    return -torch.expm1(-power * positive_loss(logits)) / power
