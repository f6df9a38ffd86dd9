"""Watching a run: sums for the log, and a stop as soon as a term is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tacit.distributed import sum_over_ranks, world_size
from tacit.errors import TrainingError
from tacit.types import Batch, Clock, Step


class Meter:
    """Averages terms and readings over an epoch, on the device, without waiting for it."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the epoch."""
        self.steps = 0
        self.seconds = 0.0
        self.sums: dict[str, Tensor] = {}

    def update(self, step: Step) -> None:
        """Take in one training step."""
        self.steps += 1
        values = {f"terms.{name}": term for name, term in step.terms.items()}
        values |= {f"readings.{name}": reading for name, reading in step.readings.items()}
        for name, value in values.items():
            value = value.detach().float()
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value

    def means(self) -> dict[str, dict[str, float]]:
        """Return the epoch's means: ``terms`` and ``readings`` by name."""
        tables: dict[str, dict[str, float]] = {"terms": {}, "readings": {}}
        for key, total in self._joined().items():
            table, name = key.split(".", 1)
            tables[table][name] = float(total) / max(self.steps, 1)
        return tables

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, so that an interrupted epoch can go on."""
        return {"steps": self.steps, "seconds": self.seconds, "sums": self._joined()}

    def _joined(self) -> dict[str, Tensor]:
        """Return the means over all processes, of which each has computed its share of a term."""
        return {name: sum_over_ranks(total) / world_size() for name, total in self.sums.items()}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take up sums that `state_dict` returned."""
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}


class FiniteWatch:
    """Stops training at the first term or reading that is not a finite number.

    Readings count as well: a threshold that is not a number compares false with everything, and
    would switch a part of a method off without a word.

    On an accelerator the check of a step happens during the next one, when its copy has long
    arrived: looking at once would stall the device at every step.
    """

    def __init__(self, images: tuple[str, ...] | list[str], device: torch.device) -> None:
        self.images = images
        self.late = device.type == "cuda"
        self.pending: tuple[Step, Batch, Clock, Tensor, Any] | None = None

    def see(self, step: Step, batch: Batch, clock: Clock) -> None:
        """Take in a step; raise if it, or the one before it, is not finite."""
        watched = [*step.terms.values(), *step.readings.values()]
        values = torch.stack([value.detach().float() for value in watched])
        arrived = None
        if self.late:
            self.flush()
            host = torch.empty(values.shape, pin_memory=True)
            values = host.copy_(values, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self.pending = (step, batch, clock, values, arrived)
        if not self.late:
            self.flush()

    def flush(self) -> None:
        """Check what has not been checked yet."""
        if self.pending is None:
            return
        step, batch, clock, values, arrived = self.pending
        self.pending = None
        if arrived is not None:
            arrived.synchronize()
        finite = torch.isfinite(values)
        if finite.all():
            return
        position = int((~finite).nonzero()[0])
        rows = batch.index.tolist()
        shown = ", ".join(f"{row} ({self.images[row]})" for row in rows[:8])
        more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
        raise TrainingError(
            f"{_name(step, position)} became {values[position].item()} in epoch "
            f"{clock.epoch} of phase {clock.phase}, on the images {shown}{more}. Lower the "
            f"learning rate, or look at these images. The last checkpoint is from before this."
        )


def _name(step: Step, position: int) -> str:
    terms = list(step.terms)
    if position < len(terms):
        return f"Term '{terms[position]}'"
    return f"Reading '{list(step.readings)[position - len(terms)]}'"
