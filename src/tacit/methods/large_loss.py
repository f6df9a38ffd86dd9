"""Large losses among unknown cells are suspicious: a network learns what is right first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

import torch
import torch.distributed as distributed
from torch import Tensor

from tacit.distributed import gather_rows, world_size
from tacit.losses import assumed_negative, full_precision, negative_loss, positive_loss
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.methods.parts.statistics import mark_largest
from tacit.ranges import Epsilon, Share
from tacit.types import AFTER_TRAINING, Annotations, Batch, Clock, Judgement, Step


def count_suspects(cells: int, rate: float, epoch: int, *, by_floats: bool = False) -> int:
    """How many cells of a batch to suspect: a share that grows by ``rate`` with every epoch.

    Counted exactly. The released code subtracts the rate from 1 again and again in floating
    point, and so counts one cell more now and then.
    """
    if not by_floats:
        return math.ceil(cells * (epoch - 1) * Fraction(str(rate)))
    clean = 1.0
    for _ in range(epoch - 1):
        clean -= rate
    return math.ceil(cells * (1 - clean))


class LargeLossRejection(Method):
    """Drop the losses of the unknown cells that cost most, a few more with every epoch.

    Kim et al., "Large Loss Matters", CVPR 2022 ("LL-R"). The share counts all cells of the batch,
    known ones included, over all processes.

    Args:
        rate: Share of cells that is added in every epoch after the first.
        count_by_floats: Count as the released code does.
        epsilon: Added to probabilities inside the logarithm.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {"rate": 0.002, "count_by_floats": True, "epsilon": 0.0}
    }

    rate: Share = 0.002
    count_by_floats: bool = False
    epsilon: Epsilon = 0.0

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        labels = self.correct(batch)
        loss = assumed_negative(logits, labels, self.epsilon)
        large = self.find_large(loss.detach(), labels, clock)
        self.remember(batch, loss.detach(), large)
        return Step(
            {"large_loss": self.treat(loss, large, logits).mean()},
            suspects=large | (batch.unknown & (labels == 1)),
            evidence={"logit": logits.detach()},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        labels = self.correct(batch)
        # The order of the losses is that of probabilities; what was corrected is past doubt.
        score = logits.sigmoid().masked_fill(labels == 1, 1)
        loss = negative_loss(logits, self.epsilon)
        suspects = self.find_large(loss, labels, clock) | (labels == 1)
        return Judgement(score, suspects, {"logit": logits, "loss": loss})

    def find_large(self, loss: Tensor, labels: Tensor, clock: Clock) -> Tensor:
        """Mark the unknown cells whose losses are the largest."""
        count = self.count(labels.numel() * world_size(), clock)
        return mark_largest(loss.masked_fill(labels != 0, 0.0), count)

    def count(self, cells: int, clock: Clock) -> int:
        """How many cells of a batch to suspect."""
        if clock == AFTER_TRAINING:  # nobody says how far the share has grown
            return 0
        return count_suspects(cells, self.rate, clock.epoch, by_floats=self.count_by_floats)

    def correct(self, batch: Batch) -> Tensor:
        """Return the labels with the corrections made so far."""
        return batch.labels

    def treat(self, loss: Tensor, large: Tensor, logits: Tensor) -> Tensor:
        """Return the losses with the suspects' treated."""
        return loss.masked_fill(large, 0.0)

    def remember(self, batch: Batch, loss: Tensor, large: Tensor) -> None:
        """Take note of the suspects."""


class LargeLossCorrection(LargeLossRejection):
    """Take the unknown cells that cost most for positives, in this step only.

    Kim et al., "Large Loss Matters", CVPR 2022 ("LL-Ct").
    """

    def treat(self, loss: Tensor, large: Tensor, logits: Tensor) -> Tensor:
        return torch.where(large, positive_loss(logits, self.epsilon), loss)


class PermanentCorrection(LargeLossCorrection):
    """Take the unknown cells that cost most for positives, now and for ever.

    Kim et al., "Large Loss Matters", CVPR 2022 ("LL-Cp"). From the second epoch on, the same
    share of every batch is corrected and the corrections are kept. Two released versions differ:
    one compares its scheme by identity and so follows LL-Ct and keeps nothing (preset
    ``released``); another keeps all corrections (the default). ``record="strict"`` keeps only
    those above the least of the selected losses, as the first would have.

    Args:
        rate: Share of cells that every batch corrects.
        schedule: Correct the same share in every epoch, or one that grows as in LL-Ct.
        record: Which corrections are kept.
        keep: Where the corrections live: ``device``, ``cpu``, or the path of a file.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "rate": 0.001,
            "schedule": "growing",
            "record": "never",
            "count_by_floats": True,
            "epsilon": 0.0,
        }
    }
    keeps_table: ClassVar[bool] = True

    rate = 0.001
    schedule: Literal["constant", "growing"] = "constant"
    record: Literal["inclusive", "strict", "never"] = "inclusive"
    keep: str = "device"

    def setup(self, annotations: Annotations) -> None:
        self.flipped = LabelTable(annotations.shape, 0, torch.bool, self.keep)

    def count(self, cells: int, clock: Clock) -> int:
        if self.schedule == "growing":
            return super().count(cells, clock)
        return count_suspects(cells, self.rate, 2) if clock.epoch >= 2 else 0

    def correct(self, batch: Batch) -> Tensor:
        return batch.labels.masked_fill(
            self.flipped.read_if_there(batch.index, False) & batch.unknown, 1
        )

    def remember(self, batch: Batch, loss: Tensor, large: Tensor) -> None:
        if self.record == "never":
            return
        if self.record == "strict":
            least = gather_rows(loss.masked_fill(~large, torch.inf).min()[None]).min()
            large = large & (loss > least)
        self.flipped.write(batch.index, self.flipped.read(batch.index) | large)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        if world_size() > 1:
            # Each process has seen its own images; a correction made by one holds for all.
            flags = self.flipped.values.to(torch.uint8)
            distributed.all_reduce(flags, distributed.ReduceOp.MAX)
            self.flipped.values.copy_(flags.bool())


class BoostedRejection(LargeLossRejection):
    """Large-loss rejection on a class-activation map whose positive part is boosted.

    Kim et al., "Bridging the Gap between Model Explanations in Partially Annotated Multi-label
    Classification", CVPR 2023 ("BoostLU"). Missing labels damp the map of a class; multiplying
    what is left of it undoes some of that, in training and at inference. The boost is an option
    of the model and is saved with it.
    """

    model_options: ClassVar[Mapping[str, Any]] = {"boost": 5.0}
    asks_of_model: ClassVar[tuple[str, ...]] = ("boost",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {"rate": 0.005, "count_by_floats": True, "epsilon": 0.0}
    }

    rate = 0.005
