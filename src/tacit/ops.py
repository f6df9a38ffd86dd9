"""Small numerical parts that methods are built from.

Every mean, count and running average here is taken over all processes of a run, so that N
processes with B / N images each compute what one process with B images would.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_ALONE = ContextVar("alone", default=False)


def world_size() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() and not _ALONE.get() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Count and average over this process only, so that the others need not do the same."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def own_share(rows: int, process: int | None = None) -> range:
    """Which of so many rows a process sees to; all of them, where there is not one for each."""
    world, process = world_size(), rank() if process is None else process
    if rows < world:
        return range(rows)
    return range(rows * process // world, rows * (process + 1) // world)


def sum_over_ranks(value: Tensor) -> Tensor:
    """Add a detached tensor over all processes; the identity when there is only one."""
    value = value.detach()
    if world_size() > 1:
        value = value.clone()
        distributed.all_reduce(value)
    return value


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average the cells a mask selects; an empty selection gives 0 and keeps the gradient path.

    The count is global. Gradients are averaged over processes afterwards, hence the factor.
    """
    count = sum_over_ranks(mask.sum())
    return values.masked_fill(~mask, 0.0).sum() * world_size() / count.clamp(min=1)


def _wide(value: Tensor) -> Tensor:
    """Sum in 64 bits where the device has them, so that the order of summands does not matter."""
    return value if value.device.type == "mps" else value.double()


class ExponentialAverage(nn.Module):
    """A running average with its own count of updates, kept per element.

    Started at zero, the plain average reaches only ``1 - decay ** updates`` of its stationary
    value; ``bias_correction`` divides that factor out. Elements without observations keep their
    value and their count.
    """

    value: Tensor
    updates: Tensor

    def __init__(
        self, decay: float, shape: tuple[int, ...] = (), *, bias_correction: bool = False
    ) -> None:
        super().__init__()
        self.decay = decay
        self.bias_correction = bias_correction
        self.register_buffer("value", torch.zeros(shape))
        self.register_buffer("updates", torch.zeros(shape, dtype=torch.long))

    def update(self, values: Tensor, mask: Tensor, dim: int | None = None) -> None:
        """Take in the mean of the selected values, over all elements or along ``dim``."""
        selected = _wide(values.detach()).masked_fill(~mask, 0.0)
        total = sum_over_ranks(selected.sum() if dim is None else selected.sum(dim))
        count = sum_over_ranks(mask.sum() if dim is None else mask.sum(dim))
        mean = (total / count.clamp(min=1)).to(self.value.dtype)
        seen = count > 0
        moved = self.decay * self.value + (1 - self.decay) * mean
        self.value.copy_(torch.where(seen, moved, self.value))
        self.updates += seen

    def current(self) -> Tensor:
        """The average as of now."""
        if not self.bias_correction:
            return self.value.clone()
        reached = 1 - self.decay ** _wide(self.updates)
        corrected = (_wide(self.value) / reached.clamp(min=1e-12)).to(self.value.dtype)
        return torch.where(self.updates > 0, corrected, self.value)


@contextmanager
def batch_statistics_only(model: nn.Module) -> Iterator[None]:
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
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model as at inference, then give every module its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def global_mean(values: Tensor) -> Tensor:
    """Average over the whole batch of all processes, with the gradient of this one's share."""
    mean = values.mean(0)
    if world_size() == 1:
        return mean
    return mean + (sum_over_ranks(mean) / world_size() - mean).detach()


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows of all processes, in their order, with the gradient of this one's share.

    Processes may have different numbers of rows. Gradients are averaged over processes
    afterwards, and each has only its own share of this one; hence the factor.
    """
    if world_size() == 1:
        return rows
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(count) for count in counts]
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    gathered = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(gathered, padded)
    parts = [part[:length] for part, length in zip(gathered, lengths, strict=True)]
    if rows.requires_grad:
        parts[rank()] = parts[rank()] + world_size() * (rows - rows.detach())
    return torch.cat(parts)


def largest(values: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest values of all processes, ties included, and nothing that is 0."""
    if count <= 0:
        return torch.zeros_like(values, dtype=torch.bool)
    highest = values.flatten().topk(min(count, values.numel())).values
    highest = gather_rows(highest.detach())
    least = highest.topk(min(count, len(highest))).values[-1]
    return (values >= least) & (values > 0)


def largest_of(values: Tensor, count: Tensor) -> Tensor:
    """Mark as many of the largest values of all processes as a tensor says, ties included."""
    ranked = gather_rows(values.flatten()).sort(descending=True).values
    last = (count.ceil().long() - 1).clamp(0, len(ranked) - 1)
    return (values >= ranked.gather(0, last[None])) & (count > 0)


class Queue(nn.Module):
    """The most recent entries of a stream, in a ring."""

    entries: Tensor
    names: Tensor
    position: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("entries", torch.zeros(size, *shape))
        self.register_buffer("names", torch.full((size,), -1, dtype=torch.long))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def outlasting(self, arriving: int) -> Tensor:
        """Mark the entries that will still be there when so many more have come, (size,) bool."""
        slots = torch.arange(self.size, device=self.names.device)
        age_order = (slots - self.position) % self.size  # 0 is the oldest
        return (self.names >= 0) & (age_order >= arriving)

    @torch.no_grad()
    def push(self, entries: Tensor, names: Tensor) -> None:
        """Add entries, oldest out first; of too many, the last ones stay."""
        entries, names = entries[-self.size :], names[-self.size :]
        slots = (self.position + torch.arange(len(names), device=names.device)) % self.size
        self.entries[slots] = entries.to(self.entries.dtype)
        self.names[slots] = names
        self.position.copy_((self.position + len(names)) % self.size)
