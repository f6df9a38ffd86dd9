"""Batches: which images come together, and how their views are made and collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tacit.data.source import Source
from tacit.errors import DataError
from tacit.images.in_memory import DevicePixels, send
from tacit.images.views import USUAL, VIEWS, Strength, is_mirrored, make_view, scale_fast, seeding
from tacit.images.workers import Loader
from tacit.types import Batch

Item = tuple[int, int]  # epoch, row
SCALED = {"plain", "weak"}  # views that need no more than scaling and mirroring
NUMBERS = {view: number for number, view in enumerate(VIEWS)}


class ShuffledBatches(Sampler[list[Item]]):
    """Batches of shuffled rows, the same for every number of processes and workers.

    Each process takes its share of every global batch. The order depends on (seed, epoch) alone,
    and the last, incomplete batch is left out: batch statistics over a few images do harm.
    """

    def __init__(self, rows: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise DataError(f"A batch of {batch} cannot be shared evenly by {world} processes.")
        if rows < batch:
            raise DataError(
                f"There are {rows} training images but a batch has {batch}; "
                f"lower the batch size to {rows} or less."
            )
        self.rows, self.batch, self.seed, self.rank, self.world = rows, batch, seed, rank, world
        self.epoch = 1
        self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and the batch to begin with after an interruption."""
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return self.rows // self.batch

    def __iter__(self) -> Iterator[list[Item]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        share = self.batch // self.world
        for number in range(self.start, len(self)):
            first = number * self.batch + self.rank * share
            yield [(self.epoch, int(row)) for row in order[first : first + share]]


def find_mirrored(seed: int, items: list[Item]) -> list[int]:
    """Return which of a batch's weak views are mirrored."""
    places = []
    for place, (epoch, row) in enumerate(items):
        with seeding(seed, epoch, row, NUMBERS["weak"]):
            if is_mirrored():
                places.append(place)
    return places


class Views(Dataset[tuple[int, dict[str, Tensor]]]):
    """Some views of each image; stateless, since an item carries its epoch."""

    def __init__(
        self,
        source: Source,
        views: Sequence[str],
        size: int,
        seed: int,
        fast: bool = False,
        strength: Strength = USUAL,
    ) -> None:
        self.source, self.views, self.size, self.seed = source, tuple(views), size, seed
        self.fast, self.strength = fast, strength

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, items: list[Item]) -> Any:
        """Make the views of a whole batch; at once, where images are scaled already."""
        pixels = self.source.pixels
        if pixels is None or pixels.size != self.size or not {*self.views} <= SCALED:
            return [self[item] for item in items]
        rows = [row for _, row in items]
        views = {}
        for view in self.views:
            images = pixels.read(rows)
            if view == "weak":
                mirrored = find_mirrored(self.seed, items)
                images[mirrored] = images[mirrored, :, ::-1]
            views[view] = torch.from_numpy(images).permute(0, 3, 1, 2)
        return rows, views

    def __getitem__(self, item: Any) -> tuple[int, dict[str, Tensor]]:
        epoch, row = item
        image = self.source.open(row)
        views = {}
        for view in self.views:
            if self.fast and view in SCALED:
                views[view] = scale_fast(image, self.size)
                if view == "weak" and find_mirrored(self.seed, [item]):
                    views[view] = views[view].flip(2)
                continue
            with seeding(self.seed, epoch, row, NUMBERS[view]):
                views[view] = make_view(view, image, self.size, self.strength)
        return row, views


class LoadedBatch(Batch):
    """A batch as it is loaded, which can be put where a device fetches it by itself."""

    def pin_memory(self) -> LoadedBatch:
        """Return it in memory from which copies need no waiting; torch's loader asks for it."""
        views = self.views.items()
        return LoadedBatch(
            self.index.pin_memory(),
            self.labels.pin_memory(),
            {name: view.pin_memory() if view.is_cpu else view for name, view in views},
        )


class Collect:
    """Stack items to a batch and look their labels up. The truth stays behind."""

    def __init__(self, source: Source) -> None:
        self.labels = source.labels

    def __call__(self, items: Any) -> LoadedBatch:
        if isinstance(items, tuple):
            rows, stacked = items
        else:
            rows = [row for row, _ in items]
            names = items[0][1]
            stacked = {name: torch.stack([views[name] for _, views in items]) for name in names}
        return LoadedBatch(torch.tensor(rows), torch.from_numpy(self.labels[rows]), stacked)


class DeviceBatches:
    """Batches of images that are on a device already; index and labels are at the host.

    Nothing here waits for the device, and little is left to do at the host.

    Args:
        source: The images.
        pixels: Their images.
        views: Views that need no more than scaled images.
        seed: Decides with epoch and row what is mirrored.
        order: Batches of epochs and rows, each time they are asked.
    """

    def __init__(
        self,
        source: Source,
        pixels: DevicePixels,
        views: Sequence[str],
        seed: int,
        order: Iterable[list[Item]],
    ) -> None:
        self.pixels, self.views, self.seed, self.order = pixels, tuple(views), seed, order
        self.collect = Collect(source)

    def __iter__(self) -> Iterator[Batch]:
        for items in self.order:
            rows = [row for _, row in items]
            batch = self.collect((rows, {view: self._make(view, items) for view in self.views}))
            yield batch.pin_memory() if self.pixels.array.is_cuda else batch

    def _make(self, view: str, items: list[Item]) -> Tensor:
        images = self.pixels.gather([row for _, row in items])
        if view == "weak":
            mirrored = send(find_mirrored(self.seed, items), images.device)
            images[mirrored] = images[mirrored].flip(2)
        return images.permute(0, 3, 1, 2)


def _on_device(source: Source, size: int, views: Sequence[str]) -> DevicePixels | None:
    """Return the images, if batches can be made of them where they are."""
    pixels = source.pixels
    if isinstance(pixels, DevicePixels) and pixels.size == size and {*views} <= SCALED:
        return pixels
    return None


def build_training_loader(
    source: Source,
    views: Sequence[str],
    size: int,
    seed: int,
    batches: ShuffledBatches,
    workers: int,
    fast: bool = False,
    strength: Strength = USUAL,
) -> Iterable[Batch]:
    """Build the loader of a training set."""
    if (pixels := _on_device(source, size, views)) is not None:
        return DeviceBatches(source, pixels, views, seed, batches)
    return Loader(
        Views(source, views, size, seed, fast, strength),
        workers,
        batches.batch // batches.world * len(views) * 3 * size**2,
        batch_sampler=batches,
        collate_fn=Collect(source),
        persistent_workers=workers > 0,
    )


def build_evaluation_loader(
    source: Source,
    size: int,
    batch: int,
    workers: int,
    fast: bool = False,
    rows: Sequence[int] | None = None,
) -> Iterable[Batch]:
    """Build a loader that shows every image, or some of them, in order, as at inference."""
    items = [(0, row) for row in rows or range(len(source))]
    chunks = [items[first : first + batch] for first in range(0, len(items), batch)]
    if (pixels := _on_device(source, size, ("plain",))) is not None:
        return DeviceBatches(source, pixels, ("plain",), 0, chunks)
    return Loader(
        Views(source, ("plain",), size, 0, fast),
        workers,
        batch * 3 * size**2,
        batch_sampler=chunks,
        collate_fn=Collect(source),
    )


EVALUATION_BATCH = 64
