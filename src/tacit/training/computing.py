"""How a model computes: in which layout, how much at once, and what it keeps for its gradients."""

from __future__ import annotations

from typing import Any

import torch

from tacit.config import RunConfig
from tacit.errors import UsageError
from tacit.methods.base import Learner
from tacit.ops import world_size
from tacit.together import reads_together
from tacit.training.sharding import shard


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
