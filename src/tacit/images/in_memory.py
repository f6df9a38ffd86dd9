"""Images held where they are read fastest: in memory, or on the device that trains."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.data.pixels import Pixels
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.images.scaled import scale_in_portions

MEMORY = Path("/proc/meminfo")


class DevicePixels(Pixels):
    """Images on a device, where batches are made of them."""

    array: Tensor

    def gather(self, rows: NDArray[np.integer] | list[int]) -> Tensor:
        """Return some images on the device, (n, S, S, 3), without waiting for it."""
        return self.array.index_select(0, send(self.rows[rows], self.array.device))

    def read(self, rows: NDArray[np.integer] | list[int]) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self.gather(rows).cpu().numpy()
        return images


def send(numbers: NDArray[np.integer] | Sequence[int], device: torch.device) -> Tensor:
    """Copy whole numbers to a device without waiting for it."""
    tensor = torch.as_tensor(numbers, dtype=torch.long)
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # from any other memory, the host waits
    return tensor.to(device, non_blocking=True)


def hold(source: Source, size: int, device: torch.device | None, fast: bool = False) -> Source:
    """Return the same images, scaled once, in memory or on a device.

    Worker processes share what is in memory. Weak and plain views have the same pixels as without
    it; the strong view changes an image that is scaled already.

    Args:
        source: Any images, scaled already or not.
        size: Side of the scaled images.
        device: Where they are held; in memory, where workers read them, if None.
        fast: Scale by torch what is not scaled yet.
    """
    shape = (len(source), size, size, 3)
    array = torch.empty(shape, dtype=torch.uint8, device=device)
    for rows, images in scale_in_portions(source, size, fast):
        array[rows.start : rows.stop] = torch.from_numpy(images)
    kind = Pixels if device is None else DevicePixels
    return source.with_pixels(kind(array, np.arange(len(source))))


def check_room(needed: int, device: torch.device | None) -> None:
    """Refuse to hold so many bytes where there is no room for them."""
    if device is not None and device.type == "cuda":
        where, free = f"{device} has", int(torch.cuda.mem_get_info(device)[0])
        advice = 'data.hold = "memory"'
    else:
        # Every process of this machine holds its own.
        needed *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        where, free = "this machine's memory has", measure_available_memory(needed)
        advice = 'data.hold = "disk", with a folder as data.cache'
    if needed > free:
        raise UsageError(
            f"The scaled images take {needed / 2**30:.1f} GiB, but {where} "
            f"{free / 2**30:.1f} GiB left; set {advice}, or choose a smaller model.size."
        )


def measure_available_memory(unknown: int) -> int:
    """Return the bytes that this machine has left, or what is said where it does not tell."""
    if not MEMORY.is_file():
        return unknown  # no Linux: nothing to go by
    (line,) = (line for line in MEMORY.read_text().split("\n") if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024
