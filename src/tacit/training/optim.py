"""The optimiser and the schedule of one phase."""

from __future__ import annotations

import re
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from tacit.config import Phase
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods.base import Method, undecayed


def list_frozen(learner: Learner, phase: Phase) -> list[nn.Module]:
    """Return the modules of a model that stand still in a phase, batch statistics included."""
    return [part for name in phase.freeze for part in _find_frozen(learner, name)[0]]


def _find_frozen(learner: Learner, name: str) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """Return the modules that stand still, and the parameters that do not learn, by one name."""
    model: Any = learner.model
    parts = dict(model.named_modules())
    norms = [part for part in parts.values() if isinstance(part, _BatchNorm)]
    if name == "batch_norm":  # its statistics stand still, its weights may learn
        return list(norms), []
    if name == "batch_norm_affine":  # its weights stand still, its statistics may move
        return [], [parameter for part in norms for parameter in part.parameters()]
    if name in parts and name:
        return [parts[name]], list(parts[name].parameters())
    stage = re.fullmatch(r"trunk\.(?:stage(?P<number>[1-9]\d*)|stem)", name)
    if stage is None:
        children = ", ".join(name for name, _ in model.named_children())
        raise UsageError(
            f"The model has no part '{name}' to freeze; it has: {children}, trunk.stem, "
            f"trunk.stage1 and so on, batch_norm and batch_norm_affine."
        )
    depths, number = model.trunk.depths(coarse=True), int(stage["number"] or 0)
    if number not in depths.values():
        raise UsageError(
            f"The trunk has no stage {number} to freeze; it has trunk.stem and trunk.stage1 to "
            f"trunk.stage{max(depths.values())}."
        )
    named = dict(model.trunk.named_parameters())
    inside = {id(named[each]) for each, depth in depths.items() if depth == number}
    still = [part for part in model.trunk.modules() if _lies_within(part, inside)]
    return still, [parameter for parameter in named.values() if id(parameter) in inside]


def _lies_within(part: nn.Module, inside: set[int]) -> bool:
    own = [id(parameter) for parameter in part.parameters()]
    return bool(own) and inside.issuperset(own)


def freeze_parameters(learner: Learner, phase: Phase) -> None:
    """Let all of a model learn but what a phase freezes."""
    still = _find_still(learner, phase)
    for parameter in learner.model.parameters():
        parameter.requires_grad_(id(parameter) not in still)


def _find_still(learner: Learner, phase: Phase) -> set[int]:
    return {id(each) for name in phase.freeze for each in _find_frozen(learner, name)[1]}


def group_parameters(learner: Learner, phase: Phase) -> list[dict[str, Any]]:
    """Group what learns in a phase by its rate and decay; what cannot be is said."""
    groups = _group_model(learner.model, phase, _find_still(learner, phase))
    groups += _group_method(learner.method, phase)
    if not groups:
        raise UsageError(f"Nothing is left to learn when {', '.join(phase.freeze)} are frozen.")
    return groups


def build_optimiser(learner: Learner, phase: Phase, divided: bool = False) -> Optimizer:
    """Build the optimiser: the model's parts and the method's parameters at their own rates.

    Args:
        learner: Model and method.
        phase: How to learn.
        divided: Each process keeps only a share of some weights.
    """
    groups = group_parameters(learner, phase)
    if phase.optimiser == "sgd":
        fused = not divided  # torch's fused SGD knows no divided weights
        return SGD(groups, momentum=phase.momentum, weight_decay=phase.weight_decay, fused=fused)
    kind = Adam if phase.optimiser == "adam" else AdamW
    return kind(groups, weight_decay=phase.weight_decay, fused=True)


def _group_method(method: Method, phase: Phase) -> list[dict[str, Any]]:
    """Group what a method learns by whether it decays; it says so itself."""
    spared = {id(parameter) for parameter in undecayed(method)}
    rate = phase.lr * method.lr_scale
    learning = [parameter for parameter in method.parameters() if parameter.requires_grad]
    decaying = [parameter for parameter in learning if id(parameter) not in spared]
    free = [parameter for parameter in learning if id(parameter) in spared]
    groups: list[dict[str, Any]] = []
    if decaying:
        groups.append({"params": decaying, "lr": rate, "name": "method"})
    if free:
        name = "method, without decay"
        groups.append({"params": free, "lr": rate, "name": name, "weight_decay": 0.0})
    return groups


def _group_model(model: Any, phase: Phase, still: set[int]) -> list[dict[str, Any]]:
    """Group what does not stand still by part, by layer of the trunk, and by whether it decays."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    exempt = {f"trunk.{name}" for name in getattr(model.trunk, "exempt", ())}
    depths = model.trunk.depths() if phase.layer_decay < 1 else {}
    above = max(depths.values(), default=0) + 1  # the head comes after the last layer
    groups: dict[tuple[str, int, bool], list[nn.Parameter]] = {}
    for part, parameters in model.param_groups().items():
        for parameter in parameters:
            if id(parameter) not in still:
                name = names[id(parameter)]
                depth = depths.get(name.removeprefix("trunk."), above) if part == "trunk" else above
                spared = not phase.decay_norms and (parameter.ndim <= 1 or name in exempt)
                groups.setdefault((part, above - depth, spared), []).append(parameter)
    # Parts stay in their order; of the trunk, the layers next to the head come first.
    order = {part: position for position, part in enumerate(model.param_groups())}
    listed: list[dict[str, Any]] = []
    for key in sorted(groups, key=lambda key: (order[key[0]], *key[1:])):
        part, down, spared = key
        scale = (phase.head_lr if part == "head" else 1.0) * phase.layer_decay**down
        group = {"params": groups[key], "lr": phase.lr * scale, "name": part}
        if down:
            group["name"] = f"{part}, {down} below the head"
        if spared:
            group |= {"name": f"{group['name']}, without decay", "weight_decay": 0.0}
        listed.append(group)
    return listed


def build_schedule(optimiser: Optimizer, phase: Phase, steps: int) -> LRScheduler:
    """Build the schedule, which moves on after every step.

    One cycle starts at a 25th of the peak, ends at a 10,000th of the start, and moves the momentum
    (Adam's first beta) from 0.95 to 0.85 and back, as the released code does.
    """
    if phase.schedule == "constant":
        return ConstantLR(optimiser, factor=1.0, total_iters=0)
    peaks = [group["lr"] for group in optimiser.param_groups]
    share = phase.warmup_share
    if share * steps == 1:  # a rise of no length, which torch would divide by
        share *= 1 - 1e-9
    return OneCycleLR(optimiser, peaks, total_steps=steps, pct_start=share)
