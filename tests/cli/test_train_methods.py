"""Every method trains through the command line, and goes on where it was stopped, bit for bit."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from same_runs import assert_same_runs
from support.methods import active_options
from tacit.cli import run
from tacit.cli.progress import ProgressReporter
from tacit.config import resolve
from tacit.methods import METHODS, hyperparameters
from tacit.runs.build import read_splits
from tacit.teachers import save_scores

DATA = ("data.options.images=60", "data.options.test_images=16", "data.options.size=24")
SETTINGS = (*DATA, "model.size=24", "phases.batch=16", "phases.epochs=2", "run.device=cpu")
STEPS = 3  # 48 training images
NEEDS = {"iu": ("data.negatives=1",)}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that has no idea: shares of the classes by chance."""
    path = tmp_path_factory.mktemp("teacher") / "scores.npz"
    train = read_splits(resolve(settings=DATA)).train
    generator = torch.Generator().manual_seed(0)
    chances = torch.rand(len(train), len(train.classes), generator=generator) * 8
    save_scores(path, train.images, chances.softmax(1))
    return path


def command(name: str, folder: Path, scores: Path) -> list[str]:
    own = [f"method.{key}={json.dumps(value)}" for key, value in active_options(name).items()]
    if "scores" in hyperparameters(name):
        own.append(f"method.scores={scores}")
    settings = (*SETTINGS, *NEEDS.get(name, ()), *own)
    flags = [f"--set={setting}" for setting in settings]
    return ["train", f"--method={name}", f"--out={folder}", "--json", *flags]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_trains_and_goes_on(
    name: str,
    scores: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run(command(name, straight, scores)) == 0, capsys.readouterr().err
    taken, step = 0, ProgressReporter.step

    def interrupt(reporter: Any, images: int) -> None:
        nonlocal taken
        taken += 1
        step(reporter, images)
        if taken == STEPS + 1:  # within the second epoch, when everything is under way
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressReporter, "step", interrupt)
        assert run(command(name, stopped, scores)) == 130
    assert run(["train", "--resume", f"--out={stopped}"]) == 0
    assert_same_runs(straight, stopped)
