"""Images scaled once: the same pixels, found again, never half there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import tacit
from tacit.config import DataConfig
from tacit.data.source import Source
from tacit.data.splits import load_splits
from tacit.errors import DataError, TacitError, UsageError
from tacit.images import scaled
from tacit.images.loader import ShuffledBatches, build_evaluation_loader, build_training_loader
from tacit.images.scaled import open_cache, scale_in_portions

SIZE = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    lines = ["file,labels"]
    for number in range(12):
        pixels = generator.integers(0, 256, (24 + number, 30, 3), dtype=np.uint8)
        name = f"{number}.{'jpg' if number % 3 else 'png'}"
        Image.fromarray(pixels).save(tmp_path / name)
        lines.append(f"{name},{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path / "labels.csv"


def batches(source: Source, views: tuple[str, ...], fast: bool = False) -> list[Any]:
    order = ShuffledBatches(len(source), 4, seed=3)
    return list(build_training_loader(source, views, SIZE, 3, order, 0, fast))


def test_plain_and_weak_views_have_the_same_pixels(photos: Path) -> None:
    source = tacit.load(photos)
    kept = open_cache(source, SIZE, photos.parent / "cache")
    mirrored = 0
    for one, two in zip(
        batches(source, ("plain", "weak")), batches(kept, ("plain", "weak")), strict=True
    ):
        assert torch.equal(one.index, two.index) and torch.equal(one.labels, two.labels)
        for view in ("plain", "weak"):
            assert torch.equal(one[view], two[view])
        mirrored += int((two["plain"] != two["weak"]).flatten(1).any(1).sum())
    assert 0 < mirrored < len(source)
    whole, scaled = (build_evaluation_loader(each, SIZE, 5, 0) for each in (source, kept))
    pairs = zip(whole, scaled, strict=True)
    assert all(torch.equal(one["plain"], two["plain"]) for one, two in pairs)


def test_a_strong_view_begins_with_the_scaled_image(photos: Path) -> None:
    source = tacit.load(photos)
    kept = open_cache(source, SIZE, photos.parent / "cache")
    assert kept.open(3).size == (SIZE, SIZE)
    views = ("weak", "strong")
    for one, two in zip(batches(source, views), batches(kept, views), strict=True):
        assert torch.equal(one["weak"], two["weak"])
        assert one["strong"].shape == two["strong"].shape


def test_another_size_than_the_models_is_scaled_again(photos: Path) -> None:
    kept = open_cache(tacit.load(photos), 2 * SIZE, photos.parent / "cache")
    assert batches(kept, ("weak",))[0]["weak"].shape == (4, 3, SIZE, SIZE)


def test_the_file_is_found_again_until_an_image_changes(photos: Path) -> None:
    folder = photos.parent / "cache"
    seen: list[int] = []
    open_cache(tacit.load(photos), SIZE, folder, lambda done, of: seen.append(done))
    assert seen == [12]
    open_cache(tacit.load(photos), SIZE, folder, lambda done, of: seen.append(done))
    assert seen == [12] and len(list(folder.iterdir())) == 1
    image = photos.parent / "3.png"
    Image.new("RGB", (9, 9), "red").save(image)
    os.utime(image, (1, 1))
    changed = open_cache(tacit.load(photos), SIZE, folder)
    assert len(list(folder.iterdir())) == 2
    assert changed.open(3).getpixel((5, 5)) == (255, 0, 0)


def test_rows_that_are_taken_keep_their_pixels(photos: Path) -> None:
    kept = open_cache(tacit.load(photos), SIZE, photos.parent / "cache")
    part = kept.take(np.array([7, 2])).take(np.array([1]))
    assert part.pixels is not None
    assert np.array_equal(part.pixels.read([0])[0], np.asarray(kept.open(2)))
    relabelled = part.with_labels(part.labels)
    assert np.array_equal(np.asarray(relabelled.open(0)), np.asarray(kept.open(2)))


def test_nothing_is_left_of_a_cache_that_could_not_be_finished(photos: Path) -> None:
    (photos.parent / "5.jpg").write_bytes((photos.parent / "5.jpg").read_bytes()[:300])
    with pytest.raises(DataError, match=r"5\.jpg is damaged"):
        open_cache(tacit.load(photos), SIZE, photos.parent / "cache")
    assert list((photos.parent / "cache").iterdir()) == []
    (photos.parent / "5.jpg").unlink()
    with pytest.raises(DataError, match=r"no image at .*5\.jpg"):
        open_cache(tacit.load(photos), SIZE, photos.parent / "cache")


def test_what_cannot_be_cached_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="images of 'scenes' are no files"):
        load_splits(
            DataConfig(options={"images": 10, "test_images": 2}),
            prepare=partial(open_cache, size=8, folder=photos.parent),
        )
    usage = shutil.disk_usage(photos.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UsageError, match="choose another data.cache"):
        open_cache(tacit.load(photos), SIZE, photos.parent / "cache")


def test_a_disk_that_fills_in_the_meantime_is_a_sentence(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write into mapped memory that has no room on the disk ends the process without a word."""

    def full(file: int, start: int, size: int) -> None:
        assert size == 12 * SIZE * SIZE * 3
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TacitError, match="no room left on its disk"):
        open_cache(tacit.load(photos), SIZE, photos.parent / "cache")
    assert list((photos.parent / "cache").iterdir()) == []


def test_half_a_cache_is_never_published(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(source: Source, size: int) -> Iterator[tuple[range, NDArray[np.uint8]]]:
        yield next(scale_in_portions(source.take(np.arange(5)), size))

    with monkeypatch.context() as patched:
        patched.setattr(scaled, "scale_in_portions", some)
        with pytest.raises(DataError, match="not filled to its end"):
            open_cache(tacit.load(photos), SIZE, photos.parent / "cache")
    assert list((photos.parent / "cache").iterdir()) == []
    kept = open_cache(tacit.load(photos), SIZE, photos.parent / "cache")
    assert kept.pixels is not None and kept.pixels.read(list(range(12))).any((1, 2, 3)).all()


def test_a_file_of_another_length_is_told(photos: Path) -> None:
    folder = photos.parent / "cache"
    open_cache(tacit.load(photos), SIZE, folder)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for other in (whole[:-1], whole[:-40], whole + b"x", b""):
        file.write_bytes(other)
        with pytest.raises(DataError, match=r"not hold the pixels of these .* delete it"):
            open_cache(tacit.load(photos), SIZE, folder)
    file.write_bytes(whole)
    assert open_cache(tacit.load(photos), SIZE, folder).pixels is not None


def test_pixels_of_other_images_are_told(photos: Path) -> None:
    """As many images of the same size, in a file that was copied to this one's name."""
    folder = photos.parent / "cache"
    open_cache(tacit.load(photos), SIZE, folder)
    (first,) = folder.iterdir()
    Image.new("RGB", (9, 9), "red").save(photos.parent / "3.png")
    open_cache(tacit.load(photos), SIZE, folder)
    (second,) = set(folder.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="not hold the pixels of these"):
        open_cache(tacit.load(photos), SIZE, folder)


def test_all_parts_of_a_data_set_are_cached(photos: Path) -> None:
    splits = load_splits(
        DataConfig(name=str(photos)),
        prepare=partial(open_cache, size=SIZE, folder=photos.parent / "cache"),
    )
    for part in (splits.train, splits.validation, splits.test):
        assert part.pixels is not None and part.open(0).size == (SIZE, SIZE)


@pytest.mark.parametrize("views", [("weak",), ("plain",), ("weak", "strong")])
def test_fast_reading_is_within_one_level_and_leaves_strong_views_alone(
    photos: Path, views: tuple[str, ...]
) -> None:
    source = tacit.load(photos)
    differing = 0
    for one, two in zip(batches(source, views), batches(source, views, fast=True), strict=True):
        for view in views:
            gap = (one[view].int() - two[view].int()).abs()
            assert gap.max() <= (0 if view == "strong" else 1)
            differing += int(gap.sum())
    assert differing > 0 or views == ("plain",)
