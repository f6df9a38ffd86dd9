"""What is measured at which scale, and the time of sides that take turns."""

from __future__ import annotations

import gc
import statistics
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

CLASSES = 80


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        warm: Steps of each side before anything is timed.
        steps: Steps of a block.
        rounds: Blocks of each side.
        deadline: Moment of `time.monotonic` after which no further round begins.
    """

    warm: int = 10
    steps: int = 30
    rounds: int = 5
    deadline: float = float("inf")


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    device: torch.device
    plan: Plan = Plan()
    trunk: str = "resnet50"
    size: int = 448
    batch: int = 16
    compiled: bool = True
    images: int = 2048
    workers: tuple[int, int] = (4, 16)
    shown: int = 64  # images at once where nothing is learnt
    rows: int = 125_436
    classes: int = 600
    timed_classes: int = 60  # of scikit-learn's


def small(device: torch.device, plan: Plan) -> Scale:
    """Return a scale at which every part runs within a second or two, and means nothing."""
    return Scale(device, plan, "test_resnet", 64, 2, False, 8, (0, 1), 4, 400, 12, 6)


@dataclass(frozen=True)
class Side:
    """One of the things that are compared.

    Attributes:
        step: One step of work.
        flags: What it runs under.
        store: Steps before each block that are not timed, beside two; a loader has batches in
            store that cost nothing any more.
        images: Images of one step.
    """

    step: Callable[[], Any]
    flags: Callable[[], AbstractContextManager[Any]] = nullcontext
    store: int = 0
    images: int = 1


@dataclass(frozen=True)
class Bar:
    """What is wanted of one ratio."""

    what: str
    bar: float
    at_most: bool = False


@dataclass
class Found:
    """What was measured: a ratio for each round, or why there is none."""

    ratios: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    broken: bool = False

    def meets(self, bar: Bar) -> bool:
        """Say whether the median is on the good side of a bar."""
        median = statistics.median(self.ratios)
        return median <= bar.bar if bar.at_most else median >= bar.bar


def settle(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def block(side: Side, device: torch.device, steps: int) -> float:
    """Return the seconds of some steps, as the device's own clock has them."""
    settle(device)
    if device.type != "cuda":
        started = time.perf_counter()
        for _ in range(steps):
            side.step()
        return time.perf_counter() - started
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(steps):
        side.step()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1000


def in_turns(sides: Mapping[str, Side], device: torch.device, plan: Plan) -> dict[str, list[float]]:
    """Return the seconds that a step of each side takes, for every round."""
    for side in sides.values():
        with side.flags():
            for _ in range(plan.warm):
                side.step()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(plan.rounds):
        if number and time.monotonic() > plan.deadline:
            break
        for name, side in sides.items():
            with side.flags():
                for _ in range(2 + side.store):
                    side.step()
                found[name].append(block(side, device, plan.steps) / plan.steps)
    return found


def paired(slow: list[float], fast: list[float], factor: float = 1.0) -> list[float]:
    """Divide the times of one side by those of another, round by round."""
    return [factor * one / other for one, other in zip(slow, fast, strict=True)]


def rates(sides: Mapping[str, Side], seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return milliseconds and images a second of each side, by the median."""
    told: dict[str, Any] = {}
    for name, side in sides.items():
        median = statistics.median(seconds[name])
        told[name] = {"ms": 1000 * median, "images/s": side.images / median}
    return told


def against_each(ours: Side, others: Mapping[str, Callable[[], Side]], scale: Scale) -> list[Found]:
    """Time one side against each of several, of which some may not be there or not work."""
    found = []
    for name, build in others.items():
        try:
            sides = {name: build(), "ours": ours}
            seconds = in_turns(sides, scale.device, scale.plan)
        except Exception as error:
            found.append(failure(error))
            continue
        found.append(Found(paired(seconds[name], seconds["ours"]), rates(sides, seconds)))
    return found


def failure(error: Exception) -> Found:
    """Say why there is nothing."""
    traceback.print_exc()
    reason = str(error).strip().partition("\n")[0]
    return Found(why=f"not measured: {type(error).__name__}: {reason}", broken=True)


def compiles(device: torch.device) -> bool:
    """Say whether a network can be compiled and learn; where it cannot, steps are not compiled."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).to(device)
    network.compile()
    try:
        network(torch.zeros(2, 3, 8, 8, device=device)).sum().backward()
    except Exception:
        traceback.print_exc()
        return False
    return True


def forget(device: torch.device) -> None:
    """Free what the part before has left, compiled code included."""
    if device.type == "cuda":
        gc.collect()
        torch.compiler.reset()  # another model would count as one more variant of the same code
        torch._dynamo.utils.counters.clear()
        torch.cuda.empty_cache()
