"""One update of the weights: forward, backward, clipping and a step of the optimiser."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext, suppress

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tacit.config import Phase
from tacit.devices import autocast
from tacit.distributed import world_size
from tacit.errors import TrainingError
from tacit.learner import Learner
from tacit.modes import statistics_kept
from tacit.training.meter import FiniteWatch
from tacit.training.parallel import Parallel
from tacit.types import Batch, Clock, Step


class Update:
    """Takes the steps of one phase.

    Args:
        learner: Model and method.
        phase: In how many chunks a step is computed, and how gradients are clipped.
        optimiser: The phase's optimiser.
        schedule: The phase's schedule.
        watch: Looks at every step before anything is changed by it.
        parallel: The processes that take the steps, and where.
        precision: fp32 or bf16.
    """

    def __init__(
        self,
        learner: Learner,
        phase: Phase,
        optimiser: Optimizer,
        schedule: LRScheduler,
        watch: FiniteWatch,
        parallel: Parallel,
        precision: str,
    ) -> None:
        learner.chunks = phase.accumulate
        self.learner, self.phase = learner, phase
        self.optimiser, self.schedule, self.watch = optimiser, schedule, watch
        self.parallel, self.device, self.precision = parallel, parallel.device, precision
        self.wrapped = parallel.wrap(learner)

    def take(self, batch: Batch, clock: Clock) -> Step:
        """Take one step and return what the method made of the batch."""
        with suppress(_OutOfMemory):
            step = self._gradients(batch, clock)
            if self.phase.clip is not None:
                self.parallel.clip(self.learner.model.parameters(), self.phase.clip)
            self.optimiser.step()
            self.schedule.step()
            return step
        # Only now is everything free again that the failed step had allocated.
        raise TrainingError(self._advice(batch, clock))

    def _gradients(self, batch: Batch, clock: Clock) -> Step:
        try:
            with autocast(self.device, self.precision):
                step: Step = self.wrapped(batch, clock)
            self.watch.see(step, batch, clock)
            self.optimiser.zero_grad()
            with self._remembering_once():
                step.loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise _OutOfMemory from None
            raise
        return step

    def _remembering_once(self) -> AbstractContextManager[None]:
        # A trunk that computes activations again would let batch normalisation count them twice.
        model = self.learner.model
        recomputes = getattr(getattr(model, "trunk", None), "recomputes", False)
        return statistics_kept(model) if recomputes else nullcontext()

    def _advice(self, batch: Batch, clock: Clock) -> str:
        """Find out in how many chunks a batch fits. The run ends, so that nothing is spoiled."""
        images, chunks = len(batch.index), self.learner.chunks
        problem = f"A step over {images} images does not fit into the memory of {self.device}."
        if world_size() > 1:  # the others do not know that this one tries something
            return (
                f"{problem} Set phases.accumulate = {2 * chunks}, which computes the same in "
                f"{2 * chunks} parts."
            )
        while chunks < images:
            chunks = min(2 * chunks, images)
            self.learner.chunks = chunks
            self.optimiser.zero_grad()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            with suppress(_OutOfMemory):
                self._gradients(batch, clock)
                return (
                    f"{problem} It fits in {chunks} parts: set phases.accumulate = {chunks}, which "
                    f"computes the same, or phases.batch = {max(images // chunks, 1)}. Then go on "
                    f"in a new run folder."
                )
        return f"{problem} Not even a single one does; choose a smaller model.size or trunk."


class _OutOfMemory(Exception):
    """The error without its traceback, which would keep the memory."""


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class AveragedModel:
    """A copy of a model that follows it slowly: weights, and floating-point buffers alike.

    Integer buffers, such as counts, are copied. There is no warm-up and no bias correction, as in
    the released code of the methods that evaluate averaged weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move a little towards the model."""
        current = model.state_dict()
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - self.decay)
            else:
                value.copy_(current[name])
