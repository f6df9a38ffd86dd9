"""Checkpoints: whole at any moment, and refused where they do not belong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tacit import files
from tacit.errors import DataError
from tacit.runs import checkpoint
from tacit.runs.checkpoint import LAST, PREVIOUS, Identity, load_checkpoint, save_checkpoint

IDENTITY = Identity(("sun", "moon"), 1200, "0123456789abcdef")


def make_state(number: int) -> dict[str, Any]:
    return {
        "position": {"phase": 0, "epoch": number, "batch": 0, "finished_epochs": number - 1},
        "best": {"map": 12.5, "selection": "validation, clean labels"},
        "learner": {"weight": torch.full((3,), float(number)), "steps": torch.tensor(number)},
        "average": None,
        "random": torch.get_rng_state(),
    }


def read(folder: Path, which: str = LAST) -> float:
    """Return the number of the state in a checkpoint."""
    return load_checkpoint(folder, IDENTITY, which)["learner"]["weight"][0].item()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_state_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    state = make_state(1)
    save_checkpoint(folder, IDENTITY, state)
    loaded = load_checkpoint(folder, IDENTITY)
    assert list(loaded) == list(state)
    assert torch.equal(loaded["learner"]["weight"], state["learner"]["weight"])
    assert torch.equal(loaded["random"], state["random"])
    assert {key: loaded[key] for key in ("position", "best", "average")} == {
        key: state[key] for key in ("position", "best", "average")
    }


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, IDENTITY, make_state(1))
    assert names(tmp_path) == [LAST]
    for number in (2, 3):
        save_checkpoint(tmp_path, IDENTITY, make_state(number))
        assert names(tmp_path) == [LAST, PREVIOUS]
        assert (read(tmp_path), read(tmp_path, PREVIOUS)) == (number, number - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("sun", "moon", "star")}, "its 2 classes are not the 3 .*their number"),
        ({"classes": ("sun", "star")}, "first difference: 'moon' against 'star'"),
        ({"classes": ("moon", "sun")}, "first difference: 'sun' against 'moon'"),
        ({"images": 1300}, "made from 1,200 training images, the data has 1,300"),
        ({"data": "fedcba9876543210"}, "labels or image names differ .*0123456789abcdef, not fed"),
    ],
)
def test_other_data_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_checkpoint(tmp_path, IDENTITY, make_state(1))
    with pytest.raises(DataError, match=message) as caught:
        load_checkpoint(tmp_path, replace(IDENTITY, **change))
    assert str(tmp_path / LAST) in str(caught.value)
    assert "new run folder" in str(caught.value)
    assert IDENTITY.differs_from(IDENTITY) is None


def test_a_missing_checkpoint_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no checkpoint at .*last\.pt") as caught:
        load_checkpoint(tmp_path, IDENTITY)
    # A folder that holds a run is refused for a new one, so this must not be the advice.
    assert "new folder" in str(caught.value)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text("<html>Not found</html>")


def replace_by_other(path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, path)


DAMAGES = (cut, flip, empty, replace_by_text, replace_by_other)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_reported_and_the_one_before_loads(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for number in (1, 2):
        save_checkpoint(tmp_path, IDENTITY, make_state(number))
    damage(tmp_path / LAST)
    with pytest.raises(DataError, match="damaged") as caught:
        load_checkpoint(tmp_path, IDENTITY)
    advice = f"move {tmp_path / PREVIOUS} to {tmp_path / LAST} and resume again"
    assert advice in str(caught.value)
    # Follow the advice.
    (tmp_path / PREVIOUS).replace(tmp_path / LAST)
    assert read(tmp_path) == 1


def test_without_one_before_the_run_starts_again(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, IDENTITY, make_state(1))
    cut(tmp_path / LAST)
    with pytest.raises(DataError, match="Start the run again in a new folder"):
        load_checkpoint(tmp_path, IDENTITY)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"identity": vars(IDENTITY), "learner": Harmful()}, tmp_path / LAST)
    with pytest.raises(DataError, match="damaged"):
        load_checkpoint(tmp_path, IDENTITY)
    assert not (tmp_path / "harm").exists()


def test_a_crash_while_writing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        save_checkpoint(tmp_path, IDENTITY, make_state(number))
    write = torch.save

    def crash(state: Any, file: Any) -> None:
        write(state, file)
        file.flush()
        cut(Path(file.name))
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", crash)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(tmp_path, IDENTITY, make_state(3))
    assert names(tmp_path) == [LAST, PREVIOUS]
    assert read(tmp_path) == 2
    assert read(tmp_path, PREVIOUS) in (1, 2)
    save_checkpoint(tmp_path, IDENTITY, make_state(3))
    assert (read(tmp_path), read(tmp_path, PREVIOUS)) == (3, 2)


@pytest.mark.parametrize("at", [1, 2])
def test_a_crash_while_renaming_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    for number in (1, 2):
        save_checkpoint(tmp_path, IDENTITY, make_state(number))
    calls, rename = [], os.replace

    def crash(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) == at:
            raise OSError("the power is gone")
        rename(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(OSError, match="power"):
            save_checkpoint(tmp_path, IDENTITY, make_state(3))
    assert len(calls) == at
    assert names(tmp_path) == [LAST, PREVIOUS]
    assert read(tmp_path) == 2
    assert read(tmp_path, PREVIOUS) in (1, 2)


def test_there_is_a_whole_checkpoint_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at `last` before and after each step that touches the folder."""
    save_checkpoint(tmp_path, IDENTITY, make_state(1))
    seen = []

    def watch(name: str, module: Any) -> None:
        original = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            seen.append(read(tmp_path))
            result = original(*arguments, **options)
            seen.append(read(tmp_path))
            return result

        monkeypatch.setattr(module, name, watched)

    for name in ("link", "replace", "fsync", "unlink"):
        watch(name, os)
    save_checkpoint(tmp_path, IDENTITY, make_state(2))
    assert len(seen) >= 12  # two files, each linked or written, flushed and renamed
    assert seen == sorted(seen)
    assert set(seen) == {1.0, 2.0}


def test_where_a_disk_knows_no_links_the_one_before_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    for number in (1, 2, 3):
        save_checkpoint(tmp_path, IDENTITY, make_state(number))
    assert (read(tmp_path), read(tmp_path, PREVIOUS)) == (3, 2)
    assert names(tmp_path) == [LAST, PREVIOUS]


def test_leftovers_of_a_killed_process_are_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, IDENTITY, make_state(1))
    for name in (LAST, PREVIOUS):
        (tmp_path / f".{name}.{0:016x}.partial").write_bytes(b"half of a check")
    monkeypatch.setattr(files, "_swept", set())  # as in another process
    save_checkpoint(tmp_path, IDENTITY, make_state(2))
    assert names(tmp_path) == [LAST, PREVIOUS]
    assert (read(tmp_path), read(tmp_path, PREVIOUS)) == (2, 1)


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_a_full_disk_is_said_to_be_full(size: int) -> None:
    """torch's own words for it are that a position is unexpected."""
    with pytest.raises(OSError, match="No space left"):
        checkpoint._write_state(Path("/dev/full"), {"weight": torch.zeros(size)})
