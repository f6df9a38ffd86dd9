"""How a model computes: in which layout, how much at once, and what it keeps for its gradients."""

from __future__ import annotations

from typing import Any

import torch

from tacit.config import RunConfig
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.models.wrappers import can_fuse_views
from tacit.training.parallel import Parallel


def prepare(learner: Learner, run: RunConfig, parallel: Parallel) -> None:
    """Let a learner's model compute as a run asks for; what cannot be is said."""
    model: Any = learner.model
    if run.channels_last and not parallel.divides:  # shares of weights have one layout
        model.to(memory_format=torch.channels_last)
    if run.fuse_views:
        _check_fuse_views(model, run)
        learner.fuse_views = True
    if run.checkpointing:
        model.trunk.keep_less()
    if run.compile:
        model.trunk.compile()
    parallel.divide(model.trunk)


def _check_fuse_views(model: Any, run: RunConfig) -> None:
    if run.compile or run.checkpointing:
        other = "compile" if run.compile else "checkpointing"
        raise UsageError(
            f"run.fuse_views and run.{other} do not go together: a trunk that reads all views in "
            f"one go has to tell them apart in every layer. Leave one of them out."
        )
    if not can_fuse_views(model):
        raise UsageError(
            "This model cannot read several views in one go as if each were alone: some of its "
            "layers look at a whole batch in a way of their own. Leave run.fuse_views out."
        )
