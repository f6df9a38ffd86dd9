"""Features from the store are those that the trunk makes, and nothing is computed twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tacit.data.source import Source
from tacit.features.compute import Reading, compute_features, empty_features
from tacit.models import build_model

CLASSES = ("a", "b")
IMAGES = 70  # more than one batch


def save_images(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = []
    for number in range(IMAGES):
        paths.append(folder / f"{number}.png")
        Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(paths[-1])
    return paths


def source_of(paths: list[Path]) -> Source:
    labels = np.zeros((len(paths), 2), np.int8)
    names = [path.name for path in paths]
    return Source(
        "files",
        CLASSES,
        names,
        labels,
        lambda row: Image.open(paths[row]).convert("RGB"),
        files=lambda row: paths[row],
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return save_images(tmp_path_factory.mktemp("images"))


def build(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return build_model(classes=CLASSES, size=16, trunk="tiny").eval()


class Counted:
    """A reading of the images, and how many of them the trunk saw."""

    def __init__(self, store: Path | None, model: Any, **ways: Any) -> None:
        self.seen = 0
        self.reading = Reading(model, torch.device("cpu"), store=store, **ways)

    def read(self, source: Source, rows: range | None = None) -> Tensor:
        def count(_: Any, inputs: tuple[Tensor]) -> None:
            self.seen += len(inputs[0])

        handle = self.reading.model.trunk.register_forward_pre_hook(count)
        rows = range(len(source)) if rows is None else rows
        found = compute_features(self.reading, source, rows, empty_features)
        handle.remove()
        return found


@pytest.mark.parametrize("pooled", [False, True])
def test_what_is_stored_is_what_is_computed_to_the_bit(
    paths: list[Path], tmp_path: Path, pooled: bool
) -> None:
    source = source_of(paths)
    plainly = Counted(None, build(), pooled=pooled).read(source)
    first, second = (Counted(tmp_path, build(), pooled=pooled) for _ in range(2))
    assert torch.equal(first.read(source), plainly) and first.seen == IMAGES
    assert torch.equal(second.read(source), plainly) and second.seen == 0


def test_images_are_known_again_by_their_content(paths: list[Path], tmp_path: Path) -> None:
    some = source_of(paths[:40])
    Counted(tmp_path, build()).read(some)
    renamed = [tmp_path / f"other-{path.name}" for path in paths]
    for path, other in zip(paths, renamed, strict=True):
        other.write_bytes(path.read_bytes())
    again = Counted(tmp_path, build())
    backwards = source_of(renamed[::-1])
    found = again.read(backwards)
    assert again.seen == IMAGES - 40
    torch.testing.assert_close(found, Counted(None, build()).read(backwards))
    renamed[0].write_bytes(paths[1].read_bytes())  # another image under a known name
    changed = Counted(tmp_path, build())
    assert torch.equal(changed.read(source_of(renamed[:1]))[0], found[-2]) and changed.seen == 0


def test_another_trunk_size_or_precision_shares_nothing(paths: list[Path], tmp_path: Path) -> None:
    source = source_of(paths[:3])
    Counted(tmp_path, build()).read(source)
    moved = build()
    with torch.no_grad():
        next(moved.trunk.parameters()).view(-1)[0] += 1e-6
    larger = build_model(classes=CLASSES, size=24, trunk="tiny").eval()
    larger.trunk.load_state_dict(build().trunk.state_dict())
    other = [
        Counted(tmp_path, moved),
        Counted(tmp_path, larger),
        Counted(tmp_path, build(), precision="bf16"),
        Counted(tmp_path, build(), pooled=True),
        Counted(tmp_path, build(), fast=True),
    ]
    for counted in other:
        counted.read(source)
    assert [counted.seen for counted in other] == [3] * 5
    same_head_apart = build()
    torch.nn.init.ones_(same_head_apart.head.weight)
    sharing = Counted(tmp_path, same_head_apart)
    sharing.read(source)
    assert sharing.seen == 0


def test_a_stop_keeps_what_was_computed(paths: list[Path], tmp_path: Path) -> None:
    source, counted, calls = source_of(paths), Counted(tmp_path, build()), []

    def between() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_features(counted.reading, source, range(IMAGES), empty_features, between)
    again = Counted(tmp_path, build())
    again.read(source)
    assert again.seen == IMAGES - 64  # the batch before the stop was kept


def test_some_rows_leave_the_others_alone(paths: list[Path], tmp_path: Path) -> None:
    source = source_of(paths)
    whole = Counted(None, build()).read(source)

    def filled(images: int, features: Tensor) -> Tensor:
        return torch.full((images, *features.shape[1:]), 7.0)

    for _ in range(2):
        reading = Reading(build(), torch.device("cpu"), store=tmp_path)
        found = compute_features(reading, source, range(1, IMAGES, 2), filled)
        assert (found[::2] == 7).all()
        torch.testing.assert_close(found[1::2], whole[1::2])


def test_images_that_are_no_files_are_known_by_their_pixels(
    paths: list[Path], tmp_path: Path
) -> None:
    images = [Image.open(path).convert("RGB") for path in paths[:4]]
    labels = np.zeros((4, 2), np.int8)
    source = Source("arrays", CLASSES, list("wxyz"), labels, lambda row: images[row])
    first, second = Counted(tmp_path, build()), Counted(tmp_path, build())
    assert torch.equal(first.read(source), second.read(source))
    assert (first.seen, second.seen) == (4, 0)
