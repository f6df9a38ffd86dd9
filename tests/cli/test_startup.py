"""Asking for help is instant, and every failure ends as the shell expects."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tacit
from cli.conftest import SMALL, Call
from tacit.cli import COMMANDS, run
from tacit.errors import DataError, TacitError, TrainingError, UsageError
from tacit.registry import title_of

Spawn = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = ("torch", "torchvision", "timm", "sklearn", "numpy", "PIL", "safetensors")

LOOK = f"""
import sys
from tacit.cli import run
status = run(sys.argv[1:])
print(*sorted(set(sys.modules) & set({HEAVY!r})), sep=",", file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["methods"],
        ["models"],
        ["models", "--json"],
        ["datasets"],
        ["datasets", "--json"],
        ["train", "--help"],
        ["demo", "--help"],
        ["evaluate", "--help"],
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(spawn: Spawn, arguments: list[str]) -> None:
    done = spawn("-c", LOOK, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == "\n"


def test_the_look_at_imports_sees_them(spawn: Spawn) -> None:
    done = spawn("-c", f"import numpy\n{LOOK}", "--version")
    assert done.stderr == "numpy\n"


def test_help_takes_less_than_a_second() -> None:
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "tacit", "--help"], check=True, capture_output=True)
        after = os.times()
        # What it computed; on a busy machine it also waits, which says nothing of it.
        spent = after.children_user + after.children_system
        times.append(spent - before.children_user - before.children_system)
    assert 0 < min(times) < 1.0


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert name in shown and title_of(entry).rstrip(".") in shown
    assert run([]) == 0
    assert capsys.readouterr().out == shown


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{tacit.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: tacit {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "Unknown command"),
        (["train", "--mehtod", "an"], "Did you mean --method?"),
        (["train", "--epochs", "many"], "many"),
        (["train", "--no-json"], "--no-json"),
        (["evaluate"], "FOLDER"),
        (["evaluate", "run", "--split", "train"], "test"),
        (["methods", "--jsn"], "--json"),
    ],
)
def test_a_wrong_request_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


@pytest.mark.parametrize(
    ("kind", "status"), [(TacitError, 1), (TrainingError, 1), (UsageError, 2), (DataError, 3)]
)
def test_our_errors_are_one_line_and_a_status(
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[TacitError],
    status: int,
) -> None:
    monkeypatch.delenv("TACIT_TRACEBACK", raising=False)
    failing(kind("No [red]such[/red] thing; do this."))
    assert run(["fail"]) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "tacit: No [red]such[/red] thing; do this.\n")
    monkeypatch.setenv("TACIT_TRACEBACK", "1")
    with pytest.raises(kind):
        run(["fail"])


@pytest.mark.parametrize("path", [None, "/mnt/run.json"])
def test_a_full_disk_is_a_sentence(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str], path: str | None
) -> None:
    failing(OSError(errno.ENOSPC, "No space left on device", path))
    assert run(["fail"]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith(f"tacit: {path or 'A file'} cannot be used: there is no room left")


@pytest.mark.parametrize("where", ["run", "run/below"])
@pytest.mark.parametrize("verb", ["train", "demo", "predict"])
def test_a_file_in_the_way_of_the_output_is_a_sentence(
    call: Call, trained: Path, verb: str, where: str
) -> None:
    Path("file").touch()
    Path("images").mkdir()
    words = {"train": ("--method=an", *SMALL), "demo": (), "predict": (trained, "images")}[verb]
    answer = call(verb, *words, f"--out=file/{where}")
    assert answer.status in (1, 2) and answer.err.splitlines()[-1].startswith("tacit: ")
    assert "is a file, not a folder" in answer.err


def test_ctrl_c_ends_with_130(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(KeyboardInterrupt())
    assert run(["fail"]) == 130
    assert capsys.readouterr().err == "tacit: interrupted.\n"


@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_shown_on_request(spawn: Spawn, debug: bool) -> None:
    done = spawn("-m", "tacit", "train", "--set", "run.sed=1", debug=debug)
    assert ("Traceback" in done.stderr) == debug
    assert "did you mean 'seed'?" in done.stderr
    assert done.returncode == (1 if debug else 2)


@pytest.mark.parametrize("command", ["methods --json", "datasets", "--help"])
def test_a_reader_that_leaves_early_is_no_error(command: str) -> None:
    """The reader is gone before anything is written, which `head` only sometimes manages."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tacit", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    shown = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(120) in (0, 1)
    assert shown == ""


def test_head_takes_what_it_wants() -> None:
    line = f"'{sys.executable}' -m tacit methods --json | head -n 1"
    done = subprocess.run(
        ["sh", "-c", line], env=os.environ, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")
