"""Several processes that train one model together, as `torchrun` starts them.

With one process every function here does nothing, so that nobody has to ask how many there are.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as distributed
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tacit.distributed import gather_rows, is_first, rank, sum_over_ranks, world_size
from tacit.errors import TrainingError, UsageError
from tacit.processes import find_process
from tacit.training.sharding import divided_names

# `broadcast_buffers` has no successor yet that leaves buffers alone from the start, and the layout
# of a gradient of a 1 x 1 convolution is a matter of taste.
# FSDP2 fears for views that someone changes in place; nothing here does.
EXPECTED = (
    r"`broadcast_buffers` is deprecated",
    r"\s*Grad strides do not match",
    r"FSDP2-wrapped module",
)
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "gloo")


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes of this run, if `torchrun` started any, and part in the end."""
    _, started = find_process()
    if started == 1 or distributed.is_initialized():
        yield
        return
    if "MASTER_ADDR" not in os.environ:
        raise UsageError(
            f"WORLD_SIZE says that {started} processes train together, but MASTER_ADDR does not "
            f"say where they meet; start them with torchrun, which sets both."
        )
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED:
                warnings.filterwarnings("ignore", message)
            yield
    except RuntimeError as error:
        if isinstance(error, TrainingError) or not any(word in str(error) for word in LOST):
            raise
        raise TrainingError(
            f"Process {rank()} of {started} lost the others: one of them has ended, and has said "
            f"why. Go on from the last checkpoint with --resume, on as many processes as you like."
        ) from error
    finally:
        distributed.destroy_process_group()


def in_parallel(learner: nn.Module, device: torch.device) -> Any:
    """Let the gradients of a learner's steps be averaged over all processes.

    Every process starts from the same seed and reads the same checkpoint, so that nothing has to
    be sent around at first; and the buffers that change in a step are those of batch
    normalisation, which `join_statistics` joins, and a method's, which are equal everywhere.
    """
    if world_size() == 1:
        return learner
    # A divided trunk sees to its own gradients.
    ignore: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(learner, divided_names(learner))
    return DistributedDataParallel(
        learner,
        device_ids=[device.index] if device.type == "cuda" else None,
        broadcast_buffers=False,
        init_sync=False,
        find_unused_parameters=True,  # which ones a method leaves out may change from step to step
    )


@torch.no_grad()
def join_statistics(model: nn.Module) -> None:
    """Average what the processes' batch normalisation layers have seen."""
    if world_size() == 1:
        return
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(sum_over_ranks(buffer) / world_size())


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return where the random numbers of every process are, a row for each."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {name: gather_rows(state[None]) for name, state in states.items()}


def restore_random_states(states: dict[str, Tensor], device: torch.device, seed: int) -> None:
    """Go on with the random numbers of a checkpoint; with new ones, if it had other processes."""
    if len(states["cpu"]) != world_size() or (device.type == "cuda") != ("cuda" in states):
        part_randomly(seed)
        return
    torch.set_rng_state(states["cpu"][rank()].clone())  # torch crashes on a row of a table
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][rank()].clone(), device)


def part_randomly(seed: int) -> None:
    """Give every process but the first random numbers of its own, after a common beginning."""
    if not is_first():
        torch.manual_seed(seed + 1_000_003 * rank())


def join_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation layer use the statistics of all processes' images."""
    if device.type != "cuda":
        raise UsageError(
            "run.sync_batch_norm needs CUDA devices: torch joins the statistics of batch "
            "normalisation on no other kind."
        )
    if world_size() > 1:
        convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
