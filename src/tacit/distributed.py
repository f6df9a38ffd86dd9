"""Several processes that work as one: who they are, sums and rows over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as distributed
from torch import Tensor

_ALONE = ContextVar("alone", default=False)


def world_size() -> int:
    """The number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() and not _ALONE.get() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Count and average over this process only, so that the others need not do the same."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def rank() -> int:
    """The number of this process among them, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


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


ROWS_AT_ONCE = 1024


def is_first() -> bool:
    """Say whether this is the process that writes files and speaks to the user."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process has come this far."""
    sum_over_ranks(torch.zeros(1))


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something before all others do."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()


def agree_on(number: int | None) -> int | None:
    """Return the largest number that any process has, so that all decide the same."""
    if world_size() == 1:
        return number
    return int(gather_rows(torch.tensor([number or 0])).max()) or None


def exchange_shares(rows: Tensor) -> None:
    """Fill in the rows of a tensor in the host's memory that other processes have seen to."""
    world = world_size()
    if world == 1 or len(rows) < world:
        return
    for owner in range(world):
        share = own_share(len(rows), owner)
        for first in range(share.start, share.stop, ROWS_AT_ONCE):
            block = rows[first : min(first + ROWS_AT_ONCE, share.stop)]
            distributed.broadcast(block.view(torch.uint8), owner)
