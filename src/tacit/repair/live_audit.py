"""The audit beside a review: which cells were drawn, and what the answers say by now.

Whoever answers is not told which questions these are. What they say is computed on a thread of its
own, so that nobody waits for it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from tacit.errors import DataError
from tacit.files import read_json, write_text
from tacit.labels import SparseLabels, number_cells
from tacit.repair.answers import Answers, Cell
from tacit.repair.audit import Audit, AuditResult, draw_audit, estimate
from tacit.repair.queue import Queue

LOOKS = 1000  # cells drawn; any first part of them is a sample
SHARE = 0.1  # of the time, at most, goes into estimates


class LiveAudit:
    """An audit that is drawn once for a store and goes on after a stop.

    Args:
        path: Where it is kept.
        queue: The suspects; cells are drawn when all of them are read.
        labels: The labels that the data came with.
        seed: Of the draw.
        answered: Returns every answered cell by its number; whether the class is there, or None if
            that is not sure.
        beneath: (C,) sum of the posteriors of what the suspects leave out, where it is known.
    """

    def __init__(
        self,
        path: Path,
        queue: Queue,
        labels: SparseLabels,
        seed: int,
        answered: Callable[[], dict[int, bool | None]],
        beneath: Sequence[float] | None = None,
    ) -> None:
        self.beneath = None if beneath is None else np.asarray(beneath, np.float64)
        self.path, self.queue, self.labels, self.seed = path, queue, labels, seed
        self.answered = answered
        self.cells: list[Cell] = []
        self.probability: dict[Cell, float] = {}
        self.result: AuditResult | None = None
        self.failed: Exception | None = None
        self._audit: Audit | None = self._read()
        self._changed, self._settled = threading.Event(), threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)

    def start(self) -> None:
        """Draw the cells if they are not drawn yet, and keep the estimate up to date."""
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def refresh(self) -> None:
        """Let the estimate be made anew."""
        self._settled.clear()
        self._changed.set()

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until cells are drawn and the estimate knows of all answers."""
        self._settled.wait(seconds)

    def open(self, answers: Answers) -> Iterator[Cell]:
        """Go through the cells that nobody has answered yet, in the order of the draw."""
        return (cell for cell in self.cells if cell not in answers.said)

    def _read(self) -> Audit | None:
        if not self.path.exists():
            return None
        try:
            audit = Audit.from_dict(read_json(self.path))
            if (
                audit.classes != self.queue.classes
                or (audit.cells >= len(self.labels) * self.queue.classes).any()
            ):
                raise ValueError("it was drawn from other labels")
            return audit
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{self.path} holds no audit; delete it, and one is drawn.") from error

    def _work(self) -> None:
        try:
            self._prepare()
            quickest = float("inf")  # the first one imports what it needs
            while not self._ended.is_set():
                self._changed.wait()
                self._changed.clear()
                started = time.perf_counter()
                if self._audit is not None:
                    self.result = estimate(self._audit, self.answered())
                if not self._changed.is_set():
                    self._settled.set()
                quickest = min(quickest, time.perf_counter() - started)
                self._ended.wait(quickest / SHARE)
        except Exception as error:  # a review goes on without an estimate
            self.failed = error
            self._settled.set()

    def _prepare(self) -> None:
        if self._audit is None:
            self.queue.rest_is_read.wait()
            self.queue.wait()
            self._audit = self._draw()
        if self._audit is None:
            return
        rows, columns = np.divmod(self._audit.cells, self._audit.classes)
        cells = list(zip(rows.tolist(), columns.tolist(), strict=True))
        self.probability = dict(zip(cells, self._audit.probabilities.tolist(), strict=True))
        self.cells = cells

    def _draw(self) -> Audit | None:
        queue = self.queue
        cells = number_cells(queue.rows, queue.columns, queue.classes)
        looks = min(LOOKS, self.labels.count(0))
        if not looks:
            return None
        audit = draw_audit(
            cells,
            queue.posteriors.astype(np.float64),
            queue.classes,
            looks,
            self.seed,
            labels=self.labels,
            beneath=self.beneath,
        )
        with suppress(OSError):  # what cannot be kept is drawn from the same seed again
            write_text(self.path, json.dumps(audit.to_dict()))
        return audit
