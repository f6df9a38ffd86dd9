"""A trunk in two: stages that stand still, whose work is done once, and those above that learn."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.models.trunks.layouts import looking
from tacit.models.trunks.networks import REFUSALS


class Lower(nn.Module):
    """What lies below the first module that learns: images in, what that module reads out.

    The whole trunk is asked, and stops there. As a module it consists of what stands still alone.
    """

    def __init__(self, trunk: nn.Module, still: list[nn.Module], first: str) -> None:
        super().__init__()
        self.still = nn.ModuleList(still)
        self.first = first
        self.whole = (trunk,)  # in a tuple, so that what learns is no part of it

    def __repr__(self) -> str:
        return f"{self.whole[0]}\nbelow {self.first}"

    def forward(self, images: Tensor) -> Tensor:
        def stop(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            raise _Reached(inputs[0])

        (trunk,) = self.whole
        handle = trunk.get_submodule(self.first).register_forward_pre_hook(stop)
        try:
            trunk(images)
        except _Reached as reached:
            return reached.features
        finally:
            handle.remove()
        raise UsageError(f"The trunk never asks '{self.first}', so it cannot be divided there.")


class _Reached(Exception):
    """The end of what lies below; no error."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


class Upper:
    """The same trunk without what lies below: it shares every weight that is left.

    Modules that hold both kinds are copied without their weights; the others are the trunk's own.
    """

    def __init__(self, trunk: nn.Module, still: Collection[int]) -> None:
        self.copies: list[tuple[nn.Module, nn.Module]] = []
        self.trunk = self._copy(trunk, still)

    def __call__(self, features: Tensor) -> Tensor:
        for copied, own in self.copies:
            copied.training = own.training
        if hasattr(self.trunk, "size"):
            vars(self.trunk)["size"] = features.shape[2]
        found: Tensor = self.trunk(features)
        return found

    def _copy(self, module: nn.Module, still: Collection[int]) -> nn.Module:
        copied = copy.copy(module)
        vars(copied)["_modules"] = {
            name: self._replace(child, still) for name, child in module.named_children()
        }
        vars(copied)["_compiled_call_impl"] = None  # which would be the whole's
        self.copies.append((copied, module))
        return copied

    def _replace(self, child: nn.Module, still: Collection[int]) -> nn.Module:
        if id(child) in still:
            return nn.Identity()
        mixed = any(id(each) in still for each in child.modules())
        return self._copy(child, still) if mixed else child


def divide_trunk(trunk: Any, still: Collection[str], size: int) -> tuple[Lower, Upper]:
    """Divide a trunk below its first module that learns; what cannot be divided is refused.

    That both halves together are the whole is tried, and not assumed.

    Args:
        trunk: The trunk.
        still: Names of its parameters that stand still.
        size: Side of the images it reads.
    """
    below, first = _find_first(trunk, still, "")
    if first is None or not any(list(module.parameters()) for module in below):
        what = "nothing of the trunk learns" if first is None else "its first layers learn"
        raise UsageError(
            f'phases.features = "stages" computes once what lies below the first stage that '
            f"learns, but here {what}; freeze the first stages alone, from trunk.stem upwards."
        )
    lower, upper = Lower(trunk, below, first), Upper(trunk, {id(module) for module in below})
    like = next(trunk.parameters())
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, size, size, generator=generator).to(like.device, like.dtype)
    with looking(trunk):
        try:
            same = torch.allclose(upper(lower(images)), trunk(images), rtol=1e-3, atol=1e-4)
        except REFUSALS:
            same = False
    if not same:
        raise UsageError(
            f"The stages of this trunk cannot be read apart from one another at '{first}': "
            f'something else passes between them. Set phases.features = "fresh".'
        )
    return lower, upper


def _find_first(
    module: nn.Module, still: Collection[str], prefix: str
) -> tuple[list[nn.Module], str | None]:
    """Return what lies below the first module that learns, in order, and that module's name."""
    below: list[nn.Module] = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        frozen = [f"{path}.{each}" in still for each, _ in child.named_parameters()]
        if all(frozen):  # also where there are none, such as an activation
            below.append(child)
        elif not any(frozen):
            return below, path
        else:
            inside, first = _find_first(child, still, f"{path}.")
            return [*below, *inside], first
    return below, None
