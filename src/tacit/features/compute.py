"""Features of a source: from the store where they are, from the trunk where they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Source
from tacit.devices import autocast, split_images
from tacit.errors import UsageError
from tacit.features.keys import key_images, key_trunk
from tacit.features.store import Shelf, find_store
from tacit.images.loader import EVALUATION_BATCH, build_evaluation_loader

PIECE_BYTES = 8 * 2**20
"""So many bytes of features are kept at a time; what a kill can lose is no more."""

MakeRoom = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """How a trunk reads images.

    Attributes:
        model: The model whose trunk it is.
        device: Where it computes.
        precision: fp32 or bf16.
        pooled: Keep the mean over space in place of whole maps.
        workers: Processes that prepare batches.
        fast: Scale images by torch.
        channels_last: Memory layout of the images.
        store: Folder of the feature store; None computes all.
        lower: The stages of the trunk that read, if not all of it does.
        mirrored: Show it mirrored images.
    """

    model: Any
    device: torch.device
    precision: str = "fp32"
    pooled: bool = False
    workers: int = 0
    fast: bool = False
    channels_last: bool = True
    store: Path | None = None
    lower: Any = None
    mirrored: bool = False

    @property
    def reader(self) -> Any:
        """What reads images: the trunk, or its lower stages."""
        return self.model.trunk if self.lower is None else self.lower

    @property
    def shelf(self) -> Shelf | None:
        """Where the store keeps what this makes of images."""
        if self.store is None:
            return None
        model = self.model
        ways = {
            "size": model.size,
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
            "precision": self.precision,
            "pooled": self.pooled,
            "fast": self.fast,
        }
        if self.lower is not None:
            ways["below"] = self.lower.first
        if self.mirrored:
            ways["mirrored"] = True
        about = {"trunk": model.recipe.get("trunk"), "weights": model.recipe.get("weights"), **ways}
        return Shelf(self.store / key_trunk(self.reader, ways), about)


def build_reading(model: Any, config: Config, device: torch.device, pooled: bool) -> Reading:
    """Return how the trunk of a run's model reads its images."""
    data, run = config.data, config.run
    return Reading(
        model,
        device,
        run.precision,
        pooled,
        data.workers,
        data.reading == "fast",
        run.channels_last,
        find_store(data.store),
    )


@torch.no_grad()
def compute_features(
    reading: Reading,
    source: Source,
    rows: range,
    make_room: MakeRoom,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the features of a source's rows, in a tensor with a row for every image of it.

    Args:
        reading: The trunk, and how it reads.
        source: The images, shown as at inference.
        rows: Which of them; the others' rows are left as they are.
        make_room: Makes the tensor, from the number of images and some features.
        between: Called before each batch; it may raise.
    """
    shelf = reading.shelf
    keys = None if shelf is None else key_images(source, rows)
    kept: Tensor | None = None
    missing = np.asarray(rows)
    left = np.arange(len(rows))
    if shelf is not None and keys is not None:
        for hit in shelf.find(keys):
            features = shelf.read(hit)
            kept = make_room(len(source), features) if kept is None else kept
            kept[torch.from_numpy(missing[hit.found])] = features.to(kept.device, kept.dtype)
            left = np.setdiff1d(left, hit.found)
    ahead = _Ahead(shelf, keys)
    try:
        for batch in _load(reading, source, missing[left]):
            between()
            pixels = batch["plain"]
            features = read_images(reading, pixels.flip(3) if reading.mirrored else pixels)
            kept = make_room(len(source), features) if kept is None else kept
            kept[batch.index] = features.to(kept.device)
            ahead.take(left, features)
    finally:
        ahead.flush(left)
    assert kept is not None, "a source has images"
    return kept


def empty_features(images: int, features: Tensor) -> Tensor:
    """Return memory for the features of so many images."""
    return torch.empty((images, *features.shape[1:]), dtype=features.dtype)


class _Ahead:
    """Features that were computed and are not yet kept in the store."""

    def __init__(self, shelf: Shelf | None, keys: NDArray[Any] | None) -> None:
        self.shelf, self.keys = shelf, keys
        self.waiting: list[Tensor] = []
        self.bytes = self.done = 0

    def take(self, left: NDArray[np.intp], features: Tensor) -> None:
        """Take in the features of a batch, in the order of what is left to compute."""
        if self.shelf is None:
            return
        self.waiting.append(features.cpu())
        self.bytes += features.numel() * features.element_size()
        if self.bytes >= PIECE_BYTES:
            self.flush(left)

    def flush(self, left: NDArray[np.intp]) -> None:
        """Keep what is waiting, also where the reading ends early."""
        if self.shelf is None or self.keys is None or not self.waiting:
            return
        features = torch.cat(self.waiting)
        self.shelf.add(self.keys[left[self.done : self.done + len(features)]], features)
        self.done += len(features)
        self.waiting, self.bytes = [], 0


def _load(reading: Reading, source: Source, rows: NDArray[np.intp]) -> Any:
    if not len(rows):
        return ()
    return build_evaluation_loader(
        source, reading.model.size, EVALUATION_BATCH, reading.workers, reading.fast, rows.tolist()
    )


@torch.no_grad()
def measure_features(reading: Reading) -> int:
    """Return the bytes of what is made of one image."""
    size = reading.model.size
    features = read_images(reading, torch.zeros(1, 3, size, size, dtype=torch.uint8))
    return features.numel() * features.element_size()


def read_images(reading: Reading, pixels: Tensor) -> Tensor:
    """Return what a trunk makes of images, given by their pixels."""
    images = reading.model.normalise(pixels.to(reading.device, non_blocking=True))
    if reading.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with autocast(reading.device, reading.precision):
        features = torch.cat([reading.reader(few) for few in split_images(images)])
    return pool(reading.model, features) if reading.pooled else features


def pool(model: Any, features: Tensor) -> Tensor:
    """Return the mean over space as a map of one place, if that is all the head looks at."""
    features = features.float()
    pooled = features.mean((2, 3), keepdim=True)
    expected = model.logits_from(features)
    try:
        found = model.logits_from(pooled)
    except RuntimeError:  # a head that needs as many places as there were
        found = torch.full_like(expected, torch.nan)
    if not torch.allclose(expected, found, rtol=1e-3, atol=1e-4):
        raise UsageError(
            "The head of this model reads whole maps, which pooled features are not; set "
            'phases.features = "maps".'
        )
    return pooled
