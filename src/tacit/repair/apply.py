"""What verdicts change in labels: the difference, before anything is written.

Three rules hold. The last answer of a person is hers. Nothing that a person said is overruled by a
model. A label that came with the data goes only where a person said that the class is absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError, nearest_name
from tacit.labels import number_cells
from tacit.repair.verdicts import STATES, Verdict, settle

Settling = Literal["skip", "last", "majority"]
"""Who wins where people disagree: nobody, the last one who answered, or more than half of them."""

ASKED_AS_UNKNOWN = ("queue", "audit")
Cell = tuple[str, str]


@dataclass(frozen=True)
class Change:
    """One cell that becomes another, and who says so.

    Attributes:
        image: The image's name.
        label: The class.
        old: The state in the labels.
        new: The state it gets.
        rule: Why: person, last, majority, or model.
        who: The person or persons; empty for a model.
        at: When it was said, if a person said it.
        posterior: What was thought of the cell when it was shown, or when it was accepted.
        model: Fingerprint of what thought so.
        stream: Why the cell was shown; empty for a model.
    """

    image: str
    label: str
    old: int
    new: int
    rule: str
    who: str = ""
    at: str = ""
    posterior: float | None = None
    model: str = ""
    stream: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON; the class by its usual name."""
        said = asdict(self)
        said["class"] = said.pop("label")
        return {key: said[key] for key in ("who", "at", "image", "class", *said) if key in said}


@dataclass(frozen=True)
class Conflict:
    """A cell of which two things are said.

    Attributes:
        image: The image's name.
        label: The class.
        kind: persons, who disagree; edited, where the labels were changed since the person was
            asked; or overruled, where a person unsays what came with the data.
        said: What is said by whom; the labels themselves are called "the labels".
        outcome: Which answer holds now; none, if the cell was left as it was.
    """

    image: str
    label: str
    kind: Literal["persons", "edited", "overruled"]
    said: Mapping[str, str]
    outcome: str = "none"


@dataclass
class Difference:
    """What verdicts change in labels, and what they could not.

    Attributes:
        changes: The cells that become others, image by image in the order of the labels.
        conflicts: Cells of which two things are said.
        confirmed: Cells that are said to be what they are already.
        unsure: Cells of which nobody was sure.
        gone_images: Images that the labels do not have, with their verdicts.
        gone_classes: Classes that the labels do not have, with their verdicts and the name that
            may be meant.
        expected_wrong: How many of a model's changes are probably wrong, by its own posteriors.
        most_wrong: How many may be wrong by the audit's bound.
        edited: Whether the labels are known to be others than the verdicts were given about.
    """

    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    confirmed: int = 0
    unsure: int = 0
    gone_images: Counter[str] = field(default_factory=Counter)
    gone_classes: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    expected_wrong: float = 0.0
    most_wrong: float = 0.0
    edited: bool = False

    def per_class(self) -> dict[str, dict[str, int]]:
        """Count what is added, removed and newly known to be absent, for each class it concerns."""
        counts: dict[str, dict[str, int]] = {}
        for change in self.changes:
            kind = "added" if change.new == 1 else "removed" if change.old == 1 else "absent"
            row = counts.setdefault(change.label, {"added": 0, "removed": 0, "absent": 0})
            row[kind] += 1
        return dict(sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0])))

    def summary(self) -> dict[str, Any]:
        """Return the counts, for people and for JSON."""
        per_class = self.per_class()
        total = {
            kind: sum(row[kind] for row in per_class.values())
            for kind in ("added", "removed", "absent")
        }
        model = sum(change.rule == "model" for change in self.changes)
        said: dict[str, Any] = {**total, "by_model": model, "confirmed": self.confirmed}
        said |= {"unsure": self.unsure, "edited": self.edited, "per_class": per_class}
        if model:
            said["expected_wrong"] = round(self.expected_wrong, 1)
            said["most_wrong"] = round(self.most_wrong, 1)
        said["conflicts"] = [asdict(conflict) for conflict in self.conflicts]
        said["gone_images"] = dict(self.gone_images)
        said["gone_classes"] = {
            name: {"verdicts": count, "nearest": near}
            for name, (count, near) in self.gone_classes.items()
        }
        return said

    def note_gone(self, labels: LabelsByName, cell: Cell, count: int) -> None:
        """Count what was said of an image or of a class that is not in the labels."""
        image, name = cell
        if image not in labels.rows:
            self.gone_images[image] += count
            return
        before = self.gone_classes.get(name, (0, None))[0]
        self.gone_classes[name] = (before + count, nearest_name(name, labels.columns))

    def apply_to(self, listing: Listing) -> Listing:
        """Return the labels with the changes made."""
        if not self.changes:
            return listing
        row_of = {image: row for row, image in enumerate(listing.images)}
        column_of = {name: column for column, name in enumerate(listing.classes)}
        rows = np.array([row_of[change.image] for change in self.changes], dtype=np.int64)
        columns = np.array([column_of[change.label] for change in self.changes], dtype=np.int64)
        states = np.array([change.new for change in self.changes], dtype=np.int8)
        numbers = number_cells(rows, columns, len(listing.classes))
        return replace(listing, labels=listing.labels.with_cells(numbers, states))


def compare(
    listing: Listing,
    verdicts: Iterable[Verdict],
    *,
    conflicts: Settling = "skip",
    edited: bool = False,
) -> Difference:
    """Return what verdicts change in labels.

    Args:
        listing: The labels as they are now; images and classes are matched by name.
        verdicts: All of them, in the order in which they were given.
        conflicts: Who wins where people disagree.
        edited: Whether the labels are others than those that the verdicts were given about.
    """
    if conflicts not in get_args(Settling):
        raise UsageError(f"--conflicts is {', '.join(get_args(Settling))}, not {conflicts}.")
    given = list(verdicts)
    place = {verdict.id: number for number, verdict in enumerate(given)}
    once: dict[str, set[int]] = {}
    for verdict in given:
        once.setdefault("\0".join(verdict.cell), set()).add(STATES.get(verdict.answer, 0))
    difference = Difference(edited=edited)
    labels = LabelsByName(listing)
    _check_images(labels, given)
    for cell, people in settle(given).items():
        if not labels.has(cell):
            difference.note_gone(labels, cell, len(people))
            continue
        people = dict(sorted(people.items(), key=lambda item: place[item[1].id]))
        answer = _settle_cell(difference, cell, people, conflicts)
        if answer is None:
            continue
        old, new = labels.state(cell), STATES[answer.answer]
        if old == new:
            difference.confirmed += 1
            continue
        was_ours = old in once["\0".join(cell)]
        said = labels.says(cell) and not was_ours
        if said and not _overrule(difference, cell, answer, old, conflicts):
            continue
        answers = {verdict.answer for verdict in people.values()} & STATES.keys()
        rule = "person" if len(answers) == 1 else conflicts
        difference.changes.append(_change(cell, old, new, rule, people, answer))
    difference.changes.sort(key=labels.order)
    return difference


def _check_images(labels: LabelsByName, given: Sequence[Verdict]) -> None:
    """Refuse verdicts of which none is about an image of the labels; nothing would be written."""
    if given and not any(verdict.image in labels.rows for verdict in given):
        raise DataError(
            f"None of {len(given):,} verdicts is about an image of '{labels.listing.name}': they "
            f"call one '{given[0].image}', and the labels call one '{labels.listing.images[0]}'. "
            f"Are they about other labels, or were these read from another folder (--images)?"
        )


class LabelsByName:
    """Looks cells of labels up by name."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.rows = {image: row for row, image in enumerate(listing.images)}
        self.columns = {name: column for column, name in enumerate(listing.classes)}

    def has(self, cell: Cell) -> bool:
        """Whether there are such an image and such a class."""
        return cell[0] in self.rows and cell[1] in self.columns

    def state(self, cell: Cell) -> int:
        """Return what the labels say of a cell."""
        return self._find(cell)[0]

    def says(self, cell: Cell) -> bool:
        """Whether the labels name the cell, rather than leave it to what is not mentioned."""
        state, listed = self._find(cell)
        return listed and state != 0

    def _find(self, cell: Cell) -> tuple[int, bool]:
        labels, row = self.listing.labels, self.rows[cell[0]]
        first, last = int(labels.starts[row]), int(labels.starts[row + 1])
        column = self.columns[cell[1]]
        at = first + int(np.searchsorted(labels.columns[first:last], column))
        listed = at < last and int(labels.columns[at]) == column
        return (int(labels.states[at]) if listed else labels.rest), listed

    def order(self, change: Change) -> tuple[int, int]:
        """Return where a change stands in the labels."""
        return self.rows[change.image], self.columns[change.label]


def _settle_cell(
    difference: Difference, cell: Cell, people: Mapping[str, Verdict], conflicts: Settling
) -> Verdict | None:
    """Return the answer that holds, or None where there is none; ``people`` by time."""
    sure = {who: verdict for who, verdict in people.items() if verdict.answer in STATES}
    if not sure:
        difference.unsure += 1
        return None
    answers = Counter(verdict.answer for verdict in sure.values())
    last = list(sure.values())[-1]
    if len(answers) == 1:
        return last
    holds: Verdict | None = None
    if conflicts == "last":
        holds = last
    elif conflicts == "majority":
        answer, votes = answers.most_common(1)[0]
        if 2 * votes > len(sure):
            holds = [verdict for verdict in sure.values() if verdict.answer == answer][-1]
    said = {who: verdict.answer for who, verdict in people.items()}
    outcome = holds.answer if holds else "none"
    difference.conflicts.append(Conflict(*cell, "persons", said, outcome))
    return holds


def _overrule(
    difference: Difference, cell: Cell, answer: Verdict, old: int, conflicts: Settling
) -> bool:
    """Say whether a person's answer takes the place of what the labels say themselves.

    A cell that was shown as unknown and is known by now was written by somebody since. Nobody can
    tell from here which of the two came last.
    """
    since = difference.edited and answer.stream in ASKED_AS_UNKNOWN
    wins = not since or conflicts != "skip"
    said = {"the labels": "present" if old == 1 else "absent", answer.who: answer.answer}
    outcome = answer.answer if wins else "none"
    kind: Literal["edited", "overruled"] = "edited" if since else "overruled"
    difference.conflicts.append(Conflict(*cell, kind, said, outcome))
    return wins


def _change(
    cell: Cell, old: int, new: int, rule: str, people: Mapping[str, Verdict], answer: Verdict
) -> Change:
    agreed = [who for who, verdict in people.items() if verdict.answer == answer.answer]
    return Change(
        *cell,
        old,
        new,
        rule,
        ", ".join(agreed),
        answer.at,
        answer.posterior,
        answer.model,
        answer.stream,
    )
