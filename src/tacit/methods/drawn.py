"""The likelihood of known labels, given that they were drawn from all that are there."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tacit.losses import full_precision, negative_loss, positive_loss
from tacit.methods.base import Method, ModelView
from tacit.ranges import Share, SmallWeight
from tacit.types import Annotations, Batch, Clock, Judgement, Step


class Drawn(Method):
    """Whoever labelled an image drew its known positives from all that are there.

    A method of tacit's own. If classes are there independently, each with its probability, and the
    known positives are some of those that are there, drawn at random, the probability of having
    drawn just these can be written down. It is what training maximises. An unknown cell is then
    neither absent nor ignored: it would have competed for being named.

    Suspects are the cells that are more probably there than not, given what was drawn.

    Args:
        shrinkage: Weight of the mean squared logit, which keeps a model from being sure of what it
            has seen many times.
        threshold: Posterior above which an unknown cell is a suspect.
        points: Nodes of the integral, which is exact for up to twice as many classes.
    """

    begins_at_frequency = True

    shrinkage: SmallWeight = 1e-3
    threshold: Share = 0.5
    points: Annotated[int, Field(ge=2, le=256)] = 16

    def setup(self, annotations: Annotations) -> None:
        places, weights = np.polynomial.legendre.leggauss(self.points)
        self.nodes: Tensor
        self.weights: Tensor
        self.register_buffer("nodes", torch.from_numpy((places + 1) / 2).float())
        self.register_buffer("weights", torch.from_numpy(weights / 2).float())

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        posterior = self.find_posterior(logits.detach(), batch)
        terms = {
            "drawn": -self.log_likelihood(logits, batch).mean() / logits.shape[1],
            "shrinkage": self.shrinkage * logits.square().mean(),
        }
        suspects = batch.unknown & (posterior > self.threshold)
        return Step(terms, suspects, {"logit": logits.detach(), "posterior": posterior})

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        posterior = self.find_posterior(logits, batch)
        evidence = {"logit": logits, "posterior": posterior}
        return Judgement(posterior, posterior > self.threshold, evidence)

    def log_likelihood(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the logarithm of the probability of each image's known labels, (B,)."""
        cells = torch.where(batch.positive, positive_loss(logits), negative_loss(logits))
        known = cells.masked_fill(batch.unknown, 0).sum(1)
        chance = self._integrand(logits, batch).sum(2) + self._log_weights(batch)
        # Where nothing is known to be there, nothing was drawn.
        drawn = chance.logsumexp(1).where(batch.positive.any(1), 0)
        return drawn - known

    def find_posterior(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return how probably each class is there, given what was drawn, (B, C).

        Where nothing was drawn, this is the model's probability.
        """
        integrand = self._integrand(logits, batch)
        share = (integrand.sum(2) + self._log_weights(batch)).softmax(1)
        probability = logits.sigmoid()
        # Of what a class adds at a node, the part in which it is there.
        there = probability[:, None] * self.nodes[:, None] / integrand.exp()
        drawn = (share[:, :, None] * there).sum(1)
        drawn = torch.where(batch.positive.any(1, keepdim=True), drawn, probability)
        return torch.where(batch.unknown, drawn, batch.positive.to(drawn.dtype))

    def _integrand(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return log(1 - p + p t) of unknown cells at every node t, (B, points, C)."""
        missed = logits.sigmoid()[:, None] * (1 - self.nodes[:, None])
        return torch.log1p(-missed).masked_fill(~batch.unknown[:, None], 0)

    def _log_weights(self, batch: Batch) -> Tensor:
        """Return the logarithm of m (1 - t)^(m - 1) times the weight of each node, (B, points)."""
        count = batch.positive.sum(1, keepdim=True).clamp(min=1)
        density = count.log() + (count - 1) * torch.log1p(-self.nodes)
        return density + self.weights.log()
