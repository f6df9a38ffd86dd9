"""Batches: the same for every number of workers and processes, and repeatable."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tacit.data.source import Source
from tacit.errors import DataError
from tacit.images import views as transforms
from tacit.images.loader import ShuffledBatches, Views, evaluation_loader, training_loader
from tacit.types import Batch

ROWS, CLASSES, SIZE, BATCH = 21, 4, 16, 6
BOTH = ("weak", "strong")


def open_picture(row: int) -> Image.Image:
    pixels = np.random.default_rng(row).integers(0, 256, (20, 26, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def source() -> Source:
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 2, (ROWS, CLASSES)).astype(np.int8)
    truth = generator.choice([-1, 1], (ROWS, CLASSES)).astype(np.int8)
    names = [f"{row:03}.png" for row in range(ROWS)]
    return Source("pictures", ("a", "b", "c", "d"), names, labels, open_picture, truth)


def batches(
    source: Source,
    *,
    epoch: int = 1,
    start: int = 0,
    seed: int = 3,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> list[Batch]:
    order = ShuffledBatches(ROWS, BATCH, seed, rank, world)
    loader = training_loader(source, BOTH, SIZE, seed, order, workers)
    order.set_epoch(epoch, start)
    return list(loader)


def same(first: Batch, second: Batch) -> bool:
    return (
        torch.equal(first.index, second.index)
        and torch.equal(first.labels, second.labels)
        and first.views.keys() == second.views.keys()
        and all(torch.equal(first[view], second[view]) for view in first.views)
    )


def all_same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(map(same, first, second))


def test_an_epoch_shows_distinct_rows_in_whole_batches(source: Source) -> None:
    epoch = batches(source)
    rows = torch.cat([batch.index for batch in epoch]).tolist()
    assert [len(batch.index) for batch in epoch] == [BATCH] * 3
    assert len(set(rows)) == 18
    assert set(rows) < set(range(ROWS))
    assert rows != sorted(rows)


def test_labels_belong_to_their_rows(source: Source) -> None:
    for batch in batches(source):
        assert batch.labels.dtype == torch.int8
        assert np.array_equal(batch.labels.numpy(), source.labels[batch.index.numpy()])


def test_views_belong_to_their_rows(source: Source) -> None:
    for batch in batches(source):
        for row, view in zip(batch.index.tolist(), batch["weak"], strict=True):
            upright = transforms.plain(open_picture(row), SIZE)
            assert torch.equal(view, upright) or torch.equal(view, upright.flip(2))


def test_batches_do_not_depend_on_workers(source: Source) -> None:
    alone, helped = batches(source), batches(source, workers=2)
    assert all_same(alone, helped)


def test_workers_follow_the_epoch(source: Source) -> None:
    order = ShuffledBatches(ROWS, BATCH, 3)
    loader = training_loader(source, ("weak",), SIZE, 3, order, workers=1)
    for epoch in (1, 2):
        order.set_epoch(epoch)
        expected = [batch["weak"] for batch in batches(source, epoch=epoch)]
        assert all(torch.equal(b["weak"], e) for b, e in zip(loader, expected, strict=True))


@pytest.mark.parametrize("world", [2, 3, 6])
def test_shares_of_all_processes_make_up_each_batch(source: Source, world: int) -> None:
    whole = batches(source)
    shares = [batches(source, rank=rank, world=world) for rank in range(world)]
    for number, batch in enumerate(whole):
        parts = [share[number] for share in shares]
        assert all(len(part.index) == BATCH // world for part in parts)
        joined = Batch(
            torch.cat([part.index for part in parts]),
            torch.cat([part.labels for part in parts]),
            {view: torch.cat([part[view] for part in parts]) for view in BOTH},
        )
        assert same(joined, batch)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_interrupted_epoch_goes_on_where_it_stopped(source: Source, start: int) -> None:
    assert all_same(batches(source, epoch=4, start=start), batches(source, epoch=4)[start:])


@pytest.mark.parametrize("other", [{"seed": 4}, {"epoch": 2}])
def test_seed_and_epoch_change_order_and_views(source: Source, other: dict[str, int]) -> None:
    assert all_same(batches(source), batches(source))
    first, second = (torch.cat([b.index for b in batches(source, **o)]) for o in ({}, other))
    assert first.tolist() != second.tolist()


def views_of(source: Source, seed: int, epoch: int, row: int) -> dict[str, Tensor]:
    return Views(source, BOTH, SIZE, seed)[epoch, row][1]


@pytest.mark.parametrize("view", BOTH)
def test_a_view_depends_on_seed_epoch_and_row(source: Source, view: str) -> None:
    def draws(**changed: int) -> list[bytes]:
        numbers = {"seed": 3, "epoch": 1, **changed}
        return [
            views_of(source, numbers["seed"], numbers["epoch"], row)[view].numpy().tobytes()
            for row in range(ROWS)
        ]

    assert draws() == draws()
    assert draws() != draws(seed=4)
    assert draws() != draws(epoch=2)


@pytest.fixture
def mirroring_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transforms, "_rand_augment", lambda strength: lambda image: image)
    yield


@pytest.mark.usefixtures("mirroring_only")
def test_both_views_are_mirrored_independently_of_each_other(source: Source) -> None:
    counts = {(weak, strong): 0 for weak in (False, True) for strong in (False, True)}
    for row in range(ROWS):
        upright = transforms.plain(open_picture(row), SIZE)
        for epoch in range(1, 13):
            views = views_of(source, 3, epoch, row)
            weak, strong = (not torch.equal(views[view], upright) for view in BOTH)
            counts[weak, strong] += 1
    # 252 draws, 63 expected for each of the four, standard deviation 7.
    assert all(35 <= count <= 91 for count in counts.values())


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_moves_no_global_generator(source: Source, workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    batches(source, workers=workers)
    list(evaluation_loader(source, SIZE, BATCH, workers))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), str(np.random.get_state())) == before[1:]


def test_batches_do_not_depend_on_the_global_generator(source: Source) -> None:
    first = batches(source)
    torch.manual_seed(99)
    assert all_same(first, batches(source))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(DataError, match="5 training images but a batch has 6; .* to 5 or less"):
        ShuffledBatches(5, 6, 0)
    assert len(ShuffledBatches(6, 6, 0)) == 1


def test_a_batch_must_be_shared_evenly() -> None:
    with pytest.raises(DataError, match="batch of 6 cannot be shared evenly by 4"):
        ShuffledBatches(ROWS, 6, 0, rank=0, world=4)


def test_the_truth_stays_behind(source: Source) -> None:
    assert source.truth is not None
    assert not source.truth.equals(source.labels)
    batch = batches(source)[0]
    assert not np.array_equal(batch.labels.numpy(), source.truth[batch.index.numpy()])
    assert set(vars(batch)) == {"index", "labels", "views"}


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_every_image_once_and_plainly(source: Source, workers: int) -> None:
    shown = list(evaluation_loader(source, SIZE, 8, workers))
    assert [len(batch.index) for batch in shown] == [8, 8, 5]
    assert torch.cat([batch.index for batch in shown]).tolist() == list(range(ROWS))
    for batch in shown:
        assert list(batch.views) == ["plain"]
        for row, view in zip(batch.index.tolist(), batch["plain"], strict=True):
            assert torch.equal(view, transforms.plain(open_picture(row), SIZE))


def test_a_source_can_be_handed_to_processes_that_start_afresh(source: Source) -> None:
    # Workers are not forked everywhere; elsewhere they get a pickled copy.
    part = source.take(np.array([4, 2]))
    copy = pickle.loads(pickle.dumps(Views(part, BOTH, SIZE, 3)))
    assert torch.equal(copy[1, 0][1]["weak"], Views(part, BOTH, SIZE, 3)[1, 0][1]["weak"])
