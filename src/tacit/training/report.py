"""What training tells while it runs. Results are records; how they look is somebody else's job."""

from __future__ import annotations

from typing import Any, Protocol


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
