"""What a method does during training, judged by the truth it never sees.

The counters live on the device and are read once per epoch, so that watching costs no waiting.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tacit.distributed import rank, sum_over_ranks
from tacit.evaluation.metrics import Identification
from tacit.types import Batch, Step

GROUPS = ("known", "missed", "negative")
SAID = "said present"
"""What the log calls the share of cells whose logit is above 0, where a method shows its logits: of
missed positives, those that have not been learned by heart as absent."""


class Diagnostics:
    """Counts suspects and averages evidence by what the cells truly are.

    Groups: ``known`` positives, ``missed`` positives (present but unknown) and true ``negative``
    cells (absent and unknown). Unknown cells whose truth is unknown as well are in none.

    Args:
        truth: (N, C), 1 where a class is present, -1 where it is absent, 0 where nobody knows.
        device: Where the counters live.
    """

    def __init__(self, truth: Tensor, device: torch.device) -> None:
        self.truth = truth.to(device)
        self.device = device
        self.restart()

    def restart(self) -> None:
        """Forget the epoch."""
        self.counts = torch.zeros(3, self.truth.shape[1], dtype=torch.long, device=self.device)
        self.cells = torch.zeros(len(GROUPS), dtype=torch.long, device=self.device)
        self.sums: dict[str, Tensor] = {}

    def update(self, batch: Batch, step: Step) -> None:
        """Take in one training step."""
        truth = self.truth[batch.index]
        missed, absent = batch.unknown & (truth == 1), batch.unknown & (truth == -1)
        if step.suspects is not None:
            kinds = (step.suspects & missed, step.suspects & absent, ~step.suspects & missed)
            self.counts += torch.stack([cells.sum(0) for cells in kinds])
        groups = (batch.positive, missed, absent)
        self.cells += torch.stack([group.sum() for group in groups])
        evidence = dict(step.evidence)
        if "logit" in evidence:
            evidence[SAID] = (evidence["logit"] > 0).float()
        for name, values in evidence.items():
            sums = torch.stack([values.masked_fill(~group, 0).sum() for group in groups]).float()
            self.sums[name] = self.sums[name] + sums if name in self.sums else sums

    def identification(self) -> Identification:
        """Return how well suspects were the missed positives, over all unknown cells."""
        found, wrong, left = sum_over_ranks(self.counts).sum(1).tolist()
        return Identification(found, wrong, left)

    def per_class(self) -> list[Identification]:
        """Return the same for each class."""
        return [Identification(*counts) for counts in sum_over_ranks(self.counts).T.tolist()]

    def count_cells(self) -> dict[str, int]:
        """Return how many cells of each group were seen."""
        return dict(zip(GROUPS, sum_over_ranks(self.cells).tolist(), strict=True))

    def evidence(self) -> dict[str, dict[str, float | None]]:
        """Return the mean of each kind of evidence by group; None where a group has no cell."""
        cells = sum_over_ranks(self.cells).tolist()
        return {
            name: {
                group: total / count if count else None
                for group, total, count in zip(
                    GROUPS, sum_over_ranks(sums).tolist(), cells, strict=True
                )
            }
            for name, sums in self.sums.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the counters, so that an interrupted epoch can go on."""
        return {
            "counts": sum_over_ranks(self.counts),
            "cells": sum_over_ranks(self.cells),
            "sums": {name: sum_over_ranks(sums) for name, sums in self.sums.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up counters that `state_dict` returned."""
        # What all processes counted is the first one's from now on. Never the given tensors
        # themselves: they are added to in place.
        kept = int(rank() == 0)
        self.counts = state["counts"].to(self.device) * kept
        self.cells = state["cells"].to(self.device) * kept
        self.sums = {name: sums.to(self.device) * kept for name, sums in state["sums"].items()}
