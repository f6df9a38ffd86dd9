"""Pseudo-labels for good, found by a model whose logits are blurred while it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tacit.losses import assumed_negative, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.noise import draw_normal, number_cells
from tacit.ranges import Count, Epsilon, Share, SmallWeight
from tacit.types import Annotations, Batch, Clock, Judgement, Step


class InformationBottleneck(Method):
    """What the model becomes sure of is a positive for good; noise on logits slows it down.

    After Liu et al., "Revisiting Pseudo-Label for Single-Positive Multi-Label Learning", ICML 2023
    ("MIME"). There every class has a latent vector with a learned deviation, of which ten draws are
    averaged, and a prior; its logit is linear in the vector. Here the latent is the logit itself,
    with a deviation for each class: any head will do, and inference is that of the head. It is not
    a reproduction.

    Args:
        warmup_epochs: Epochs before the first pseudo-labels.
        threshold: Probability above which an unknown cell becomes a positive.
        prior_weight: Weight of the distance of the latent from a standard normal distribution.
        draws: How many draws are averaged.
        keep: Where the labels live: ``device``, ``cpu``, or the path of a file.
        epsilon: Added to probabilities inside the logarithm.
    """

    keeps_table: ClassVar[bool] = True
    lr_scale: ClassVar[float] = 10.0

    warmup_epochs: Count = 2
    threshold: Share = 0.95
    prior_weight: SmallWeight = 1e-4
    draws: Annotated[int, Field(ge=1, le=1000)] = 10
    keep: str = "device"
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def setup(self, annotations: Annotations) -> None:
        self.log_deviation = nn.Parameter(torch.zeros(annotations.shape[1]))
        self.found = LabelTable(annotations.shape, 0, torch.bool, self.keep)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        self.steps += 1
        suspects = batch.unknown & self.found.read(batch.index)
        labels = torch.where(suspects, 1, batch.labels)
        log_deviation = self.log_deviation.clamp(-6, 6)
        deviation = log_deviation.exp()
        # The mean of so many draws is itself one draw, of a smaller deviation.
        noise = draw_normal(number_cells(batch.index, logits.shape[1]), self.steps).to(logits)
        blurred = logits + deviation / self.draws**0.5 * noise
        surplus = logits.square() + deviation.square() - 2 * log_deviation - 1
        return Step(
            {
                "assumed": assumed_negative(blurred, labels, self.epsilon).mean(),
                "prior": self.prior_weight * 0.5 * surplus.mean(),
            },
            suspects,
            {"logit": logits.detach()},
            {"deviation": deviation.detach().mean()},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        found = self.found.read(batch.index.clamp(min=0)) & (batch.index >= 0)[:, None]
        return Judgement(logits.sigmoid(), batch.unknown & found, {"logit": logits})

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        # After the last epoch nobody would read the labels.
        if not self.warmup_epochs <= clock.epoch < clock.epochs:
            return
        table = self.found.values
        table |= predict().to(table.device) > self.threshold
