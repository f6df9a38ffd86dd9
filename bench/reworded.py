"""The plain step in our words: what is left to compare then must be equal to the last bit.

Four things we write otherwise than `plain.py`, each of which moves a last digit: logits come from
pooled features instead of from the map's mean; the probability of absence is the sigmoid of the
negative logit instead of 1 - p; a mean over chosen cells is their sum, with zeros elsewhere,
divided by their number; and Adam is fused. Passes, maps, masks, thresholds and the choice of
suspects stay those of the plain step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from plain import PlainModel, PlainStep, neglog
from torch import Tensor


class PooledModel(PlainModel):
    """The mean and the linear map commute."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        weight, bias = self.head.weight.flatten(1), self.head.bias
        return F.linear(features.mean((2, 3)), weight, bias), self.head(features)


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    return values.masked_fill(~chosen, 0.0).sum() / chosen.sum().clamp(min=1)


class RewordedStep(PlainStep):
    """Model, thresholds and optimiser."""

    def __init__(self, model: PlainModel, classes: int, lr: float) -> None:
        super().__init__(model, classes, lr)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=lr, fused=True)

    def __call__(self, views: tuple[Tensor, Tensor, Tensor], labels: Tensor) -> Tensor:
        (logits, maps), (strong, _) = self.model(views[0]), self.model(views[1])
        seen, positive = logits.detach(), labels == 1
        missed = self.missed(seen, self.masked(views[0], maps.detach(), labels), positive)
        cells = torch.where(positive, neglog(strong.sigmoid()), neglog((-strong).sigmoid()))
        known = 0.5 * mean_of(neglog(logits.sigmoid()), positive)
        loss = mean_of(cells, ~missed) + known + 0.5 * F.mse_loss(strong, logits)
        self.optimiser.zero_grad(set_to_none=False)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def missed(self, seen: Tensor, masked: Tensor, positive: Tensor) -> Tensor:
        """Move both thresholds on, and choose what lies above them."""
        gap = (seen - self.model(masked)[0].detach()).abs()
        self.tau = 0.999 * self.tau + 0.001 * gap[positive].mean()
        self.mu = 0.999 * self.mu + 0.001 * seen.mean(0)
        return ~positive & (gap > self.tau) & (seen > self.mu)
