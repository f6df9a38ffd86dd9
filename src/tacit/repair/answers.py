"""What people said so far, kept in memory in the order in which it reached the disk."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from tacit.repair.verdicts import STATES, Verdict

Cell = tuple[int, int]
"""The numbers of an image and a class."""

RECENT = 100  # looks at the queue from which the next ones are guessed


class Answers:
    """Answers by cell and by person; see `tacit.repair.verdicts.settle` for what holds.

    Attributes:
        said: For each cell the last answer of each person who has one.
        ids: Of all verdicts.
        pending: What is on its way to the disk: cell, person, answer.
    """

    def __init__(self) -> None:
        self.said: dict[Cell, dict[str, Verdict]] = {}
        self.ids: set[str] = set()
        self.pending: list[tuple[Cell, str, str]] = []
        self.by_image: dict[int, set[int]] = {}
        self.refuted: dict[int, dict[int, None]] = {}  # class -> images where somebody said absent
        self.recent: deque[bool] = deque(maxlen=RECENT)  # of the queue: whether the class was there
        self.counts: Counter[tuple[str, str]] = Counter()  # of class and answer that stand
        self._stacks: dict[tuple[Cell, str], list[Verdict]] = {}
        self._order: dict[str, list[tuple[Cell, Verdict]]] = {}
        self._versions: Counter[Cell] = Counter()

    def add(self, cell: Cell, verdict: Verdict) -> bool:
        """Take in a verdict; False if it was there already."""
        if verdict.id in self.ids:
            return False
        self.ids.add(verdict.id)
        self._versions[cell] += 1
        stack = self._stacks.setdefault((cell, verdict.who), [])
        order = self._order.setdefault(verdict.who, [])
        before = stack[-1] if stack else None
        if verdict.stream == "queue" and verdict.answer in STATES:
            self.recent.append(verdict.answer == "present")
        if verdict.answer != "undo":
            stack.append(verdict)
            order.append((cell, verdict))
        elif stack:
            last = stack.pop()
            # The last answer is near the end, so going back from there is quick.
            place = next(n for n in reversed(range(len(order))) if order[n][1] is last)
            del order[place]
        self._stand(cell, verdict.who, before, stack[-1] if stack else None)
        return True

    def of(self, who: str) -> Iterator[tuple[Cell, Verdict]]:
        """Go through a person's answers that stand, the last one first."""
        return reversed(list(self._order.get(who, ())))

    def people(self) -> dict[str, int]:
        """Count the answers of each person that stand."""
        return {who: len(given) for who, given in self._order.items() if given}

    def version(self, cell: Cell) -> int:
        """Return how many verdicts there are about a cell."""
        return self._versions[cell]

    def _stand(self, cell: Cell, who: str, before: Verdict | None, now: Verdict | None) -> None:
        people = self.said.setdefault(cell, {})
        if before is not None:
            self.counts[before.label, before.answer] -= 1
        if now is not None:
            self.counts[now.label, now.answer] += 1
            people[who] = now
            self.by_image.setdefault(cell[0], set()).add(cell[1])
            refuted = self.refuted.setdefault(cell[1], {})
            if now.answer == "absent":
                refuted[cell[0]] = None
            else:
                refuted.pop(cell[0], None)
            return
        people.pop(who, None)
        if not people:
            del self.said[cell]
            self.by_image.get(cell[0], set()).discard(cell[1])
            self.refuted.get(cell[1], {}).pop(cell[0], None)
