"""Model and method as one module."""

from __future__ import annotations

from typing import Any

from torch import nn

from tacit.methods.base import Method
from tacit.models.wrappers import Chunked, FusedViews
from tacit.types import Batch, Clock, Step


class Learner(nn.Module):
    """Model and method as one module, so that one forward is one whole training step.

    Whatever wraps a module (parallel training, precision, checkpoints, optimisers) wraps this
    one, and a method with parameters of its own needs nothing special.
    """

    def __init__(self, model: nn.Module, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.chunks = 1
        """Chunks in which the model sees a batch; the method always sees the whole."""
        self.fuse_views = False
        """Whether the model's trunk reads all views of a batch in one go."""

    def forward(self, batch: Batch, clock: Clock) -> Step:
        model: Any = self.model
        if self.chunks > 1:
            model = Chunked(model, self.chunks)
        elif self.fuse_views and len(batch.views) > 1:
            model = FusedViews(model, batch.views)
        return self.method.step(model, batch, clock)
