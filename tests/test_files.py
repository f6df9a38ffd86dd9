"""Files are old or new, never half, and nothing lies around afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tacit import files
from tacit.errors import DataError, TacitError
from tacit.files import read_array, read_json, reserve, write_atomically, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    write_text(path, "Bögen\n")
    assert path.read_bytes() == b"B\xc3\xb6gen\n"
    write_text(path, "shorter")
    assert path.read_bytes() == b"shorter"
    assert names(tmp_path) == ["words.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("old")
    seen = []

    def write(partial: Path) -> None:
        assert partial.parent == path.parent  # a rename across file systems is no rename
        for piece in ("new ", "words"):
            with partial.open("a") as file:
                file.write(piece)
            seen.append(path.read_text())

    write_atomically(path, write)
    assert seen == ["old", "old"]
    assert path.read_text() == "new words"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("old")

    def crash(partial: Path) -> None:
        partial.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, crash)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["words.txt"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_crash_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "words.txt"
    path.write_text("old")

    def crash(*arguments: object, **options: object) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, crash)
        with pytest.raises(OSError, match="power"):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["words.txt"]


def test_content_is_on_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def note(*arguments: object, name: str = name, original: object = original) -> object:
            calls.append(name)
            return original(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(os, name, note)
    write_text(tmp_path / "words.txt", "new")
    assert calls == ["fsync", "replace"]


def test_what_a_killed_process_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    path, source = tmp_path / "second", tmp_path / "first"
    source.write_text("linked")
    (tmp_path / f".second.{0:016x}.partial").write_text("half")
    (tmp_path / f".folder.{1:016x}.partial").mkdir()
    (tmp_path / f".folder.{1:016x}.partial" / "file").write_text("half")
    (tmp_path / ".mine.partial").write_text("somebody else's")
    write_atomically(path, lambda partial: shutil.copy(source, partial))
    assert path.read_text() == "linked"
    assert names(tmp_path) == [".mine.partial", "first", "second"]


WRITE = """
import sys
from pathlib import Path
from tacit.files import partial_beside
with partial_beside(Path(sys.argv[1]), folder=len(sys.argv) > 2):
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("folder", [[], ["folder"]], ids=["file", "folder"])
def test_what_a_living_process_writes_is_left_alone(tmp_path: Path, folder: list[str]) -> None:
    command = [sys.executable, "-c", WRITE, str(tmp_path / "words.txt"), *folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as writer:  # type: ignore[call-overload]
        assert writer.stdout.readline() == b"writing\n"
        (partial,) = tmp_path.iterdir()
        write_text(tmp_path / "other.txt", "new")
        assert names(tmp_path) == sorted([partial.name, "other.txt"])
        writer.kill()
        writer.wait()
    files._swept.clear()  # as in another process
    write_text(tmp_path / "other.txt", "new")
    assert names(tmp_path) == ["other.txt"]


def test_processes_of_equal_numbers_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers that share a folder, they often have the same."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "words.txt"

    def write(partial: Path) -> None:
        partial.write_text("first")
        write_text(path, "second")
        assert partial.read_text() == "first"

    write_atomically(path, write)
    assert path.read_text() == "first"
    assert names(tmp_path) == ["words.txt"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no room left on its disk"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "not allowed"),
    ],
)
def test_a_disk_that_takes_nothing_is_a_sentence(tmp_path: Path, number: int, said: str) -> None:
    def write(partial: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(TacitError, match=rf"words\.txt cannot be written: .*{said}"):
        write_atomically(tmp_path / "words.txt", write)
    assert names(tmp_path) == []


def test_what_cannot_be_read_is_not_said_to_be_unwritable(tmp_path: Path) -> None:
    def write(partial: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", "/elsewhere/image.jpg")

    with pytest.raises(PermissionError, match="image"):
        write_atomically(tmp_path / "words.txt", write)


def test_room_is_on_the_disk_and_not_only_claimed(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(b"12")
    reserve(path, 100_000)
    assert path.read_bytes() == b"12" + bytes(99_998)
    assert path.stat().st_blocks * 512 >= 100_000


def test_room_that_is_not_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TacitError, match="no room left"):
        reserve(tmp_path / "table", 100)


def test_a_missing_folder_is_an_error_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "none" / "words.txt", "new")
    assert names(tmp_path) == []


def test_a_full_disk_is_named_whatever_a_library_makes_of_it(tmp_path: Path) -> None:
    def fill(partial: Path) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904

    with pytest.raises(TacitError, match=r"words\.txt cannot be written: there is no room left"):
        write_atomically(tmp_path / "words.txt", fill)


@pytest.mark.parametrize("damage", ["header", "shape", "zip", "kind", "nothing"])
def test_a_damaged_array_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 3)))
    whole = path.read_bytes()
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    damaged = {
        "header": whole.replace(b"{'descr'", b"{'de\x00cr'"),
        "shape": whole.replace(b"(2, 3)", b"(2,30000000000000)"),
        "zip": (tmp_path / "a.npz").read_bytes()[:-40],
        "kind": whole.replace(b"'<f8'", b"'|O8'"),
        "nothing": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"a\.npy"):
        read_array(path)


def test_json_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        read_json(tmp_path / "a.json")
