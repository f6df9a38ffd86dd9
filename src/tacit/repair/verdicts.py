"""Verdicts: what people said of cells. They are only ever added, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tacit.errors import DataError

Answer = Literal["present", "absent", "unsure", "undo"]
Stream = Literal["queue", "audit", "added"]

STATES = {"present": 1, "absent": -1}
"""What an answer makes of a cell; any other answer leaves it as it is."""


@dataclass(frozen=True)
class Verdict:
    """One answer of one person about one cell.

    Attributes:
        id: Chosen by whoever sends it, so that sending it twice counts once.
        image: The image's name, as the labels call it.
        label: The class.
        answer: present, absent, unsure; or undo, which takes back the person's last answer.
        who: Who said so.
        at: When, UTC, as ISO 8601.
        stream: Why it was asked: the best guess of the queue, drawn at random for the audit, or
            added by the person unasked.
        probability: With which probability the audit drew the cell.
        posterior: What was thought of the cell when it was shown.
        model: Fingerprint of what thought so.
        shown: What was on the screen, such as "crop+image"; for a record, not read by programs.
    """

    id: str
    image: str
    label: str
    answer: Answer
    who: str
    at: str
    stream: Stream = "queue"
    probability: float | None = None
    posterior: float | None = None
    model: str = ""
    shown: str = ""

    def __post_init__(self) -> None:
        if self.answer not in get_args(Answer) or self.stream not in get_args(Stream):
            raise DataError(
                f"'{self.answer}' of '{self.stream}' is no verdict; answers are "
                f"{', '.join(get_args(Answer))}, streams {', '.join(get_args(Stream))}."
            )

    @property
    def cell(self) -> tuple[str, str]:
        """The image and the class."""
        return self.image, self.label

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return asdict(self)


def settle(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], dict[str, Verdict]]:
    """Return what holds in the end: for each cell the last answer of each person who has one.

    Args:
        verdicts: In the order in which they were given.
    """
    answers: dict[tuple[str, str], dict[str, list[Verdict]]] = {}
    for verdict in verdicts:
        given = answers.setdefault(verdict.cell, {}).setdefault(verdict.who, [])
        if verdict.answer != "undo":
            given.append(verdict)
        elif given:
            given.pop()
    return {
        cell: {who: given[-1] for who, given in people.items() if given}
        for cell, people in answers.items()
        if any(people.values())
    }
