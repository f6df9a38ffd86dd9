"""Several trainings at once, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread
from types import TracebackType

import torch

from tacit.config import Config
from tacit.devices import choose_device
from tacit.errors import TacitError, TrainingError
from tacit.labels import SparseLabels
from tacit.runs.build import read_splits
from tacit.runs.folder import Run
from tacit.training.interrupts import Interrupted
from tacit.training.report import Reporter, Silent
from tacit.training.run import train

POLL_SECONDS = 0.2
TRIES = 3
"""So often a training goes on whose process was killed."""


@dataclass(frozen=True)
class Job:
    """A training that is still to be done.

    Attributes:
        config: What to do.
        folder: The run folder.
        truth: What is in the training images, where the data do not say it; for the log alone.
    """

    config: Config
    folder: Path
    truth: SparseLabels | None = None

    def train(self, title: str, reporter: Reporter | None = None, go_on: bool = False) -> None:
        """Do it."""
        splits = None
        if self.truth is not None:
            splits = read_splits(self.config)
            splits = replace(splits, train=splits.train.with_truth(self.truth))
        train(self.config, self.folder, resume=go_on, splits=splits, reporter=reporter, title=title)

    def attempt(
        self, title: str, reporter: Reporter | None = None, go_on: bool = True
    ) -> str | None:
        """Do it, and return why it failed; a fault of a method must not take others with it."""
        try:
            self.train(title, reporter, go_on)
        except Interrupted:
            raise
        except TacitError as error:
            return str(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None


def choose_job_count(config: Config) -> int:
    """Return how many trainings go well together.

    Small networks gain little from a second thread, but two of them fill two cores. An
    accelerator is best left to one.
    """
    if choose_device(config.run.device).type != "cpu":
        return 1
    return max(1, min(4, os.cpu_count() or 1))


def count_threads(jobs: int, planned: int) -> int:
    """Return how many threads each of several trainings has."""
    return max(1, torch.get_num_threads() // max(1, min(jobs, planned)))


def train_side_by_side(
    planned: Mapping[str, Job],
    jobs: int,
    reporter: Reporter | None = None,
    go_on: bool = False,
) -> dict[str, str]:
    """Train everything, at most ``jobs`` at a time, and return why some failed.

    Jobs share the threads, and another number of threads rounds differently; beyond that the
    numbers do not depend on how many train at once. Where a run was begun, it goes on.

    Args:
        planned: What to train, by title.
        jobs: How many at a time.
        reporter: Receives the progress.
        go_on: Train the others when one fails; otherwise the first failure ends all.
    """
    reporter = reporter or Silent()
    failed: dict[str, str] = {}
    if min(jobs, len(planned)) <= 1:
        for title, job in planned.items():
            if not go_on:
                job.train(title, reporter)
            elif (reason := job.attempt(title, reporter)) is not None:
                failed[title] = reason
        return failed
    told = {title: len(Run(job.folder).log.read()) for title, job in planned.items()}
    with Crew(min(jobs, len(planned)), go_on) as crew:
        for ended, reason in crew.train(planned):
            for title in [ended] if ended else crew.busy:
                told[title] += tell_epochs(planned[title].folder, title, told[title], reporter)
            if ended and reason is not None:
                failed[ended] = reason
                if not go_on:
                    raise TrainingError(f"The training of '{ended}' failed: {reason}")
    return failed


class Crew:
    """Processes that train one job after another; what they have imported serves all of them.

    Args:
        size: How many.
        go_on: Whether runs that were begun go on.
    """

    def __init__(self, size: int, go_on: bool) -> None:
        self.threads, self.go_on = count_threads(size, size), go_on
        self.workers = [self._hire() for _ in range(size)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in self.workers:
            worker.process.join()

    def _hire(self) -> Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.threads, self.go_on))
        process.start()
        theirs.close()
        return Worker(process, ours)

    @property
    def busy(self) -> list[str]:
        """What is being trained."""
        return [worker.title for worker in self.workers if worker.title]

    def train(self, planned: Mapping[str, Job]) -> Iterator[tuple[str | None, str | None]]:
        """Yield the title of each job that has ended, with the reason if it failed.

        Between them comes None now and then, so that somebody may look at the logs.
        """
        waiting, tries = list(planned), dict.fromkeys(planned, 0)
        while waiting or self.busy:
            for worker in self.workers:
                if not worker.title and waiting:
                    worker.title = waiting.pop(0)
                    tries[worker.title] += 1
                    worker.connection.send((worker.title, planned[worker.title]))
            ready = wait([worker.connection for worker in self.workers], POLL_SECONDS)
            for number, worker in enumerate(self.workers):
                if worker.connection not in ready:
                    continue
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):  # it is gone, and what it trained can go on
                    worker.process.join()
                    answer = _describe(worker.process.exitcode)
                    self.workers[number] = self._hire()
                    if worker.title and self.go_on and tries[worker.title] < TRIES:
                        waiting.insert(0, worker.title)
                        continue
                if isinstance(answer, int):
                    raise Interrupted(answer)
                if worker.title:
                    title, worker.title = worker.title, ""
                    yield title, answer
            yield None, None


@dataclass
class Worker:
    """A process, the way to it, and the title of what it trains."""

    process: SpawnProcess
    connection: Connection
    title: str = ""


def _work(connection: Connection, threads: int, go_on: bool) -> None:
    """Train what comes in, and answer None, the reason of a failure, or the signal it got."""
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            title, job = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            connection.send(job.attempt(title, go_on=go_on))
        except Interrupted as stop:
            with suppress(OSError):  # nobody listens any more
                connection.send(stop.exit_code - 128)
            return
        except OSError:
            return


def _end_with_parent() -> None:
    """End when the one who gives the work is gone: nobody would know of what is still trained."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def tell_epochs(folder: Path, title: str, told: int, reporter: Reporter) -> int:
    """Report the epochs that the log has beyond those that were told."""
    records = Run(folder).log.read()[told:]
    for record in records:
        reporter.start_run(title)
        reporter.end_epoch(record)
    return len(records)


def _describe(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its process was ended by signal {-status}"
    return f"its process ended with status {status}"
