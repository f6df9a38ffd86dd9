"""What a run chooses itself: how precisely to compute, and how many images make a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tacit.config import AUTO, Config, Phase
from tacit.devices import computes_bf16
from tacit.distributed import agree_on, world_size
from tacit.images.in_memory import measure_available_memory
from tacit.learner import Learner
from tacit.modes import keeping_statistics

USUAL, USUAL_FOR_HEADS = 32, 128
"""Images of a batch: of a trunk that learns, and of a head alone."""
STEPS = 8
"""An epoch has so many steps at least, also where there are few images."""
SHARE = 0.5
"""Of the memory that is left, a step may plan with so much."""


def choose_automatic(config: Config, learner: Learner, images: int, device: torch.device) -> Config:
    """Put numbers in the place of what a configuration leaves to this machine.

    Args:
        config: The run.
        learner: Model and method, wherever they are; they stay as they are.
        images: How many there are to train on.
        device: Where it will train.
    """
    precision = config.run.precision
    if precision == "auto":
        precision = "bf16" if computes_bf16(device) else "fp32"
    phases = tuple(
        phase.model_copy(update={"batch": choose_batch(learner, phase, images, device)})
        if phase.batch == AUTO
        else phase
        for phase in config.phases
    )
    run = config.run.model_copy(update={"precision": precision})
    return config.model_copy(update={"run": run, "phases": phases})


def choose_batch(learner: Learner, phase: Phase, images: int, device: torch.device) -> int:
    """Return a power of two that is usual, leaves an epoch some steps, and fits the memory."""
    head_alone = phase.features in ("maps", "pooled")
    batch = USUAL_FOR_HEADS if head_alone else USUAL
    while batch > 2 and batch * STEPS > images:
        batch //= 2
    if not head_alone:
        each = measure_step(learner.model, len(learner.method.views)) // phase.accumulate
        room = SHARE * _measure_room(device, batch * each) * world_size()
        while batch > 2 and batch * each > room:
            batch //= 2
    batch = max(batch, 1)
    # All processes take the same, and each of them as much as the others.
    return -(agree_on(-batch) or -1) * (world_size() if batch < world_size() else 1)


def measure_step(model: Any, views: int) -> int:
    """Return about how many bytes a step needs for each image: what is kept for gradients, twice.

    A few images are shown to the model; what grows with their number is theirs.
    """
    with torch.random.fork_rng(devices=[]), keeping_statistics(model):
        few, more = _count_kept(model, 2), _count_kept(model, 4)
    return max(more - few, 2) // 2 * 2 * views


def _count_kept(model: nn.Module, images: int) -> int:
    kept: dict[int, int] = {}

    def count(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    learned = next(model.parameters())
    size: Any = model.size
    shape = (images, 3, size, size)
    shown = torch.randn(shape, device=learned.device, dtype=learned.dtype)
    training = model.training
    model.train()
    try:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
            logits = model(shown)
        del logits
    finally:
        model.train(training)
    return sum(kept.values())


def _measure_room(device: torch.device, unknown: int) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(measure_available_memory(4 * unknown))
