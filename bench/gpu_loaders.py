"""Loaders alone: pixels of weak views, until they are on the device (G8)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from gpu_data import Photographs, in_store, our_feed, photographs, plain_loader
from gpu_steps import our_learning, plain_learning
from gpu_turns import Found, Scale, Side, against_each
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as change

from tacit.config import RunConfig
from tacit.images.loader import ShuffledBatches
from tacit.types import Batch


def decoded(files: Any, **options: Any) -> Any:
    """Decode JPEG files by torchvision, which wants to leave this to another package."""
    from torchvision.io import decode_jpeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_jpeg(files, **options)


class ScaledFiles(Dataset[Tensor]):
    """JPEG files of images that are scaled already, decoded by libjpeg-turbo in torchvision."""

    def __init__(self, encoded: list[Tensor]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> Tensor:
        return decoded(self.encoded[row])


def encoded_at_size(images: Photographs) -> list[Tensor]:
    """Encode scaled images once, at quality 95 without thinning out the colours."""

    def encode(row: int) -> Tensor:
        buffer = io.BytesIO()
        images.scaled.open(row).save(buffer, "jpeg", quality=95, subsampling=0)
        return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(encode, range(len(images.scaled))))


def our_loading(scale: Scale, images: Photographs) -> Side:
    """Return our weak views."""
    at_once = min(scale.shown, scale.images)
    plain = plain_learning(scale, classes=len(images.files.classes))
    learner = our_learning(scale, RunConfig(), plain, images.annotations).learner
    feed = our_feed(scale, images, learner)
    order = ShuffledBatches(scale.images, at_once, 0)
    loader = feed.batches(order)

    def forever() -> Iterator[Batch]:
        for epoch in count(1):
            order.set_epoch(epoch)
            yield from loader

    batches = forever()
    return Side(lambda: next(batches).to(scale.device), images=at_once)


def turbo_loading(scale: Scale, images: Photographs) -> Side:
    """Return the same from small JPEG files that workers decode."""
    workers = scale.workers[-1]
    files = ScaledFiles(encoded_at_size(images))
    batches = plain_loader(files, scale, scale.shown, workers)

    def load() -> Tensor:
        loaded: Tensor = next(batches).to(scale.device, non_blocking=True)
        return loaded

    return Side(load, store=in_store(workers), images=scale.shown)


def card_loading(scale: Scale, images: Photographs) -> Side:
    """Return the same from the original files, which the card decodes and scales."""
    paths = [images.files.files(row) for row in range(scale.images)]  # type: ignore[misc]
    read = [torch.from_numpy(np.fromfile(path, np.uint8)) for path in paths]
    starts = count(0, scale.shown)
    shape = [scale.size, scale.size]

    def load() -> Tensor:
        first = next(starts)
        some = [read[row % len(read)] for row in range(first, first + scale.shown)]
        large = decoded(some, device=str(scale.device))
        return torch.stack([change.resize(each, shape, antialias=True) for each in large])

    return Side(load, images=scale.shown)


def loaders(scale: Scale) -> list[Found]:
    """G8: pixels of weak views on the device, against other ways to bring them there."""
    with photographs(scale) as images:
        others = {"libjpeg-turbo": partial(turbo_loading, scale, images)}
        if scale.device.type == "cuda":
            others["card"] = partial(card_loading, scale, images)
        found = against_each(our_loading(scale, images), others, scale)
        if len(found) < 2:
            found.append(Found(why="not measured: torchvision decodes files on CUDA devices only"))
        return found
