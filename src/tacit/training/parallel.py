"""Several processes that train one model, as `torchrun` starts them, or one alone.

Whoever trains asks one object, a `Parallel`, and never how many processes there are. What divides
weights takes seconds to import, and is imported when weights are divided.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as distributed
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from tacit.config import RunConfig
from tacit.devices import seed_generators
from tacit.distributed import gather_rows, is_first, rank, sum_over_ranks, world_size
from tacit.errors import TrainingError, UsageError
from tacit.processes import find_process

# `broadcast_buffers` has no successor yet that leaves buffers alone from the start, and the layout
# of a gradient of a 1 x 1 convolution is a matter of taste.
# FSDP2 fears for views that someone changes in place; nothing here does.
EXPECTED = (
    r"`broadcast_buffers` is deprecated",
    r"\s*Grad strides do not match",
    r"FSDP2-wrapped module",
)
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "gloo")


CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@contextmanager
def process_group() -> Iterator[None]:
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
            f"Process {rank()} of {started} lost the others: one of them has ended. Its own output "
            f"says why, unless it was killed. Go on from the last checkpoint with --resume, on "
            f"as many processes as you like."
        ) from error
    finally:
        distributed.destroy_process_group()


class Parallel:
    """What a run asks of whatever trains it; here, of one process alone.

    Args:
        device: Where this process computes.
    """

    divides = False
    """Whether each process keeps a share only of the trunk's weights."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def divide(self, trunk: nn.Module) -> None:
        """Divide a trunk's weights among the processes, if this is what divides them."""

    def wrap(self, learner: nn.Module) -> Any:
        """Return what takes a learner's steps, so that gradients are those of all processes."""
        return learner

    def state(self, owner: nn.Module | Optimizer) -> dict[str, Any]:
        """Return the state of a module or an optimiser, undivided; all processes have to ask."""
        return dict(owner.state_dict())

    def load(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Load a module's state that `state` returned, here or anywhere."""
        own = module.state_dict()
        placed = {name: self._place(value, own.get(name)) for name, value in state.items()}
        module.load_state_dict(placed)

    def load_optimiser(self, optimiser: Optimizer, state: dict[str, Any]) -> None:
        """Load an optimiser's state that `state` returned, here or anywhere."""
        placed = {}
        for group, saved in zip(optimiser.param_groups, state["param_groups"], strict=True):
            for parameter, number in zip(group["params"], saved["params"], strict=True):
                moments = state["state"].get(number, {})
                placed[number] = {
                    name: self._place_moment(value, parameter) for name, value in moments.items()
                }
        optimiser.load_state_dict({**state, "state": placed})

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> None:
        """Shorten gradients, taken together, to a norm."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return
        total = torch.stack(self._norms(gradients)).norm()
        share = (most / (total + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(share)

    def gather(self, model: nn.Module) -> AbstractContextManager[None]:
        """Let every process have all weights meanwhile, so that none has to wait for another."""
        return nullcontext()

    def join_statistics(self, model: nn.Module) -> None:
        """Average what the processes' batch normalisation layers have seen."""

    def _norms(self, gradients: list[Tensor]) -> list[Tensor]:
        """Return norms that together make the norm of all gradients."""
        return [torch.nn.utils.get_total_norm(gradients)]

    def _place(self, value: Tensor, like: Any) -> Tensor:
        """Return what a process keeps of a value, as it keeps of another one."""
        return value

    def _place_moment(self, value: Any, parameter: Tensor) -> Any:
        if not isinstance(value, Tensor) or value.shape != parameter.shape:
            return value
        # In the parameter's own layout: fused optimisers read both side by side.
        return torch.empty_like(parameter.detach()).copy_(self._place(value, parameter))


class Replicated(Parallel):
    """Several processes, each with the whole model, which average their gradients.

    Every process starts from the same seed and reads the same checkpoint, so that nothing has to
    be sent around at first; and the buffers that change in a step are those of batch
    normalisation, which `join_statistics` joins, and a method's, which are equal everywhere.
    """

    def wrap(self, learner: nn.Module) -> Any:
        return DistributedDataParallel(
            learner,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            init_sync=False,
            find_unused_parameters=True,  # what a method leaves out may change from step to step
        )

    @torch.no_grad()
    def join_statistics(self, model: nn.Module) -> None:
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(sum_over_ranks(buffer) / world_size())


class Divided(Replicated):
    """Several processes, each with a share of the trunk's weights and of all they need.

    Weights, gradients and the optimiser's moments of a divided trunk take an N-th of their memory
    in each of N processes. A block's weights come together while it computes, and part again.
    """

    divides = True

    def divide(self, trunk: nn.Module) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (world_size(),))
        for block in find_blocks(trunk):
            fully_shard(block, mesh=mesh)
        fully_shard(trunk, mesh=mesh)

    def wrap(self, learner: nn.Module) -> Any:
        # A divided trunk sees to its own gradients.
        ignore: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        ignore(learner, [name for name, each in learner.named_parameters() if _is_divided(each)])
        return super().wrap(learner)

    def state(self, owner: nn.Module | Optimizer) -> dict[str, Any]:
        joined: dict[str, Any] = _join_shares(owner.state_dict())
        return joined

    @contextmanager
    def gather(self, model: nn.Module) -> Iterator[None]:
        from torch.distributed.fsdp import FSDPModule

        blocks: list[Any] = [each for each in model.modules() if isinstance(each, FSDPModule)]
        for block in blocks:
            block.set_reshard_after_forward(False, recurse=False)
            block.unshard()
        try:
            yield
        finally:
            for block in blocks:
                block.reshard()
                block.set_reshard_after_forward(True, recurse=False)

    def _norms(self, gradients: list[Tensor]) -> list[Tensor]:
        kinds = [[g for g in gradients if _is_divided(g) == divided] for divided in (True, False)]
        return [_full_tensor(torch.nn.utils.get_total_norm(kind)) for kind in kinds if kind]

    def _place(self, value: Tensor, like: Any) -> Tensor:
        if not _is_divided(like):
            return value
        from torch.distributed.tensor import distribute_tensor

        # Every process has read the same file, so nothing has to be sent.
        moved = value.to(like.device)
        return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


def choose_parallel(run: RunConfig, device: torch.device) -> Parallel:
    """Return what the processes of this run need to train as one."""
    if world_size() == 1:
        return Parallel(device)
    return Divided(device) if run.shard else Replicated(device)


def find_blocks(module: nn.Module) -> list[nn.Module]:
    """Return what a network repeats: modules of several layers that stand in a row."""
    found: list[nn.Module] = []
    for child in module.children():
        in_a_row = isinstance(module, CONTAINERS) and not isinstance(child, CONTAINERS)
        if in_a_row and len(list(child.parameters())) > 2:
            found.append(child)
        else:
            found += find_blocks(child)
    return found


def _is_divided(tensor: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def _full_tensor(tensor: Any) -> Tensor:
    full: Tensor = tensor.full_tensor() if _is_divided(tensor) else tensor
    return full


def _join_shares(state: Any) -> Any:
    """Return a state with its divided tensors put together, in the host's memory."""
    if isinstance(state, Tensor):
        return _full_tensor(state).cpu() if _is_divided(state) else state
    if isinstance(state, Mapping):
        return {key: _join_shares(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_join_shares(value) for value in state)
    return state


def read_random_states(device: torch.device) -> dict[str, Tensor]:
    """Return where the random numbers of every process are, a row for each."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {name: gather_rows(state[None]) for name, state in states.items()}


def restore_random_states(states: dict[str, Tensor], device: torch.device, seed: int) -> None:
    """Go on with the random numbers of a checkpoint; with new ones, if it had other processes."""
    if len(states["cpu"]) != world_size() or (device.type == "cuda") != ("cuda" in states):
        seed_apart(seed, device)
        return
    torch.set_rng_state(states["cpu"][rank()].clone())  # torch crashes on a row of a table
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][rank()].clone(), device)


def seed_apart(seed: int, device: torch.device) -> None:
    """Give every process but the first random numbers of its own, after a common beginning."""
    if not is_first():
        seed_generators(seed + 1_000_003 * rank(), device)


def join_batch_norm(model: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation layer use the statistics of all processes' images."""
    if device.type != "cuda":
        raise UsageError(
            "run.sync_batch_norm needs CUDA devices: torch joins the statistics of batch "
            "normalisation on no other kind."
        )
    if world_size() > 1:
        convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
