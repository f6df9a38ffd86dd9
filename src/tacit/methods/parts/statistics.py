"""Small numerical parts that methods are built from.

Every mean, count and running average here is taken over all processes of a run, so that N
processes with B / N images each compute what one process with B images would.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tacit.distributed import gather_rows, sum_over_ranks, world_size


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


class Lift(nn.Module):
    """How many times as often a rule marks known positives as it marks unknown cells.

    About 1 tells that the rule does not know them apart. If positives go missing at random, it is
    also by what factor marked cells are missed positives more often than unknown cells at large.
    It is counted over an epoch, and holds from its end to the end of the next.
    """

    counts: Tensor
    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(4, dtype=torch.long))
        self.register_buffer("value", torch.zeros(()))

    def count(self, marked: Tensor, positive: Tensor, unknown: Tensor) -> None:
        """Take in a batch; cells that are neither positive nor unknown are left out."""
        cells = (marked & positive, positive, marked & unknown, unknown)
        self.counts += torch.stack([each.sum() for each in cells])

    def end_epoch(self) -> None:
        """Work it out for what was counted, by all processes, since the last time."""
        hits, positives, marks, unknown = _wide(sum_over_ranks(self.counts))
        known_rate, other_rate = hits / positives.clamp(min=1), marks / unknown.clamp(min=1)
        none_marked = torch.where(known_rate > 0, torch.inf, 0.0)
        lift = torch.where(other_rate > 0, known_rate / other_rate, none_marked)
        self.value.copy_(lift.clamp(max=1e6))
        self.counts.zero_()


def global_mean(values: Tensor) -> Tensor:
    """Average over the whole batch of all processes, with the gradient of this one's share."""
    mean = values.mean(0)
    if world_size() == 1:
        return mean
    return mean + (sum_over_ranks(mean) / world_size() - mean).detach()


def mark_largest(values: Tensor, count: int) -> Tensor:
    """Mark the ``count`` largest values of all processes, ties included, and nothing that is 0."""
    if count <= 0:
        return torch.zeros_like(values, dtype=torch.bool)
    highest = values.flatten().topk(min(count, values.numel())).values
    highest = gather_rows(highest.detach())
    least = highest.topk(min(count, len(highest))).values[-1]
    return (values >= least) & (values > 0)


def mark_largest_of(values: Tensor, count: Tensor) -> Tensor:
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

    def find_outlasting(self, arriving: int) -> Tensor:
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
