"""Letting the queue learn from answers while a review goes on, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacit.repair.queue import Queue

EVERY = 20  # answers, after which the queue is made anew
PATIENCE = 60.0  # seconds at the end of a review for what cannot be stopped, such as one turn

Between = Callable[[], None]
"""Called now and then by what takes long; it raises when the review ends."""


class Ended(Exception):
    """The review ended while something was being computed for it."""


class Learner(Protocol):
    """What learns from answers, such as `tacit.repair.loop.Loop`.

    Attributes:
        posterior: (N, C) how probably each unknown cell is a missed positive.
    """

    posterior: NDArray[np.float32]

    def update(self, verdicts: Mapping[int, bool]) -> None:
        """Learn from all answers so far: whether the class is there, by the number of the cell."""


class LiveQueue:
    """A queue whose order follows what was learned.

    Args:
        learner: Returns what learns; called on the thread, because it may take long to be made,
            with what it calls between the pieces of its work.
        queue: The suspects.
        answered: Returns every answered cell by its number; None where nobody is sure.
    """

    def __init__(
        self,
        learner: Callable[[Between], Learner],
        queue: Queue,
        answered: Callable[[], dict[int, bool | None]],
    ) -> None:
        self._make, self.queue, self.answered = learner, queue, answered
        self.turns = 0  # how often the queue was made anew
        self.failed: Exception | None = None
        self._known = 0
        self._changed = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="learning", daemon=True)

    def start(self) -> None:
        """Begin to learn."""
        self._thread.start()

    def close(self) -> None:
        """End the thread. One that computes while Python ends would take the process with it."""
        self._closed = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def hear(self, count: int) -> None:
        """Learn when there are enough new answers among so many."""
        if abs(count - self._known) >= EVERY:
            self._known = count
            self._changed.set()

    def _work(self) -> None:
        try:
            self.queue.rest_is_read.wait()
            self.queue.wait()
            learner = None
            while True:
                self._changed.wait()
                self._changed.clear()
                if self._closed:
                    return
                learner = learner or self._make(self._go_on)
                sure = {cell: said for cell, said in self.answered().items() if said is not None}
                learner.update(sure)
                self.queue.rank_anew(learner.posterior)
                self.turns += 1
        except Ended:
            return
        except Exception as error:  # a review goes on in the order that it has
            self.failed = error

    def _go_on(self) -> None:
        if self._closed:
            raise Ended
