"""Model and method as one module."""

from __future__ import annotations

from typing import Any

from torch import nn

from tacit.errors import UsageError
from tacit.methods.base import Method
from tacit.models.base import Model
from tacit.models.wrappers import Chunked, FusedViews
from tacit.types import Batch, Clock, Step


class Learner(nn.Module):
    """Model and method as one module, so that one forward is one whole training step.

    Whatever wraps a module (parallel training, precision, checkpoints, optimisers) wraps this
    one, and a method with parameters of its own needs nothing special.
    """

    def __init__(self, model: nn.Module, method: Method) -> None:
        super().__init__()
        if not isinstance(model, nn.Module) or not isinstance(method, Method):
            raise TypeError(
                f"A Learner is made of a model and a method, such as build_model and build_method "
                f"return, not of {type(model).__name__} and {type(method).__name__}."
            )
        _check_plain(model, method)
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


def _check_plain(model: nn.Module, method: Method) -> None:
    """Refuse a module of somebody's own that lacks what the method asks of it.

    Our models have sentences of their own for what they were built without.
    """
    if isinstance(getattr(model, "model", model), Model):
        return
    missing = [name for name in method.asks_of_model if not hasattr(model, name)]
    if missing:
        raise UsageError(
            f"{type(method).__name__} asks a model for `{missing[0]}`, which a "
            f"{type(model).__name__} does not have. Build a model by tacit.models.build_model, "
            f"with what `model_options` of the method says, or give your own this attribute."
        )
