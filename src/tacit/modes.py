"""How a model behaves for a while: as at inference, or with batch statistics left as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Modular(Protocol):
    """A module, or what behaves as one."""

    def modules(self) -> Iterator[nn.Module]:
        """Return it and all that it is made of."""

    def eval(self) -> Any:
        """Behave as at inference."""


@contextmanager
def batch_statistics_only(model: Modular) -> Iterator[None]:
    """Let batch normalisation use the batch at hand without remembering it."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Give batch normalisation its running statistics back afterwards."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [[buffer.clone() for buffer in layer.buffers()] for layer in layers]
    try:
        yield
    finally:
        for layer, values in zip(layers, kept, strict=True):
            for buffer, value in zip(layer.buffers(), values, strict=True):
                buffer.copy_(value)


@contextmanager
def evaluating(model: Modular) -> Iterator[None]:
    """Run a model as at inference, then give every module its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
