"""What a run trains with: model and method, data, settings, and the processes that do it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tacit.config import Config, Phase
from tacit.data.source import Splits
from tacit.distributed import rank, wait_for_all, world_size
from tacit.images.in_memory import check_room, hold
from tacit.images.loader import ShuffledBatches
from tacit.learner import Learner
from tacit.training.optim import group_parameters
from tacit.training.parallel import Parallel, choose_parallel
from tacit.training.prepare_model import prepare


@dataclass(frozen=True)
class Context:
    """What every phase of a run shares.

    Attributes:
        learner: Model and method, on the device.
        splits: The data.
        config: The run.
        folder: Where the run is kept.
        parallel: The processes that train as one, and where this one computes.
    """

    learner: Learner
    splits: Splits
    config: Config
    folder: Path
    parallel: Parallel

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self.parallel.device

    def shuffle(self, phase: Phase) -> ShuffledBatches:
        """Return the order in which this process reads the training images in a phase."""
        rows, seed = len(self.splits.train), self.config.run.seed
        return ShuffledBatches(rows, phase.batch, seed, rank(), world_size())


def build_context(
    learner: Learner, splits: Splits, config: Config, folder: Path, device: torch.device
) -> Context:
    """Make a learner ready on a device, and put images where the run wants them.

    What cannot work in any of the phases is said now and not after hours.
    """
    parallel = choose_parallel(config.run, device)
    context = Context(learner.to(device), splits, config, folder, parallel)
    prepare(learner, config.run, parallel)
    for phase in config.phases:
        context.shuffle(phase)
        group_parameters(learner, phase)
    return replace(context, splits=hold_splits(splits, config, device))


def hold_splits(splits: Splits, config: Config, device: torch.device) -> Splits:
    """Return the same splits, those of training and validation held where the run wants them."""
    if config.data.hold == "disk":
        return splits
    place = device if config.data.hold == "device" else None
    size, fast = config.model.size, config.data.reading == "fast"
    images = len(splits.train) + len(splits.validation)
    check_room(3 * size * size * images, place)
    wait_for_all()  # nobody fills the memory before everybody has looked
    return replace(
        splits,
        train=hold(splits.train, size, place, fast),
        validation=hold(splits.validation, size, place, fast),
    )
