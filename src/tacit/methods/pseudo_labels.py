"""Entropy maximisation with pseudo-labels: what scores lowest is written down as softly absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tacit.losses import (
    assumed_negative,
    binary_cross_entropy,
    entropy,
    full_precision,
)
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.label_table import LabelTable
from tacit.ranges import Count, Epsilon, Share, SmallWeight
from tacit.types import Annotations, Batch, Clock, Judgement, Step

ROWS_AT_ONCE = 65_536


class AsymmetricPseudoLabels(Method):
    """Entropy maximisation, and soft negative labels for what scores lowest.

    Zhou et al., ECCV 2022 ("EM+APL"). At the end of each epoch from ``warmup_epochs`` on, every
    class gives its lowest-scored unknown images their present probability as a label, which is
    never revised. The quota is a share of the unknown cells at the start, spread over the epochs
    that follow the warm-up. There is no round after a phase's last epoch, which the released code
    holds for nobody to read. Images are scored as at inference; the released code scores them
    under random flips. Published weights: 0.2 and 0.02 for VOC, 0.1 and 0.9 for COCO, 0.1 and 0.2
    for NUS-WIDE, 0.01 and 0.4 for CUB.

    Args:
        entropy_weight: Weight of the entropy of cells that are still unknown.
        pseudo_weight: Weight of pseudo-labelled cells.
        share: Share of each class's unknown cells that a phase labels.
        warmup_epochs: Epochs before the first labels.
        keep: Where the labels live: ``device``, ``cpu``, or the path of a file.
        epsilon: Added to probabilities inside logarithms.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "released": {
            "entropy_weight": 0.1,
            "pseudo_weight": 0.9,
            "share": 0.9,
            "warmup_epochs": 5,
            "epsilon": 1e-5,
        }
    }
    keeps_table: ClassVar[bool] = True

    entropy_weight: SmallWeight = 0.1
    pseudo_weight: SmallWeight = 0.9
    share: Share = 0.9
    warmup_epochs: Count = 5
    keep: str = "device"
    epsilon: Epsilon = 0.0

    def setup(self, annotations: Annotations) -> None:
        known = annotations.known
        self.unknown = torch.from_numpy(known.per_class(0))
        # Not a number: no pseudo-label yet. Infinite: known, and never to have one.
        self.pseudo = LabelTable(annotations.shape, torch.nan, torch.float32, self.keep)
        for first in range(0, len(known), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            given = torch.from_numpy(known[rows] != 0).to(self.pseudo.values.device)
            self.pseudo.values[rows].masked_fill_(given, torch.inf)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = full_precision(model(batch["weak"]))
        pseudo = self.pseudo.read(batch.index)
        labelled = pseudo.isfinite() & batch.unknown
        open_cells = batch.unknown & ~labelled
        known = assumed_negative(logits, batch.labels, self.epsilon)
        soft = binary_cross_entropy(logits, pseudo.masked_fill(~labelled, 0), self.epsilon)
        undecided = entropy(logits, self.epsilon)
        return Step(
            {
                "known": known.masked_fill(batch.unknown, 0).mean(),
                "entropy": -self.entropy_weight * undecided.masked_fill(~open_cells, 0).mean(),
                "pseudo": self.pseudo_weight * soft.masked_fill(~labelled, 0).mean(),
            },
            evidence={"logit": logits.detach()},
            readings={"labelled": labelled.sum() / batch.unknown.sum().clamp(min=1)},
        )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        pseudo = self.pseudo.read_if_there(batch.index, torch.nan)
        labelled = pseudo.isfinite() & batch.unknown
        score = torch.where(labelled, pseudo, logits.sigmoid())
        evidence = {"logit": logits, "pseudo": score, "labelled": labelled.to(score.dtype)}
        return Judgement(score, torch.zeros_like(labelled), evidence)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        # A round after the last epoch would label for nobody.
        if not self.warmup_epochs <= clock.epoch < clock.epochs:
            return
        rounds = clock.epochs - self.warmup_epochs
        probabilities = predict()
        table = self.pseudo.values
        for column in range(table.shape[1]):
            free = table[:, column].isnan().cpu()
            quota = min(int(self.share * int(self.unknown[column]) / rounds), int(free.sum()))
            scores = probabilities[:, column].masked_fill(~free, torch.inf)
            rows = scores.argsort(stable=True)[:quota].to(table.device)
            table[rows, column] = scores.to(table.device, table.dtype)[rows]
