"""Training that stops making sense says where and why, and keeps what it had saved before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Splits
from tacit.errors import TrainingError
from tacit.methods.base import Method
from tacit.methods.pointwise import AssumeNegative
from tacit.runs.folder import Log, Run
from tacit.training.report import Silent
from tacit.training.run import train
from tacit.types import Batch, Clock, Step

SPOILT_STEP = 8  # the second step of the second epoch
LAST_STEP = 12  # of that epoch


class Broken(AssumeNegative):
    """Has a second term that goes wrong at one step."""

    rows: list[int]

    def __init__(self, at: int = SPOILT_STEP) -> None:
        super().__init__()
        self.at, self.steps = at, 0

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        self.steps += 1
        step = super().step(model, batch, clock)
        extra = step.terms["bce"] * 0.5
        if self.steps == self.at:
            type(self).rows = batch.index.tolist()
            extra = self.spoil(extra)
        return Step({**step.terms, "extra": extra})

    def spoil(self, term: Tensor) -> Tensor:
        return term * float("nan")


class Explosive(Broken):
    """Its value stays a number, but its gradient does not."""

    def spoil(self, term: Tensor) -> Tensor:
        return term + (term * 0).sqrt()  # infinite slope times nothing


class FirstEpoch(Silent):
    """Keeps what a run folder held after its first epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, dict[str, bytes]()

    def end_epoch(self, record: dict[str, Any]) -> None:
        if record["epoch"] == 1:
            self.files = read_folder(self.folder)


def read_folder(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def fail(
    configure: Callable[..., Config],
    splits: Splits,
    plug: Callable[[type[Method]], str],
    tmp_path: Path,
) -> Callable[..., tuple[str, Path]]:
    """Return a function that trains with a broken method and returns the error's message."""

    def run(method: type[Method], *settings: str) -> tuple[str, Path]:
        config = configure(f"method.name={plug(method)}", "phases.epochs=3", *settings)
        folder = tmp_path / "run"
        first = FirstEpoch(folder)
        with pytest.raises(TrainingError) as caught:
            train(config, folder, splits=splits, reporter=first)
        assert caught.value.exit_code == 1
        assert "checkpoints/last.pt" in first.files
        assert read_folder(folder) == first.files  # nothing was written after
        return str(caught.value), folder

    return run


def test_a_term_that_is_no_number_stops_the_run(
    fail: Callable[..., tuple[str, Path]], splits: Splits
) -> None:
    message, folder = fail(Broken)
    assert "Term 'extra' became nan in epoch 2 of phase 0" in message
    for row in Broken.rows[:8]:
        assert f"{row} ({splits.train.images[row]})" in message
    assert "and 8 more" in message  # a batch has 16
    assert [entry["epoch"] for entry in Log(folder / "metrics.jsonl").read()] == [1]
    assert "result" not in json.loads((folder / "run.json").read_text())


def test_the_run_can_go_on_from_before(
    fail: Callable[..., tuple[str, Path]], splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = fail(Broken)
    monkeypatch.setattr(Broken, "spoil", lambda self, term: term)
    train(Run(folder).config, folder, resume=True, splits=splits)
    assert [entry["epoch"] for entry in Log(folder / "metrics.jsonl").read()] == [1, 2, 3]


@pytest.mark.parametrize("settings", [(), ("run.average=0.5",)])
def test_weights_that_are_no_numbers_are_not_kept(
    fail: Callable[..., tuple[str, Path]], settings: tuple[str, ...]
) -> None:
    """After the last step of an epoch there is no next term to notice it by."""
    message, folder = fail(Explosive, f"method.at={LAST_STEP}", *settings)
    assert "no longer predicts numbers" in message
    assert "learning rate" in message
    state = torch.load(folder / "checkpoints" / "last.pt")
    assert all(value.isfinite().all() for value in state["learner"].values())


def test_weights_that_are_no_numbers_are_noticed_at_the_next_step(
    fail: Callable[..., tuple[str, Path]],
) -> None:
    message, _ = fail(Explosive, f"method.at={SPOILT_STEP}")
    assert "Term 'bce' became nan in epoch 2" in message
