"""Pictures held in memory or on a device: the same pixels, and a word if there is no room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

import tacit
from tacit.data.scenes import load_scenes
from tacit.data.source import Source
from tacit.errors import DataError, UsageError
from tacit.images import in_memory as held_module
from tacit.images.in_memory import DevicePixels, check_room, hold, send
from tacit.images.loader import (
    DeviceBatches,
    LoadedBatch,
    ShuffledBatches,
    evaluation_loader,
    training_loader,
)
from tacit.images.scaled import cached
from tacit.types import Batch

CPU = torch.device("cpu")
SIZE, BATCH = 20, 3
PLACES = pytest.mark.parametrize("place", [None, CPU], ids=["memory", "device"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A table of twelve pictures of several sizes."""
    generator = np.random.default_rng(7)
    table = ["file,labels"]
    for number in range(12):
        picture = generator.integers(0, 256, (30, 22 + number, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        table.append(f"{number}.png,{'xy'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(table))
    return tmp_path / "labels.csv"


Make = Callable[[Path], Source]
SOURCES: dict[str, Make] = {
    "files": lambda photos: tacit.load(photos),
    "cached": lambda photos: cached(tacit.load(photos), SIZE, photos.parent / "cache"),
    "of another size": lambda photos: cached(tacit.load(photos), 16, photos.parent / "cache"),
    "generated": lambda photos: load_scenes(size=24, images=12, test_images=1)[0],
    "some": lambda photos: cached(tacit.load(photos), SIZE, photos.parent / "cache").take(
        np.array([8, 1, 5, 2, 11, 0])
    ),
}


def shown(source: Source, seed: int, epoch: int, fast: bool = False) -> list[Batch]:
    order = ShuffledBatches(len(source), BATCH, seed)
    loader = training_loader(source, ("weak", "plain"), SIZE, seed, order, 0, fast)
    order.set_epoch(epoch)
    return list(loader)


def assert_same(found: Iterable[Batch], expected: Iterable[Batch]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.index, other.index) and torch.equal(one.labels, other.labels)
        assert one.views.keys() == other.views.keys()
        assert all(torch.equal(one[view], other[view]) for view in one.views)


@PLACES
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", SOURCES)
def test_plain_and_weak_views_have_the_same_pixels(
    name: str, fast: bool, place: torch.device | None, photos: Path
) -> None:
    source = SOURCES[name](photos)
    kept = hold(source, SIZE, place, fast)
    assert isinstance(kept.pixels, DevicePixels) == (place is not None)
    mirrored = set()
    for seed in range(3):
        for epoch in (1, 2):
            found = shown(kept, seed, epoch, fast)
            assert_same(found, shown(source, seed, epoch, fast))
            assert sum(len(batch.index) for batch in found) == len(source)  # all rows
            mirrored |= {torch.equal(b["weak"][0], b["plain"][0]) for b in found}
    assert mirrored == {True, False}
    both = (evaluation_loader(each, SIZE, 5, 0, fast) for each in (kept, source))
    assert_same(*both)
    own = (evaluation_loader(each, SIZE, 2, 0, fast, range(2, 5)) for each in (kept, source))
    assert_same(*own)


@PLACES
def test_what_is_held_is_read_no_more(place: torch.device | None, photos: Path) -> None:
    source = tacit.load(photos)
    expected = shown(source, 0, 1)
    kept = hold(source, SIZE, place)
    for picture in photos.parent.glob("*.png"):
        picture.unlink()
    assert_same(shown(kept, 0, 1), expected)
    with pytest.raises(DataError, match="no picture at"):
        shown(source, 0, 1)
    part = kept.take(np.array([4, 9]))
    assert np.array_equal(np.asarray(part.open(1)), np.asarray(kept.open(9)))
    assert part.open(0).size == (SIZE, SIZE)


def test_batches_of_a_device_are_made_there(photos: Path) -> None:
    kept = hold(tacit.load(photos), SIZE, CPU)
    order = ShuffledBatches(len(kept), BATCH, 0)
    for workers in (0, 2):  # no worker has anything to do
        assert isinstance(training_loader(kept, ("weak",), SIZE, 0, order, workers), DeviceBatches)
    assert isinstance(evaluation_loader(kept, SIZE, BATCH, 2), DeviceBatches)
    # What needs more than scaled pictures is made as ever.
    for views, size in ((("strong",), SIZE), (("weak",), SIZE - 4)):
        loader = training_loader(kept, views, size, 0, order, 0)
        assert next(iter(loader))[views[0]].shape == (BATCH, 3, size, size)


def test_an_interrupted_epoch_goes_on_where_it_stopped(photos: Path) -> None:
    kept = hold(tacit.load(photos), SIZE, CPU)
    order = ShuffledBatches(len(kept), BATCH, 0)
    loader = training_loader(kept, ("weak",), SIZE, 0, order, 0)
    order.set_epoch(3)
    whole = list(loader)
    order.set_epoch(3, start=2)
    assert_same(loader, whole[2:])


def test_making_batches_moves_no_global_generator(photos: Path) -> None:
    kept = hold(tacit.load(photos), SIZE, CPU)
    before = torch.get_rng_state()
    shown(kept, 0, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_worker_that_starts_afresh_shares_the_memory(photos: Path) -> None:
    source = tacit.load(photos)
    pixels = hold(source, SIZE, None).pixels
    assert pixels is not None and isinstance(pixels.array, Tensor)
    assert len(ForkingPickler.dumps(pixels)) < 2000 < pixels.array.nbytes


@PLACES
def test_a_damaged_picture_is_told_while_all_are_scaled(
    place: torch.device | None, photos: Path
) -> None:
    (photos.parent / "5.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"5\.png is no picture"):
        hold(tacit.load(photos), SIZE, place)


def say(monkeypatch: pytest.MonkeyPatch, folder: Path, kilobytes: int) -> None:
    """Let the machine say that so much of its memory is available."""
    path = folder / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {kilobytes} kB\nBuffers: 1 kB\n")
    monkeypatch.setattr(held_module, "MEMORY", path)


@PLACES
def test_too_little_memory_is_told_before(
    place: torch.device | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say(monkeypatch, tmp_path, 3 * 2**20)
    check_room(3 * 2**30, place)
    message = 'take 3.5 GiB, but this machine\'s memory has 3.0 GiB left; set data.hold = "disk"'
    with pytest.raises(UsageError, match=message):
        check_room(7 * 2**29, place)
    # Two processes of one machine need it twice.
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="take 4.0 GiB"):
        check_room(2**31, place)
    monkeypatch.setattr(held_module, "MEMORY", tmp_path / "nothing")
    check_room(2**50, place)


def test_too_little_memory_of_a_device_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**31, 2**33))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")  # each has a device of its own
    check_room(2**31, torch.device("cuda:1"))
    message = 'take 2.5 GiB, but cuda:1 has 2.0 GiB left; set data.hold = "memory"'
    with pytest.raises(UsageError, match=message):
        check_room(5 * 2**29, torch.device("cuda:1"))


class TestPinning:
    """What torch does with a device is done here with copies that can be told apart."""

    @pytest.fixture(autouse=True)
    def pinned(self, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
        made: list[Tensor] = []

        def pin(tensor: Tensor, device: object = None) -> Tensor:
            made.append(tensor.clone())
            return made[-1]

        monkeypatch.setattr(Tensor, "pin_memory", pin)
        return made

    def test_torchs_loader_pins_a_batch_whole(self, pinned: list[Tensor], photos: Path) -> None:
        (batch, *_) = shown(tacit.load(photos), 0, 1)
        found = pin_memory(batch)
        assert isinstance(found, LoadedBatch)
        assert_same([found], [batch])
        for tensor in (found.index, found.labels, *found.views.values()):
            assert any(tensor is copy for copy in pinned)
        assert len(pinned) == 4

    def test_numbers_on_their_way_to_a_device_are_pinned(
        self, pinned: list[Tensor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[Tensor, dict[str, object]]] = []
        monkeypatch.setattr(Tensor, "to", lambda self, device, **how: asked.append((self, how)))
        send([3, 1, 2], torch.device("cuda"))
        ((tensor, how),) = asked
        assert tensor is pinned[0] and tensor.tolist() == [3, 1, 2]
        assert how == {"non_blocking": True}

    def test_without_a_device_nothing_is_pinned(self, pinned: list[Tensor]) -> None:
        assert send(np.array([4, 5]), CPU).tolist() == [4, 5]
        assert send([], CPU).dtype == torch.long
        assert pinned == []
