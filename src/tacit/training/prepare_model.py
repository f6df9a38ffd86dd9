"""How a model computes: in which layout, how much at once, and what it keeps for its gradients."""

from __future__ import annotations

from typing import Any

import torch

from tacit.config import Config, RunConfig
from tacit.distributed import world_size
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods.base import Method
from tacit.models.wrappers import reads_together
from tacit.training.sharding import shard


def check_computing(config: Config, method: Method) -> None:
    """Refuse what would change nothing in any phase."""
    fresh = [phase for phase in config.phases if phase.features == "fresh"]
    if config.run.checkpointing and not fresh:
        raise UsageError(
            "run.checkpointing is for trunks that learn, and here features are computed once; "
            "leave it out."
        )
    if not config.run.together:
        return
    if len(method.views) == 1:
        raise UsageError(
            f"Method '{config.method.name}' reads one view, so there is nothing to read together; "
            f"leave run.together out."
        )
    if all(phase.accumulate > 1 for phase in fresh):
        raise UsageError(
            "run.together reads all views of a batch in one go, and phases.accumulate or "
            "phases.features leave no phase that could; leave it out."
        )


def prepare(learner: Learner, run: RunConfig, device: torch.device) -> None:
    """Let a learner's model compute as a run asks for; what cannot be is said."""
    model: Any = learner.model
    divided = run.shard and world_size() > 1
    if run.channels_last and not divided:  # shares of weights have one layout
        model.to(memory_format=torch.channels_last)
    if run.together:
        _check_together(model, run)
        learner.together = True
    if run.checkpointing:
        model.trunk.keep_less()
    if run.compile:
        model.trunk.compile()
    if divided:
        shard(model.trunk, device)


def _check_together(model: Any, run: RunConfig) -> None:
    if run.compile or run.checkpointing:
        other = "compile" if run.compile else "checkpointing"
        raise UsageError(
            f"run.together and run.{other} do not go together: a trunk that reads all views in one "
            f"go has to tell them apart in every layer. Leave one of them out."
        )
    if not reads_together(model):
        raise UsageError(
            "This model cannot read several views in one go as if each were alone: some of its "
            "layers look at a whole batch in a way of their own. Leave run.together out."
        )
