"""Batches on their way: in order, whole, at most one ahead, errors where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Splits
from tacit.images.loader import ShuffledBatches
from tacit.runs.build import build_learner
from tacit.training import prefetch as prefetch_module
from tacit.training.context import Context
from tacit.training.feeds import PictureFeed
from tacit.training.parallel import Parallel
from tacit.training.prefetch import Prefetch, SideStream
from tacit.types import Batch

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DEVICES = pytest.mark.parametrize("device", [CPU, CUDA], ids=str)


class Diary:
    """Writes down what happens, and plays a device that has a stream beside the steps'."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.beside = False

    def begin(self) -> None:
        self.lines.append("begin")

    @contextmanager
    def aside(self) -> Iterator[None]:
        self.beside = True
        yield
        self.beside = False

    def hand_over(self, batch: Batch) -> None:
        self.lines.append(f"hand over {int(batch.index)}")


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    diary = Diary()
    monkeypatch.setattr(prefetch_module, "SideStream", lambda device: diary)
    return diary


class Loaded:
    """Five batches, one of which may be broken."""

    def __init__(self, diary: Diary, order: ShuffledBatches, broken: int | None = None) -> None:
        self.diary, self.order, self.broken = diary, order, broken

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self.order.start, len(self.order)):
            self.diary.lines.append(f"load {number}")
            if number == self.broken:
                raise ValueError(f"batch {number} is broken")
            yield Batch(torch.tensor(number), torch.zeros(1), {})


Make = Callable[..., tuple[Prefetch, ShuffledBatches]]


@pytest.fixture
def make(diary: Diary) -> Make:
    def make(device: torch.device, broken: int | None = None) -> tuple[Prefetch, ShuffledBatches]:
        order = ShuffledBatches(10, 2, 0)

        def receive(batch: Batch, *place: int) -> Batch:
            assert diary.beside == (device is CUDA)
            return Batch(batch.index, torch.tensor(place), {})

        return Prefetch(Loaded(diary, order, broken), receive, order, device), order

    return make


@DEVICES
def test_batches_come_in_order_with_their_place_in_the_run(
    make: Make, device: torch.device
) -> None:
    batches, order = make(device)
    for epoch, start in ((1, 0), (2, 0), (3, 4), (4, 0), (5, 5)):
        order.set_epoch(epoch, start)
        found = [(int(batch.index), *batch.labels.tolist()) for batch in batches]
        assert found == [(number, epoch - 1, number) for number in range(start, 5)]


def test_one_batch_is_on_its_way_while_a_step_runs(make: Make, diary: Diary) -> None:
    for batch in make(CUDA)[0]:
        diary.lines.append(f"step {int(batch.index)}")
    expected = ["begin", "load 0"]
    for number in range(5):
        # A step waits for its own batch alone: it is handed over before the next one is queued.
        expected += [f"hand over {number}", *([f"load {number + 1}"] if number < 4 else [])]
        expected += [f"step {number}"]
    assert diary.lines == expected


def test_without_a_stream_each_is_loaded_when_it_is_its_turn(make: Make, diary: Diary) -> None:
    for batch in make(CPU)[0]:
        diary.lines.append(f"step {int(batch.index)}")
    assert diary.lines == [f"{what} {n}" for n in range(5) for what in ("load", "step")]


@DEVICES
@pytest.mark.parametrize("broken", [0, 1, 4])
def test_an_error_comes_in_place_of_the_batch_it_is_about(
    make: Make, diary: Diary, device: torch.device, broken: int
) -> None:
    steps = []
    with pytest.raises(ValueError, match=f"batch {broken} is broken"):
        for batch in make(device, broken)[0]:
            steps.append(int(batch.index))
    assert steps == list(range(broken))
    assert not diary.beside


@DEVICES
def test_an_epoch_that_is_left_can_be_begun_again(make: Make, device: torch.device) -> None:
    batches, order = make(device)
    order.set_epoch(2)
    for batch in batches:
        if int(batch.index) == 1:
            break
    order.set_epoch(2, start=2)
    assert [int(batch.index) for batch in batches] == [2, 3, 4]


def test_a_batch_is_kept_until_the_steps_have_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device, steps wait for the copy, and its memory waits for the steps."""
    said: list[Any] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            said.append((self.name, "waits for", other.name))

    steps = Stream("steps")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("copies"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: steps)
    monkeypatch.setattr(
        Tensor, "record_stream", lambda tensor, by: said.append((id(tensor), "used by", by.name))
    )
    side = SideStream(CUDA)
    side.begin()
    assert said == [("copies", "waits for", "steps")]
    said.clear()
    index, labels, weak, strong = (torch.zeros(1) for _ in range(4))
    side.hand_over(Batch(index, labels, {"weak": weak, "strong": strong}))
    assert said[0] == ("steps", "waits for", "copies")
    assert said[1:] == [(id(each), "used by", "steps") for each in (index, labels, weak, strong)]


def test_feeds_use_the_side_stream_of_a_cuda_device(
    monkeypatch: pytest.MonkeyPatch, configure: Callable[..., Config], splits: Splits
) -> None:
    monkeypatch.setattr(prefetch_module, "SideStream", lambda device: device)
    config = configure()
    learner = build_learner(config, splits)
    order = ShuffledBatches(len(splits.train), 8, 0)
    for device, side in ((CPU, None), (CUDA, CUDA)):
        feed = PictureFeed(Context(learner, splits, config, Path(), Parallel(device)))
        received: Any = feed.received(order)
        assert received.side == side
