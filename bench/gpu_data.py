"""Training with its data: end to end, and what waits for what (G6 and G7)."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_steps import LATE, in_half, our_learning, plain_learning
from gpu_turns import CLASSES, Found, Scale, Side, against_each, block, in_turns, rates
from loader import Baseline
from PIL import Image
from torch.utils.data import DataLoader, Dataset, RandomSampler

import tacit
from tacit.config import Config, DataConfig, ModelConfig
from tacit.data.source import Source, Splits
from tacit.images.loader import ShuffledBatches
from tacit.images.scaled import cached
from tacit.learner import Learner
from tacit.training.context import Context, hold_splits
from tacit.training.feeds import PictureFeed
from tacit.training.parallel import Parallel
from tacit.training.update import Update
from tacit.types import Annotations, Batch

ENDLESS = 10**9
SYNCHRONISES = "synchronizing CUDA operation"


def write_photographs(folder: Path, scale: Scale) -> Source:
    """Write JPEG files of 640 x 480 that are about as busy as photographs, one object in each."""

    def write(number: int) -> str:
        noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=90)
        return f"{number}.jpg,{number % CLASSES}"

    with ThreadPoolExecutor() as pool:
        lines = list(pool.map(write, range(scale.pictures)))
    (folder / "labels.csv").write_text("\n".join(["file,labels", *lines]))
    return tacit.load(folder / "labels.csv")


@dataclass(frozen=True)
class Photographs:
    """Files, and the same pictures scaled once."""

    files: Source
    scaled: Source
    seconds: float  # to scale them

    @property
    def annotations(self) -> Annotations:
        """What is known of them."""
        return Annotations(self.files.labels, self.files.classes, self.files.images)


@contextmanager
def photographs(scale: Scale) -> Iterator[Photographs]:
    """Lend pictures in a folder on the local disk."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_photographs(Path(folder), scale)
        started = time.perf_counter()
        kept = cached(source, scale.size, Path(folder) / "cache")
        yield Photographs(source, kept, time.perf_counter() - started)


def plain_loader(data: Dataset[Any], scale: Scale, batch: int, workers: int, **more: Any) -> Any:
    """Return batches of a data set without end."""
    loader = DataLoader(
        data,
        batch,
        sampler=RandomSampler(data, replacement=True, num_samples=ENDLESS),  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=scale.device.type == "cuda",
        **more,
    )
    return iter(loader)


def in_store(workers: int) -> int:
    """Return how many batches wait, at most, before a loader has to work for the next."""
    return 2 * workers


def plain_training(scale: Scale, pictures: Photographs, workers: int) -> Side:
    """Return plain steps over pictures that workers prepare, three float views of each."""
    step = plain_learning(scale, classes=len(pictures.files.classes))
    table = torch.from_numpy(pictures.files.labels.dense())
    batches = plain_loader(Baseline(pictures.files, scale.size), scale, scale.batch, workers)

    def train() -> None:
        unread, weak, strong, rows = next(batches)
        views = tuple(view.to(scale.device) for view in (weak, strong, unread))
        step(views, table[rows].to(scale.device))  # type: ignore[arg-type]

    return Side(train, store=in_store(workers), images=scale.batch)


class TimedFeed(PictureFeed):
    """Our feed, which notes how long the host waited for the loader."""

    waited = 0.0

    def batches(self, order: ShuffledBatches) -> Iterable[Batch]:
        return TimedBatches(self, super().batches(order))


class TimedBatches:
    """Batches of a loader, each time they are asked."""

    def __init__(self, feed: TimedFeed, loader: Iterable[Batch]) -> None:
        self.feed, self.loader = feed, loader

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.feed.waited += time.perf_counter() - started
            if batch is None:
                return
            yield batch


def our_feed(scale: Scale, pictures: Photographs, learner: Learner) -> TimedFeed:
    """Return our feed from pictures that are held on the device."""
    config = Config(
        data=DataConfig(hold="device", strong="device"),
        model=ModelConfig(size=scale.size),
        run=in_half(scale),
    )
    source, none = pictures.scaled, pictures.scaled.take(np.arange(1))
    splits = hold_splits(Splits(source, none, none), config, scale.device)
    parallel = Parallel(scale.device)
    return TimedFeed(Context(learner, splits, config, Path(), parallel))


def epochs(feed: PictureFeed, rows: int, batch: int) -> Iterator[Batch]:
    """Yield batches as a step takes them, epoch after epoch."""
    order = ShuffledBatches(rows, batch, 0)
    received = feed.received(order)
    for epoch in count(1):
        order.set_epoch(epoch)
        yield from received


class OurTraining:
    """Our feed and our update, as training runs them."""

    def __init__(self, scale: Scale, pictures: Photographs) -> None:
        plain = plain_learning(scale, classes=len(pictures.files.classes))
        known = pictures.annotations
        self.update: Update = our_learning(scale, in_half(scale), plain, known)
        self.feed = our_feed(scale, pictures, self.update.learner)
        self.batches = epochs(self.feed, scale.pictures, scale.batch)

    def step(self) -> None:
        """Take one step."""
        self.update.take(next(self.batches), LATE)


def end_to_end(scale: Scale) -> list[Found]:
    """G6: against a plain loader with few workers, and with many."""
    with photographs(scale) as pictures:
        ours = OurTraining(scale, pictures)
        others = {
            f"plain, {workers} workers": partial(plain_training, scale, pictures, workers)
            for workers in scale.workers
        }
        found = against_each(Side(ours.step, images=scale.batch), others, scale)
        for each in found:
            each.figures["seconds to scale once"] = pictures.seconds
        return found


def waiting(scale: Scale) -> list[Found]:
    """G7: the host's time without a batch, and how often it waits for the device."""
    with photographs(scale) as pictures:
        ours, shares = OurTraining(scale, pictures), []
        batch = next(ours.batches)
        alone = Side(lambda: ours.update.take(batch, LATE), images=scale.batch)
        sides = {"with data": Side(ours.step, images=scale.batch), "batch at hand": alone}
        figures = rates(sides, in_turns(sides, scale.device, scale.plan))
        for _ in range(scale.plan.rounds):
            ours.feed.waited = 0.0
            whole = block(sides["with data"], scale.device, scale.plan.steps)
            shares.append(ours.feed.waited / whole)
        found = [Found(shares, figures)]
        if scale.device.type != "cuda":
            return [*found, Found(why="not measured: only CUDA says when the host waits for it")]
        steps, places = scale.plan.steps, {}
        for name, side in sides.items():
            with synchronisations() as counted:
                for _ in range(steps):
                    side.step()
            places[name] = dict(counted)
        each = {name: sum(counted.values()) / steps for name, counted in places.items()}
        return [*found, Found([each["with data"]], {"places": places} | each)]


@contextmanager
def synchronisations() -> Iterator[Counter[str]]:
    """Count by its place in the code what makes the host wait for the device, as torch notes it.

    It does not note the wait for an event, such as that of the watch for numbers that are not
    finite, which waits for the step before.
    """
    found: Counter[str] = Counter()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
            for each in said:
                if SYNCHRONISES in str(each.message):
                    found[f"{Path(each.filename).name}:{each.lineno}"] += 1
