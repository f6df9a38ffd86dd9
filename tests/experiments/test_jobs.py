"""Trainings at once: the same numbers as one by one, and no failure goes unheard."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tacit.config import Config, resolve
from tacit.errors import TrainingError
from tacit.experiments.jobs import Job, choose_job_count, train_side_by_side
from tacit.runs.folder import Run
from tacit.training.report import Silent

TINY = ("data.options.images=60", "data.options.test_images=12", "phases.batch=16")


class Listener(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.title = ""
        self.told: list[tuple[str, int]] = []

    def start_run(self, title: str) -> None:
        self.title = title

    def end_epoch(self, record: dict[str, Any]) -> None:
        self.told.append((self.title, record["epoch"]))


def config(method: str, *settings: str) -> Config:
    return resolve(None, (*TINY, "phases.epochs=2", f"method.name={method}", *settings))


def planned(folder: Path) -> dict[str, Job]:
    return {name: Job(config(name), folder / name) for name in ("an", "ignore")}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread, as each of two jobs does on two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_together_gives_what_one_by_one_gives(tmp_path: Path) -> None:
    alone, together = Listener(), Listener()
    train_side_by_side(planned(tmp_path / "one"), 1, alone)
    train_side_by_side(planned(tmp_path / "two"), 2, together)
    assert sorted(together.told) == sorted(alone.told)
    assert sorted(alone.told) == [("an", 1), ("an", 2), ("ignore", 1), ("ignore", 2)]
    for name in ("an", "ignore"):
        first, second = (
            load_file(tmp_path / kind / name / "model.safetensors") for kind in ("one", "two")
        )
        assert all(first[key].equal(second[key]) for key in first)


def test_a_failure_ends_the_others_and_is_told(tmp_path: Path) -> None:
    plans = {
        "good": Job(config("an", "phases.epochs=500"), tmp_path / "good"),
        "bad": Job(config("an", "phases.batch=1000"), tmp_path / "bad"),
    }
    with pytest.raises(TrainingError, match="'bad' failed: There are 48 training images"):
        train_side_by_side(plans, 2)
    record = tmp_path / "good" / "run.json"
    assert not record.exists() or '"result"' not in record.read_text(encoding="utf-8")


@pytest.mark.usefixtures("one_thread")
def test_a_killed_process_costs_an_epoch_and_no_digit(tmp_path: Path) -> None:
    plans = {
        name: Job(config(name, "phases.epochs=12"), tmp_path / "two" / name)
        for name in ("an", "em")
    }

    class Killer(Listener):
        """Kills whoever has told of its third epoch, once."""

        killed = 0

        def end_epoch(self, record: dict[str, Any]) -> None:
            super().end_epoch(record)
            if record["epoch"] == 3 and not self.killed:
                children = multiprocessing.active_children()
                self.killed = children[0].pid or 0
                os.kill(self.killed, signal.SIGKILL)

    killer = Killer()
    assert train_side_by_side(plans, 2, killer, go_on=True) == {}
    assert killer.killed and all(Run(job.folder).result for job in plans.values())
    alone = {name: Job(job.config, tmp_path / "one" / name) for name, job in plans.items()}
    train_side_by_side(alone, 1)
    for name, job in plans.items():
        assert Run(job.folder).result == Run(alone[name].folder).result


def test_one_job_where_there_is_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    here = config("an", "run.device=cpu")
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert choose_job_count(here) == 4
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert choose_job_count(here) == 1
    monkeypatch.setattr("tacit.experiments.jobs.choose_device", lambda name: torch.device("cuda"))
    assert choose_job_count(here) == 1
