"""Where pictures wait to be read: on disk, in memory, or on the device."""

from __future__ import annotations

from dataclasses import replace

import torch

from tacit.config import Config
from tacit.data.source import Splits
from tacit.distributed import wait_for_all
from tacit.errors import UsageError
from tacit.images.in_memory import check_room, held
from tacit.methods.base import Method


def check_hold(config: Config, method: Method) -> None:
    """Refuse to hold pictures on the device where the host has to read them."""
    data = config.data
    if data.hold == "device" and data.strong == "host" and "strong" in method.views:
        raise UsageError(
            f"Method '{config.method.name}' reads strong views, which the host makes picture by "
            f'picture; with data.hold = "device", set data.strong = "device" as well.'
        )


def hold(splits: Splits, config: Config, device: torch.device) -> Splits:
    """Return the same parts, those of training and validation held where the run wants them."""
    if config.data.hold == "disk":
        return splits
    place = device if config.data.hold == "device" else None
    size, fast = config.model.size, config.data.reading == "fast"
    images = len(splits.train) + len(splits.validation)
    check_room(3 * size * size * images, place)
    wait_for_all()  # nobody fills the memory before everybody has looked
    return replace(
        splits,
        train=held(splits.train, size, place, fast),
        validation=held(splits.validation, size, place, fast),
    )
