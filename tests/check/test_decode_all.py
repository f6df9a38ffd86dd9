"""Looking at images: many, in processes, and whatever the files hold."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from check.planted import draw_image, look_or_die
from tacit.check import decode_all as looking
from tacit.check.decode import look_at
from tacit.check.decode_all import look_at_all


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take processes for a few images, which otherwise are too few."""
    monkeypatch.setattr(looking, "CHUNK", 2)
    monkeypatch.setattr(looking, "FEW", 0)


def write(folder: Path, names: list[str]) -> list[str]:
    for number, name in enumerate(names):
        draw_image(number).save(folder / name)
    return [str(folder / name) for name in names]


def test_processes_bring_what_one_brings_in_the_same_order(tmp_path: Path, several: None) -> None:
    paths = write(tmp_path, [f"{number}.png" for number in range(7)])
    steps: list[int] = []
    assert look_at_all(paths, 2, steps.append) == look_at(paths)
    assert sum(steps) == len(paths) and len(steps) == 4


def test_an_image_that_kills_a_process_is_found(tmp_path: Path, several: None) -> None:
    paths = write(tmp_path, ["a.png", "deadly.png", "b.png"])
    looks = look_at_all(paths, 2, look=look_or_die)
    assert [[kind for kind, _ in look.found] for look in looks] == [[], ["corrupt"], []]
    assert looks[::2] == look_at(paths[::2])


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp", "ppm"])
def test_no_bytes_stop_the_check(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    draw_image(0).save(whole)
    good = whole.read_bytes()
    chance = random.Random(7)
    paths = []
    for number in range(40):
        broken = bytearray(good)
        for _ in range(1 + number % 8):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(broken[: chance.randrange(1, len(broken) + 1)])
        paths.append(str(path))
    looks = look_at([str(whole), *paths])
    assert len(looks) == 41 and all(look.digest for look in looks)
    assert not {"corrupt", "not_an_image"} & {kind for kind, _ in looks[0].found}
    assert any({"corrupt", "not_an_image"} & {kind for kind, _ in look.found} for look in looks)
