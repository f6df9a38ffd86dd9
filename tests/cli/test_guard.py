"""No traceback reaches a user: what the system refuses and what nobody foresaw is a sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tacit
from tacit.cli import run
from tacit.cli.guard import REMEDIES, explain
from tacit.config import Config
from tacit.errors import DataError

Fail = Callable[[BaseException], None]


@pytest.mark.parametrize("number", REMEDIES)
def test_what_the_system_refuses_comes_with_a_remedy(
    failing: Fail, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    failing(OSError(number, os.strerror(number), "some/file"))
    assert run(["fail"]) == (2 if number == errno.ENAMETOOLONG else 1)
    said = capsys.readouterr().err
    assert said == f"tacit: some/file cannot be used: {REMEDIES[number]}.\n"


def test_memory_that_is_not_there_is_named(
    failing: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(MemoryError("Unable to allocate 629 TiB"))
    assert run(["fail"]) == 1
    said = capsys.readouterr().err
    assert "not enough memory" in said and "629 TiB" in said and said.count("\n") == 1


def test_a_fault_of_ours_says_where_and_how_to_see_all(
    failing: Fail, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ZeroDivisionError("division\nby zero"))
    assert run(["fail"]) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "ZeroDivisionError: division" in said
    assert "TACIT_TRACEBACK=1" in said
    monkeypatch.setenv("TACIT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run(["fail"])


def test_a_fault_inside_the_package_is_told_from_one_of_the_users_code() -> None:
    with pytest.raises(TypeError) as inside:
        tacit.config.resolve(base=7)  # type: ignore[arg-type]
    said, status = explain(inside.value)
    assert status == 70 and "config.py, line" in said and f"tacit {tacit.__version__}" in said
    with pytest.raises(KeyError) as own:
        {}["mine"]
    said, status = explain(own.value)
    assert status == 70 and f"Your own code failed at {__file__}, line" in said


def test_what_a_reading_process_says_comes_without_its_traceback() -> None:
    said = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent\n  x\n"
    )
    message, status = explain(DataError(f"{said}tacit.errors.DataError: a.jpg is damaged: no."))
    assert (message, status) == ("a.jpg is damaged: no.", 3)


def start(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("environment", {})}
    environment.pop("TACIT_TRACEBACK", None)
    return subprocess.run(
        [sys.executable, "-m", "tacit", *arguments],
        **{"capture_output": True, **options},
        env=environment,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_stdout_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = start("methods", "--json", capture_output=False, stdout=full, stderr=-1)
    assert done.returncode == 1
    assert done.stderr.startswith("tacit: The output cannot be written: there is no room left")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="the shell closes what it is told")
def test_a_closed_stdout_is_no_fault() -> None:
    command = [sys.executable, "-m", "tacit", "methods"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=-1, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["datasets", "methods --json", "methods gr"])
def test_a_terminal_of_ascii_signs_shows_what_it_can(command: str) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = start(*command.split(), environment=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_an_output_that_is_no_place_for_files_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in ("/dev/null", "x" * 300, "a\0b"):
        status = run(["observe", str(write_labels(tmp_path)), "--out", out])
        said = capsys.readouterr().err
        assert status in (1, 2, 3) and said.startswith("tacit: ") and said.count("\n") == 1, said


def write_labels(folder: Path) -> Path:
    path = folder / "labels.csv"
    path.write_text("file,cat,dog\n1.jpg,1,0\n2.jpg,1,1\n")
    return path


@pytest.mark.parametrize("name", ["a/b", "../b", ".b", "", "a\x1b[2J"])
def test_a_draw_is_called_as_a_file_may_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["observe", str(write_labels(tmp_path)), "--absent=negative", "--out=full"]) == 0
    assert run(["observe", "full", "--positives=1", "--name", name]) in (0, 3)
    said = capsys.readouterr().err
    assert ("cannot be the name of a file" in said) == bool(name)
    assert "\x1b" not in said


def test_a_record_of_a_run_that_holds_anything_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = Config().model_dump(mode="json")
    for content in ("[" * 5000, "[]", '{"config": 7}', "\udcff", f'{{"config": {config}}}'):
        (tmp_path / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        assert run(["evaluate", str(tmp_path)]) == 3
        said = capsys.readouterr().err
        assert "run.json" in said and said.count("\n") == 1


def test_settings_that_nobody_means_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for setting in (
        *("data.options.images=-5", "data.options.images=x", "data.options.seed=nan"),
        *("phases.-1.lr=1", "phases=3", "run.seed=" + "[" * 3000, "method={}", "=", "a\0=1"),
    ):
        assert run(["train", "--dry-run", "--set", setting]) in (0, 2)
        said = capsys.readouterr().err
        assert "fault of tacit" not in said and len(said) < 2000
