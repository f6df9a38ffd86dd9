"""Several trainings at once, each in a process of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from tacit.config import Config
from tacit.devices import choose_device
from tacit.errors import TacitError, TrainingError
from tacit.runs.folder import Run
from tacit.training.interrupts import Interrupted
from tacit.training.report import Reporter, Silent
from tacit.training.run import train

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A training that is still to be done, or to be gone on with."""

    config: Config
    folder: Path
    resume: bool = False


def choose_job_count(config: Config) -> int:
    """Return how many trainings go well together.

    Small networks gain little from a second thread, but two of them fill two cores. An
    accelerator is best left to one.
    """
    if choose_device(config.run.device).type != "cpu":
        return 1
    return max(1, min(4, os.cpu_count() or 1))


def train_side_by_side(
    planned: Mapping[str, Job], jobs: int, reporter: Reporter | None = None
) -> None:
    """Train everything, at most ``jobs`` at a time.

    Jobs share the threads, and another number of threads rounds differently; beyond that the
    numbers do not depend on how many train at once.
    """
    reporter = reporter or Silent()
    if jobs == 1:
        for title, plan in planned.items():
            train(plan.config, plan.folder, resume=plan.resume, reporter=reporter, title=title)
        return
    waiting = dict(planned)
    running: dict[str, SpawnProcess] = {}
    told = dict.fromkeys(planned, 0)
    threads = max(1, torch.get_num_threads() // jobs)
    context = get_context("spawn")
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                title = next(iter(waiting))
                plan = waiting.pop(title)
                process = context.Process(target=_train, args=(plan, title, threads))
                process.start()
                running[title] = process
            time.sleep(POLL_SECONDS)
            for title, process in list(running.items()):
                ended = not process.is_alive()
                told[title] += _tell(planned[title].folder, title, told[title], reporter)
                if ended:
                    del running[title]
                    _check(title, process.exitcode)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()


def _train(plan: Job, title: str, threads: int) -> None:
    """Run one training in a process of its own."""
    torch.set_num_threads(threads)
    try:
        train(plan.config, plan.folder, resume=plan.resume, title=title)
    except Interrupted as stop:
        sys.exit(stop.exit_code)
    except TacitError as error:
        print(f"tacit: {title}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _tell(folder: Path, title: str, told: int, reporter: Reporter) -> int:
    """Report the epochs that the log has beyond those that were told."""
    records = Run(folder).log.read()[told:]
    for record in records:
        reporter.start_run(title)
        reporter.end_epoch(record)
    return len(records)


def _check(title: str, status: int | None) -> None:
    if status in (130, 143):
        raise Interrupted(status - 128)
    if status:
        raise TrainingError(f"The training of '{title}' ended with status {status}; see above.")
