"""One phase of a run: what learns in it, how fast, and from which batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tacit.training.context import Context
from tacit.training.features import build_feed
from tacit.training.meter import FiniteWatch
from tacit.training.optim import build_optimiser, build_schedule, freeze_parameters, list_frozen
from tacit.training.update import Update
from tacit.types import Batch


class PhaseRun:
    """A phase with all that it needs.

    Args:
        context: What phases share.
        number: Which phase it is, from 0.
        watch: Looks at every step before anything is changed by it.

    Attributes:
        settings: What the configuration says of the phase.
        order: The batches of an epoch, by the rows of their images.
        feed: Where batches come from, and predictions of whole splits.
        update: Takes the steps.
    """

    def __init__(self, context: Context, number: int, watch: FiniteWatch) -> None:
        self.context, self.number = context, number
        self.settings = phase = context.config.phases[number]
        self.order = context.shuffle(phase)
        freeze_parameters(context.learner, phase)
        self.optimiser = build_optimiser(context.learner, phase, context.parallel.divides)
        self.schedule = build_schedule(self.optimiser, phase, phase.epochs * len(self.order))
        self.feed = build_feed(context, phase)
        self.update = Update(
            self.feed.learner,
            phase,
            self.optimiser,
            self.schedule,
            watch,
            context.parallel,
            context.config.run.precision,
        )

    def batches(self) -> Iterable[Batch]:
        """Return the batches of the epoch that the order is set to, on the device."""
        return self.feed.received(self.order)

    def start_epoch(self) -> None:
        """Let everything learn but what stands still in this phase."""
        self.context.learner.train()
        for module in list_frozen(self.context.learner, self.settings):
            module.eval()

    def state(self) -> dict[str, Any]:
        """Return how far optimiser and schedule are; all processes have to ask."""
        optimiser = self.context.parallel.state(self.optimiser)
        return {"optimiser": optimiser, "schedule": self.schedule.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was asked."""
        self.context.parallel.load_optimiser(self.optimiser, state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
