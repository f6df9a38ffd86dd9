"""Reading images in portions: those that go through the model together, whatever runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from tacit.data.open_image import open_image
from tacit.errors import DataError
from tacit.images.views import plain, scale_fast
from tacit.images.workers import Loader
from tacit.prediction.inputs import Names
from tacit.prediction.name_tables import NameTable
from tacit.prediction.plan import Plan, Shard


@dataclass(frozen=True)
class Request:
    """The names of a portion. The last one of a shard says so."""

    shard: int
    number: int
    table: Names
    names: list[str]
    last: bool


@dataclass(frozen=True)
class Portion:
    """Images that go through the model together.

    Attributes:
        shard: The shard they belong to.
        number: Which portion of it they are.
        last: No others of this shard follow.
        images: Their names.
        errors: What is wrong with each; None where nothing is.
        pixels: (B, 3, S, S) uint8; black where an image cannot be read.
    """

    shard: int
    number: int
    last: bool
    images: list[str]
    errors: list[str | None]
    pixels: Tensor

    def pin_memory(self) -> Portion:
        """Keep the pixels where a device can fetch them while it computes."""
        return replace(self, pixels=self.pixels.pin_memory())


def list_requests(plan: Plan, shards: Iterable[Shard]) -> Iterator[Request]:
    """Name the portions of shards, in their order; one shard's names are held at a time."""
    opened: tuple[int, NameTable] | None = None
    size = plan.settings.batch
    for shard in shards:
        table = plan.tables[shard.table]
        if opened is None or opened[0] != shard.table:
            opened = shard.table, table.open()
        names = opened[1].read((shard.start, shard.rows))
        if len(names) != shard.rows:
            raise DataError(
                f"{table.path} has changed since the prediction was begun: a part of "
                f"{shard.rows:,} rows has {len(names):,} left. Choose another --out."
            )
        for number, first in enumerate(range(0, len(names), size)):
            last = first + size >= len(names)
            yield Request(shard.number, number, table, names[first : first + size], last)


class Images(Dataset[Portion]):
    """Turns requests into portions; the same request gives the same pixels anywhere."""

    def __init__(self, size: int, reading: str) -> None:
        self.size, self.view = size, scale_fast if reading == "fast" else plain

    def __getitem__(self, request: Request) -> Portion:
        pixels = torch.zeros(len(request.names), 3, self.size, self.size, dtype=torch.uint8)
        errors: list[str | None] = [None] * len(request.names)
        for row, name in enumerate(request.names):
            try:
                pixels[row] = self.view(open_image(request.table.image(name)), self.size)
            except DataError as error:
                errors[row] = str(error)
            except Exception as error:  # decoders meet whatever bytes there are with any of them
                errors[row] = f"The image {name} cannot be read: {type(error).__name__}: {error}"
        return Portion(request.shard, request.number, request.last, request.names, errors, pixels)


def read_portions(plan: Plan, shards: list[Shard], size: int, workers: int) -> Iterable[Portion]:
    """Read the portions of shards ahead of the model, in so many processes."""
    count = sum(-(-shard.rows // plan.settings.batch) for shard in shards)
    workers = min(workers, count - 1)
    return Loader(
        Images(size, plan.settings.reading),
        max(workers, 0),
        plan.settings.batch * 3 * size**2,
        batch_size=None,
        sampler=list_requests(plan, shards),
        collate_fn=_as_it_is,
    )


def _as_it_is(portion: Any) -> Any:
    return portion
