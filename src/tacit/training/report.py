"""What training tells while it runs. Results are records; how they look is somebody else's job."""

from __future__ import annotations

import logging
from typing import Any, Protocol

LOG = logging.getLogger("tacit")


class Reporter(Protocol):
    """Receives a run's progress."""

    def start_run(self, title: str) -> None:
        """A run begins."""

    def note(self, text: str) -> None:
        """Something about the run that a person should know before it begins."""

    def read(self, images: int) -> None:
        """A frozen trunk reads so many images more, or fewer, once for a whole phase."""

    def start_epoch(self, phase: int, epoch: int, epochs: int, steps: int, done: int) -> None:
        """An epoch begins, or goes on after ``done`` of its steps."""

    def step(self, images: int) -> None:
        """A step over some images is done."""

    def end_epoch(self, record: dict[str, Any]) -> None:
        """An epoch is over; the record is what the log holds."""


class Silent:
    """Says nothing."""

    def start_run(self, title: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def read(self, images: int) -> None:
        pass

    def start_epoch(self, phase: int, epoch: int, epochs: int, steps: int, done: int) -> None:
        pass

    def step(self, images: int) -> None:
        pass

    def end_epoch(self, record: dict[str, Any]) -> None:
        pass


class LogReporter:
    """Writes the progress of a training to Python's logging."""

    def __init__(self) -> None:
        self.title = ""

    def start_run(self, title: str) -> None:
        """A run begins."""
        self.title = title

    def note(self, text: str) -> None:
        """Something that a person should know: a warning, which Python shows by itself."""
        LOG.warning("%s: %s", self.title, text)

    def read(self, images: int) -> None:
        """A frozen trunk reads images."""

    def start_epoch(self, phase: int, epoch: int, epochs: int, steps: int, done: int) -> None:
        """An epoch begins."""

    def step(self, images: int) -> None:
        """A step is done."""

    def end_epoch(self, record: dict[str, Any]) -> None:
        """An epoch is over."""
        LOG.info(
            "%s: phase %d, epoch %d, loss %.3f, validation mAP %.2f (%s labels)",
            self.title,
            record["phase"],
            record["epoch"],
            sum(record["terms"].values()),
            record["validation_map"],
            record["validation_labels"],
        )
