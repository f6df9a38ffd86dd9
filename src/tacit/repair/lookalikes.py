"""Known examples of a class, and images that are easily taken for it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from tacit.repair.session import Review

SHOWN = 3
POOL = 9  # examples of a class to choose from; few, as each has to be decoded
TOP = 300  # suspects of a class that tell what it is mistaken for

_of_review: WeakKeyDictionary[Review, Examples] = WeakKeyDictionary()


class Examples:
    """Examples for every class of a review.

    What a person said is absent although it was suspected looks like the class best. Until there
    are enough of those, the look-alikes are known images of the class that is known on suspects of
    this one more often than elsewhere.
    """

    def __init__(self, review: Review) -> None:
        self.review = review
        self._positives: dict[int, list[int]] = {}
        self._mistaken: dict[int, int | None] = {}
        self._known = review.source.labels.per_class(1)

    @classmethod
    def of(cls, review: Review) -> Examples:
        """Return the examples of a review, made once."""
        return _of_review.setdefault(review, cls(review))

    def choose(self, column: int, row: int) -> dict[str, Any]:
        """Return examples and look-alikes for a question, never the image itself."""
        names = self.review.source.classes
        chosen = random.Random(row * 7919 + column)

        def some(rows: list[int]) -> list[int]:
            others = [each for each in rows if each != row]
            return chosen.sample(others, min(SHOWN, len(others)))

        alike = [{"row": each, "label": f"not {names[column]}"} for each in self._refuted(column)]
        alike = [each for each in alike if each["row"] != row][-SHOWN:]
        mistaken = self._find_mistaken(column)
        if len(alike) < SHOWN and mistaken is not None:
            alike += [
                {"row": each, "label": names[mistaken]} for each in some(self.positives(mistaken))
            ]
        return {"examples": some(self.positives(column)), "alike": alike[:SHOWN]}

    def positives(self, column: int) -> list[int]:
        """Return images on which a class is known to be present, at most so many."""
        if column not in self._positives:
            labels = self.review.source.labels
            cells = np.flatnonzero((labels.columns == column) & (labels.states == 1))
            picked = cells[:: max(1, len(cells) // POOL)][:POOL]
            rows = np.searchsorted(labels.starts, picked, side="right") - 1
            self._positives[column] = rows.tolist()
        return self._positives[column]

    def _refuted(self, column: int) -> list[int]:
        said = self.review.answers.refuted.get(column, {})
        return list(said)[-SHOWN - 1 :]

    def _find_mistaken(self, column: int) -> int | None:
        """Return the class that suspects of a class are known to be of, beyond its share."""
        if column not in self._mistaken:
            queue, labels = self.review.queue, self.review.source.labels
            positions = np.flatnonzero(queue.columns[: queue.loaded] == column)[:TOP]
            counts = labels.take(queue.rows[positions]).per_class(1)
            expected = self._known / max(1, self._known.sum()) * max(1, counts.sum())
            surplus = (counts - expected) / np.sqrt(expected + 1)
            surplus[column] = -np.inf
            best = int(np.argmax(surplus))
            self._mistaken[column] = best if surplus[best] > 0 else None
        return self._mistaken[column]
