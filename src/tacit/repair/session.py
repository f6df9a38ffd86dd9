"""A review: which question comes next, what is made of the answers, and how far one has come.

Nothing here knows of HTTP. Several people may review at once: what is shown to one is kept from the
others for some minutes, and who answers a cell that another person has just answered otherwise is
told so before it counts.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from tacit.data.source import Source
from tacit.errors import DataError, UsageError, unknown_name
from tacit.repair.answers import Answers, Cell
from tacit.repair.learning import Between, Learner, LiveQueue
from tacit.repair.live_audit import LiveAudit
from tacit.repair.queue import Queue, Wanted, find_names
from tacit.repair.shown_evidence import read_evidence
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile
from tacit.repair.verdicts import STATES, Answer, Verdict

LEASE = 5 * 60.0  # seconds for which a question is kept from others
AUDIT_SHARE = 0.1  # of the questions
MOST_AT_ONCE = 200
AUDIT = "audit.json"  # beside the store

EVERYTHING = Wanted()


@dataclass(frozen=True)
class Question:
    """Is a class there on an image? Why it is asked is no part of it."""

    row: int
    column: int
    image: str
    label: str
    posterior: float | None
    box: list[float] | None
    version: int  # how many verdicts there were about the cell when it was asked

    @property
    def cell(self) -> Cell:
        """The numbers of image and class."""
        return self.row, self.column


@dataclass(frozen=True)
class Given:
    """An answer as somebody sends it.

    Attributes:
        id: Chosen by the sender; sent twice, it counts once.
        cell: The numbers of image and class.
        answer: present, absent, unsure or undo.
        version: How many verdicts about the cell the person knows of.
        shown: What was on the screen.
    """

    id: str
    cell: Cell
    answer: Answer
    version: int = 0
    shown: str = ""


@dataclass
class Taken:
    """What became of answers: some wait for the disk, and some meet others' answers."""

    done: Future[int]
    ids: list[str] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)


class Review:
    """Questions for people, and a store of what they said.

    To be used as a context: within it, no other process adds to the store.

    Args:
        store: Where verdicts go.
        suspects: What is asked about, the most probable first.
        source: The images and labels in which they were found.
        audit_share: Share of the questions that are drawn at random, to count what is missing.
        learner: Returns what makes the queue anew from the answers, if anything does.
        origins: Who is known to have said labels that came with the data.
        clock: Tells seconds, for leases.
    """

    def __init__(
        self,
        store: Store,
        suspects: SuspectsFile,
        source: Source,
        *,
        audit_share: float = AUDIT_SHARE,
        learner: Callable[[Between], Learner] | None = None,
        origins: Mapping[Cell, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.source, self.clock = store, source, clock
        self.origins = origins or {}
        self.queue = Queue(suspects, source)
        store.check(self.queue.data, source.classes)
        self.model = str(suspects.about.get("model", ""))
        self.audit_share, self.random = audit_share, random.Random()
        self.lock = threading.RLock()
        self.drawn: set[Cell] = set()  # asked because the audit drew it
        self.leases: dict[Cell, tuple[str, float]] = {}
        self.columns = {name: column for column, name in enumerate(source.classes)}
        self.answers = Answers()
        self.audit = LiveAudit(
            store.path.with_name(AUDIT), self.queue, source.labels, int(store.id[:8], 16),
            self._answered, suspects.about.get("beneath"),
        )  # fmt: skip
        self.live_queue: LiveQueue | None = None
        if learner is not None:
            self.live_queue = LiveQueue(learner, self.queue, self._answered)
        self._recall()
        self._open = ExitStack()

    def __enter__(self) -> Review:
        self._open.enter_context(self.store.writing())
        self._open.callback(self.audit.close)
        self.audit.start()
        if self.live_queue is not None:
            self._open.callback(self.live_queue.close)
            self.live_queue.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def next(
        self,
        who: str,
        count: int = 1,
        wanted: Wanted = EVERYTHING,
        without: Sequence[Cell] = (),
    ) -> list[Question]:
        """Return the next questions for a person, and keep them from others for a while.

        Args:
            who: The person.
            count: How many at most.
            wanted: Which suspects. Where some are left out, none is drawn at random.
            without: Cells that the person has on the screen already.
        """
        count = min(count, MOST_AT_ONCE)
        with self.lock:
            taken = {*without, *self._leased_to_others(who)}
            numbers = np.array([self._number(cell) for cell in taken], np.int64)
            found = iter(
                [self._cell_at(each) for each in self.queue.choose(wanted, count, numbers)]
            )
            cells: list[Cell] = []
            while len(cells) < count:
                drawn = self._draw(taken) if wanted.everything else None
                cell = drawn or next(found, None)
                if cell is None:
                    break
                if cell not in cells:
                    cells.append(cell)
            self._lease(who, cells)
            return [self.ask(cell) for cell in cells]

    def ask(self, cell: Cell) -> Question:
        """Return the question about a cell."""
        row, column = cell
        position = int(self.queue.find(np.array([self._number(cell)]))[0])
        there = position >= 0
        return Question(
            row,
            column,
            self.source.images[row],
            self.source.classes[column],
            round(float(self.queue.posteriors[position]), 4) if there else None,
            self.queue.box(position) if there else None,
            self.answers.version(cell),
        )

    def submit(self, who: str, given: Sequence[Given]) -> Taken:
        """Take answers. Those in conflict are left out and told; they may be sent again.

        An answer is in conflict where another person has said the opposite since it was asked.
        """
        if not who.strip():
            raise UsageError("An answer needs the name of who gives it.")
        taken, verdicts, pending = Taken(Future()), [], []
        with self.lock:
            for each in given:
                self.check_cell(each.cell)
                others = self._contradicting(who, each)
                if others and each.id not in self.answers.ids:
                    version = self.answers.version(each.cell)
                    taken.conflicts.append({"id": each.id, "version": version, "others": others})
                    continue
                taken.ids.append(each.id)
                verdicts.append(self._state(who, each))
                pending.append((each.cell, who, each.answer))
            self.answers.pending += pending
        added = self.store.submit(verdicts)

        def finish(added: Future[int]) -> None:
            with self.lock:
                for each in pending:
                    self.answers.pending.remove(each)
                if added.exception() is None:
                    for cell, verdict in zip((cell for cell, *_ in pending), verdicts, strict=True):
                        self._remember(cell, verdict)
            if error := added.exception():
                taken.done.set_exception(error)
            else:
                taken.done.set_result(added.result())

        added.add_done_callback(finish)
        return taken

    def answer(self, who: str, question: Question, answer: Answer) -> None:
        """Give one answer, and return when it is on the disk; for use from Python."""
        given = Given(uuid4().hex, question.cell, answer, self.answers.version(question.cell))
        self.submit(who, [given]).done.result()

    def undo(self, who: str) -> Question | None:
        """Take back a person's last answer and return its question; None if there is none."""
        with self.lock:
            last = next(self.history(who), None)
        if last is None:
            return None
        self.answer(who, last[0], "undo")
        return self.ask(last[0].cell)

    def evidence(self, cell: Cell) -> list[str]:
        """Say what speaks for a suspect, a sentence each."""
        position = int(self.queue.find(np.array([self._number(cell)]))[0])
        return read_evidence(self.queue.path, position) if position >= 0 else []

    def history(
        self, who: str, skip: int = 0, most: int | None = None
    ) -> Iterator[tuple[Question, Verdict]]:
        """Go through a person's answers that stand, the last one first.

        Args:
            who: The person.
            skip: How many of the last ones to leave out.
            most: How many to go through at most.
        """
        stop = None if most is None else skip + most
        for cell, verdict in itertools.islice(self.answers.of(who), skip, stop):
            yield self.ask(cell), verdict

    def suspected(self, row: int) -> list[int]:
        """Return the classes suspected on an image that nobody has answered, likeliest first."""
        positions = self.queue.of_image(row)
        free = positions[~self.queue.done[positions]]
        return [int(column) for column in self.queue.columns[free]]

    def sentence(self) -> str:
        """Say in a sentence how far the review is."""
        counts = self.answers.counts
        looks = sum(counts.values())
        found = sum(number for (_, answer), number in counts.items() if answer == "present")
        if not looks:
            return f"{len(self.queue):,} suspects wait; the most probable come first."
        audit = self.audit.result
        if audit is not None and audit.looks:
            return f"{looks:,} {'look' if looks == 1 else 'looks'}. {audit.sentence}"
        labels, took = "label" if found == 1 else "labels", "look" if looks == 1 else "looks"
        return f"{found:,} missing {labels} found with {looks:,} {took}."

    def find_cell(self, image: str, label: str) -> Cell:
        """Return the numbers of an image and a class."""
        if label not in self.columns:
            raise unknown_name("class", label, self.columns)
        row = int(find_names(self.source.images)(_as_array([image]))[0])
        if row < 0:
            raise DataError(f"'{self.source.name}' has no image '{image}'.")
        return row, self.columns[label]

    def _recall(self) -> None:
        """Read what was said before."""
        verdicts = list(self.store.verdicts())
        if not verdicts:
            return
        rows = find_names(self.source.images)(_as_array([each.image for each in verdicts]))
        for row, verdict in zip(rows.tolist(), verdicts, strict=True):
            self.answers.add((row, self.columns[verdict.label]), verdict)
        cells = [self._number(cell) for cell in self.answers.said]
        self.queue.mark(np.array(cells, np.int64), done=True)

    def _answered(self) -> dict[int, bool | None]:
        """Return what is said of every cell; None where nobody is sure, or people disagree."""
        with self.lock:
            said = [(cell, list(people.values())) for cell, people in self.answers.said.items()]
        told: dict[int, bool | None] = {}
        for cell, verdicts in said:
            sure = {STATES[each.answer] for each in verdicts if each.answer in STATES}
            told[self._number(cell)] = sure.pop() == 1 if len(sure) == 1 else None
        return told

    def _remember(self, cell: Cell, verdict: Verdict) -> None:
        if self.answers.add(cell, verdict):
            self.leases.pop(cell, None)
            self.queue.mark(np.array([self._number(cell)]), bool(self.answers.said.get(cell)))
            self.audit.refresh()
            if self.live_queue is not None:
                self.live_queue.hear(len(self.answers.said))

    def _state(self, who: str, given: Given) -> Verdict:
        """Complete an answer by why it was asked and what was thought of it."""
        row, column = given.cell
        position = int(self.queue.find(np.array([self._number(given.cell)]))[0])
        stream = "queue" if position >= 0 else "added"
        if given.cell in self.drawn or (position < 0 and given.cell in self.audit.probability):
            stream = "audit"
        return Verdict(
            given.id,
            self.source.images[row],
            self.source.classes[column],
            given.answer,
            who,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            stream,  # type: ignore[arg-type]
            self.audit.probability.get(given.cell),
            round(float(self.queue.posteriors[position]), 6) if position >= 0 else None,
            self.model,
            given.shown[:100],
        )

    def _contradicting(self, who: str, given: Given) -> list[dict[str, str]]:
        if given.answer not in ("present", "absent"):
            return []
        opposite = "absent" if given.answer == "present" else "present"
        waiting = [
            {"who": other, "answer": answer}
            for cell, other, answer in self.answers.pending
            if cell == given.cell and other != who and answer == opposite
        ]
        if given.version >= self.answers.version(given.cell):
            return waiting
        said = self.answers.said.get(given.cell, {})
        return waiting + [
            {"who": other, "answer": verdict.answer}
            for other, verdict in said.items()
            if other != who and verdict.answer == opposite
        ]

    def _draw(self, taken: set[Cell]) -> Cell | None:
        """Return a cell of the audit now and then."""
        # A cell that is not read yet would let the first question wait for all suspects. Asking
        # it later does no harm: cells of the audit count in the order of their draw.
        if self.random.random() >= self.audit_share or not self.queue.rest_is_read.is_set():
            return None
        cells = (cell for cell in self.audit.open(self.answers) if cell not in taken)
        cell = next(cells, None)
        if cell is not None:
            self.drawn.add(cell)
            taken.add(cell)
        return cell

    def _leased_to_others(self, who: str) -> list[Cell]:
        now = self.clock()
        self.leases = {cell: lease for cell, lease in self.leases.items() if lease[1] > now}
        return [cell for cell, (holder, _) in self.leases.items() if holder != who]

    def _lease(self, who: str, cells: Sequence[Cell]) -> None:
        until = self.clock() + LEASE
        self.leases.update((cell, (who, until)) for cell in cells)

    def _number(self, cell: Cell) -> int:
        return cell[0] * len(self.source.classes) + cell[1]

    def _cell_at(self, position: int) -> Cell:
        return int(self.queue.rows[position]), int(self.queue.columns[position])

    def check_cell(self, cell: Cell) -> None:
        """Refuse numbers of no image or no class."""
        row, column = cell
        if not (0 <= row < len(self.source) and 0 <= column < len(self.source.classes)):
            raise UsageError(f"There is no image {row} with a class {column}.")


def _as_array(names: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.array(names, pa.string())
