"""Runs small enough to train in about a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from same_runs import assert_same_runs
from tacit.config import Config, resolve
from tacit.data.source import Splits
from tacit.methods import METHODS
from tacit.methods.base import Method
from tacit.runs.build import build_learner, read_splits
from tacit.training.context import build_context
from tacit.training.report import Reporter, Silent
from tacit.training.trainer import Trainer

# 96 training images remain beside those for validation: six steps per epoch.
SMALL: dict[str, Any] = {
    "data": {"options": {"images": 120, "test_images": 40}},
    "method": {"name": "an"},
    "phases": [{"epochs": 1, "batch": 16}],
    "run": {"device": "cpu"},
}

Configure = Callable[..., Config]


@pytest.fixture(scope="session")
def configure() -> Configure:
    """Return a function that puts settings, or whole tables, on top of a small run's."""
    return lambda *settings, **tables: resolve(base={**SMALL, **tables}, settings=settings)


@pytest.fixture(scope="session")
def splits(configure: Configure) -> Splits:
    """Return the data of the small runs: 96 images to train on, 24 and 40 to score on."""
    return read_splits(configure())


class StopAt(Silent):
    """Sends a signal to this process after some steps, as Ctrl-C or a scheduler would."""

    def __init__(self, steps: int, number: int = signal.SIGINT) -> None:
        self.steps, self.number = steps, number

    def step(self, images: int) -> None:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="session")
def stop_at() -> type[StopAt]:
    """Return the reporter that interrupts a run."""
    return StopAt


@pytest.fixture(scope="session", name="assert_same_runs")
def comparison() -> Callable[[Path, Path], None]:
    """Return the comparison of two finished runs."""
    return assert_same_runs


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Method]], str]:
    """Return a function that puts a method in the table until the test is over."""

    def add(cls: type[Method]) -> str:
        monkeypatch.setitem(METHODS, cls.__name__.lower(), cls)
        return cls.__name__.lower()

    return add


@pytest.fixture
def make_trainer(configure: Configure, tmp_path: Path) -> Callable[..., Trainer]:
    """Return a function that builds the trainer of a small run."""

    def make(*settings: str, reporter: Reporter | None = None, **tables: Any) -> Trainer:
        config, folder = configure(*settings, **tables), tmp_path / "run"
        folder.mkdir(exist_ok=True)
        # Read again, since the settings may ask for other labels; it takes no time.
        data = read_splits(config)
        learner = build_learner(config, data)
        context = build_context(learner, data, config, folder, torch.device("cpu"))
        return Trainer(context, reporter or Silent())

    return make
