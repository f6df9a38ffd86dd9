"""Progress of a training on stderr: a bar on a terminal, a line per epoch anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tacit.errors import make_printable

PAUSE = 30.0  # seconds between lines where nobody watches a bar


class Pulse:
    """Says when another line is due on a console that shows no bar."""

    def __init__(self, console: Console) -> None:
        self.silent = console.is_terminal
        self.restart()

    def restart(self) -> None:
        """Begin to wait anew: something was said just now."""
        self.last = time.perf_counter()

    def is_due(self) -> bool:
        """Whether a line is due, after which it is not for a while."""
        if self.silent or time.perf_counter() - self.last < PAUSE:
            return False
        self.restart()
        return True


class CountReporter:
    """Shows how many of how many images are done, and the time that is left."""

    def __init__(self, console: Console, what: str) -> None:
        self.console, self.what = console, what
        self.pulse = Pulse(console)
        self.first: tuple[float, int] | None = None  # when the first were done, and how many
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task(what, total=None, speed="")

    def __enter__(self) -> CountReporter:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Show a new state."""
        now = time.perf_counter()
        self.first = self.first or (now, done)
        # What came before the first ones, such as reading the model, is not repeated.
        passed, counted = now - self.first[0], done - self.first[1]
        speed = ""
        if counted:
            left = _clock(passed / counted * (total - done))
            speed = f"{counted / max(passed, 1e-9):,.3g} images/s · {left} left"
        self.progress.update(self.task, completed=done, total=total, speed=speed)
        if self.pulse.is_due() and done < total:
            line = " · ".join((self.what, f"{done:,} of {total:,} images", *filter(None, (speed,))))
            self.console.print(line, soft_wrap=True, highlight=False)


class ProgressReporter:
    """Shows epochs, terms, throughput and the time that is left."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        self.title = ""
        self.finished = 0.0
        self.steps, self.done, self.skipped = 1, 0, 0
        self.images = 0
        self.read_images = 0
        self.pulse = Pulse(console)
        self.started = time.perf_counter()
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("", speed="")

    def __enter__(self) -> ProgressReporter:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def start_run(self, title: str) -> None:
        """Begin a run; one reporter may watch several."""
        self.title = title

    def note(self, text: str) -> None:
        """Print what a person should know before a run begins, to the letter."""
        self.console.print(f"{self.title}: {text}", soft_wrap=True, markup=False, highlight=False)

    def read(self, images: int) -> None:
        """Count what a frozen trunk reads, which is no part of the epochs' time."""
        if not self.read_images:
            self.reading_started = time.perf_counter()
        self.read_images += images
        passed = _clock(time.perf_counter() - self.reading_started)
        line = (
            f"{self.title} the trunk reads images, {self.read_images:,} or so in {passed}".strip()
        )
        self.progress.update(self.task, description=line, total=None, speed="")
        if self.pulse.is_due():
            self.console.print(line, soft_wrap=True, highlight=False)

    def start_epoch(self, phase: int, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Begin an epoch."""
        self.steps, self.done, self.skipped = steps, done, done
        self.images = 0
        self.epoch_started = time.perf_counter()
        if self.read_images:
            self.started += self.epoch_started - self.reading_started
            self.read_images = 0
        self.pulse.restart()
        self.epoch = f"{self.title} epoch {epoch}/{epochs}".strip()
        self.progress.update(
            self.task,
            description=self.epoch,
            total=steps,
            completed=done,
            speed="",
        )

    def step(self, images: int) -> None:
        """Count a step."""
        self.done += 1
        self.images += images
        speed = self.images / max(time.perf_counter() - self.epoch_started, 1e-9)
        text = f"{speed:,.0f} images/s · {_clock(self._time_left())} left"
        self.progress.update(self.task, completed=self.done, speed=text)
        if self.pulse.is_due():
            line = f"{self.epoch} · {self.done:,} of {self.steps:,} steps · {text}"
            self.console.print(line, soft_wrap=True, highlight=False)

    def end_epoch(self, record: dict[str, Any]) -> None:
        """Print what an epoch brought."""
        self.finished += 1
        terms = " ".join(f"{name} {value:.3f}" for name, value in record["terms"].items())
        reached, chance = record["validation_map"], record["validation_chance"]
        line = (
            f"{self.title} epoch {record['epoch']:>3} · {terms} · validation mAP {reached:.2f} of "
            f"{record['validation_labels']} labels (chance {chance:.1f})"
        )
        found = record.get("identification")
        if found and found["tp"] + found["fp"]:
            line += f" · suspects P {found['precision']:.2f} R {found['recall']:.2f}"
        if record["selected"]:
            line += " · best so far"
        speed = record["images_per_second"]
        left = _clock(self._time_left(0))
        line = f"{line} · {speed or 0:,.0f} images/s · {left} left".strip()
        self.console.print(line, soft_wrap=not self.console.is_terminal)

    def _time_left(self, running: float | None = None) -> float:
        part = self.done / self.steps if running is None else running
        elapsed = time.perf_counter() - self.started
        done = self.finished + part - self.skipped / self.steps
        left = self.epochs - self.finished - part
        return elapsed / max(done, 1e-9) * left


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


TENTHS = 10


# What takes moments needs no lines.
LEAST = 50_000_000


class TransferReporter:
    """Shows what is being fetched, checked or unpacked, and how far it is."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console, self.progress = console, progress
        self.what, self.tenth = "", 0

    def tell(self, message: str) -> None:
        """Print a message above the bar, to the letter."""
        self.console.print(make_printable(message), markup=False, emoji=False, soft_wrap=True)

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show a new state."""
        if what != self.what:
            self.what, self.tenth = what, done * TENTHS // total if total else 0
            for task in self.progress.task_ids:
                self.progress.remove_task(task)
            self.progress.add_task(what, total=total)
        for task in self.progress.task_ids:
            self.progress.update(task, completed=done, total=total)
        tenth = done * TENTHS // total if total else 0
        if not self.console.is_terminal and total and total >= LEAST and tenth > self.tenth:
            self.tenth = tenth
            self.console.print(f"{what}: {tenth * 10} %", soft_wrap=True)


@contextmanager
def reporting(console: Console) -> Iterator[TransferReporter]:
    """Report on a console for a while."""
    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
    words = (SpinnerColumn(), TextColumn("{task.description}"))
    hidden = not console.is_terminal
    with Progress(
        *words, *columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as progress:
        yield TransferReporter(console, progress)
