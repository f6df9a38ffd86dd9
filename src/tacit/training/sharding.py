"""A trunk divided among the processes: each keeps its share of the weights and of all they need.

Weights, gradients and the optimiser's moments of a divided trunk take an N-th of their memory in
each of N processes. A block's weights come together while it computes, and part again. With one
process, every function here does the ordinary thing; what divides takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tacit.config import Config
from tacit.distributed import world_size
from tacit.errors import UsageError

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def check_shard(config: Config) -> None:
    """Refuse what a divided trunk cannot do."""
    run, phases = config.run, config.phases
    unfit = {
        "run.compile": run.compile,
        "run.average": run.average is not None,
        "phases.freeze": any(phase.freeze for phase in phases),
        "phases.features": any(phase.features != "fresh" for phase in phases),
    }
    if run.shard and (named := [key for key, asked in unfit.items() if asked]):
        raise UsageError(
            f"A trunk that is divided among processes does not go with {' and '.join(named)}; "
            f"leave run.shard out, or {'this' if len(named) == 1 else 'these'}."
        )


def shard(trunk: nn.Module, device: torch.device) -> None:
    """Divide a trunk's weights among all processes, block by block."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world_size(),))
    for block in blocks_of(trunk):
        fully_shard(block, mesh=mesh)
    fully_shard(trunk, mesh=mesh)


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return what a network repeats: modules of several layers that stand in a row."""
    found: list[nn.Module] = []
    for child in module.children():
        in_a_row = isinstance(module, CONTAINERS) and not isinstance(child, CONTAINERS)
        if in_a_row and len(list(child.parameters())) > 2:
            found.append(child)
        else:
            found += blocks_of(child)
    return found


def divided_names(module: nn.Module) -> list[str]:
    """Name the parameters of which each process has a share only."""
    return [name for name, each in module.named_parameters() if _is_divided(each)]


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Let every process have all weights meanwhile, so that none has to wait for another."""
    parts: list[Any] = []
    if world_size() > 1:
        from torch.distributed.fsdp import FSDPModule

        parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)


def whole(state: Any) -> Any:
    """Return a state with its divided tensors put together; all processes have to ask."""
    if isinstance(state, Tensor):
        return _together(state).cpu() if _is_divided(state) else state
    if isinstance(state, Mapping):
        return {key: whole(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(whole(value) for value in state)
    return state


def load_whole(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state that `whole` returned."""
    own = module.state_dict()
    module.load_state_dict({name: _as(value, own.get(name)) for name, value in state.items()})


def load_whole_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state that `whole` returned, of divided weights a share alone."""
    shares = {}
    for group, saved in zip(optimiser.param_groups, state["param_groups"], strict=True):
        for parameter, number in zip(group["params"], saved["params"], strict=True):
            moments = state["state"].get(number, {})
            shares[number] = {name: _moment(moments[name], parameter) for name in moments}
    optimiser.load_state_dict({**state, "state": shares})


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Shorten gradients, taken together, to a norm, whether or not some are divided."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    kinds = [[g for g in gradients if _is_divided(g) == divided] for divided in (True, False)]
    norms = [_together(torch.nn.utils.get_total_norm(kind)) for kind in kinds if kind]
    total = torch.stack(norms).norm()
    share = (most / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(share)


def _moment(value: Any, parameter: Tensor) -> Any:
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    # In the parameter's own layout: fused optimisers read both side by side.
    return torch.empty_like(parameter.detach()).copy_(_as(value, parameter))


def _is_divided(tensor: Tensor | None) -> bool:
    if world_size() == 1:
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def _together(tensor: Any) -> Tensor:
    full: Tensor = tensor.full_tensor() if _is_divided(tensor) else tensor
    return full


def _as(value: Tensor, like: Any) -> Tensor:
    if not _is_divided(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    # Every process has read the same file, so nothing has to be sent.
    moved = value.to(like.device)
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)
