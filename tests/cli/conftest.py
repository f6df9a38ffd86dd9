"""The command line, called in this process and in one of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmark_copies import coco2014 as coco2014
from benchmark_copies import voc2012 as voc2012
from tacit import cli
from tacit.cli import run
from tacit.registry import Row

SMALL = (
    "--set=data.options.images=120",
    "--set=data.options.test_images=40",
    "--set=phases.batch=16",
    "--set=phases.epochs=1",
    "--set=run.device=cpu",
)


@dataclass(frozen=True)
class Answer:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Return a function that runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TACIT_TRACEBACK", raising=False)

    def answer(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Answer(status, captured.out, captured.err)

    return answer


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Return the flags of a training that takes a second."""
    return SMALL


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that nobody may change."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(["train", "--method=an", "--out", str(folder), *SMALL]) == 0
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to do with as one likes."""
    return Path(shutil.copytree(trained, tmp_path / "copied"))


@pytest.fixture(scope="session")
def spawn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs Python in a process of its own."""

    def start(
        *arguments: str, debug: bool = False, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "100"}
        environment.pop("TACIT_TRACEBACK", None)
        if debug:
            environment["TACIT_TRACEBACK"] = "1"
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )

    return start


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Return a function that gives the command line a verb which fails."""
    monkeypatch.delenv("TACIT_TRACEBACK", raising=False)

    def add(error: BaseException) -> None:
        def fail() -> None:
            raise error

        module = ModuleType("failing_verb")
        module.fail = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "failing_verb", module)
        monkeypatch.setitem(cli.COMMANDS, "fail", Row("failing_verb:fail", "Fails."))

    return add
