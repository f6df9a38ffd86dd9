"""Waiting for other processes, and noticing those that are gone or were never there.

They share nothing but a folder, so each writes a file there that changes as long as it lives. Only
changes count, for the clocks of two machines differ, and files of processes that were killed stay.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tacit.errors import TacitError

PAUSE = 0.1
BEAT = 2.0


def _sign_of(process: int, folder: Path) -> Path:
    return folder / f".alive-{process}"


@contextmanager
def show_life(process: int, folder: Path) -> Iterator[None]:
    """Change a file every few seconds, until this is left."""
    path, ended = _sign_of(process, folder), threading.Event()

    def beat() -> None:
        number = 0
        with suppress(OSError):  # the first process may have cleared the folder away
            while True:
                path.write_text(f"{time.time_ns()} {number}", encoding="utf-8")
                number += 1
                if ended.wait(BEAT):
                    break
        with suppress(OSError):
            path.unlink()

    thread = threading.Thread(target=beat, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(BEAT)


class Signs:
    """The signs of life of other processes.

    Args:
        folder: Where they are.
        wait: Seconds without one after which a process is given up.
    """

    def __init__(self, folder: Path, wait: float) -> None:
        self.folder, self.wait = folder, wait
        self.last: dict[int, tuple[str, float]] = {}

    def pause(self, process: int, task: str) -> None:
        """Wait a moment for a process that has something to do, or give it up."""
        try:
            sign = _sign_of(process, self.folder).read_text(encoding="utf-8")
        except OSError:
            sign = ""
        now = time.monotonic()
        last, since = self.last.setdefault(process, (sign, now))
        if sign != last:
            self.last[process] = sign, now
        elif now - since > self.wait:
            raise TacitError(
                f"Process {process} has shown no sign of life for {self.wait:g} seconds, and "
                f"{task}: it has ended, or was never started. Start all processes again, with "
                f"torchrun or by hand, or one alone without RANK and WORLD_SIZE; what is finished "
                f"is kept. --wait says how long to wait."
            )
        time.sleep(PAUSE)
