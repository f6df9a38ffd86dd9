"""The repair in the demonstration: a reviewer who knows the truth answers some questions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tacit.data.formats import read_listing, write_listing
from tacit.data.listing import Listing
from tacit.errors import UsageError
from tacit.experiments.demo_data import DrawnData
from tacit.files import write_text
from tacit.labels import SparseLabels
from tacit.repair.accept import accept_suspects, bound_by_audit
from tacit.repair.apply import Difference, compare
from tacit.repair.finding import find_suspects, write_found
from tacit.repair.opening import open_review
from tacit.repair.suspects_file import SuspectsFile
from tacit.repair.verdicts import Verdict
from tacit.runs.folder import Run

AUDIT_SHARE = 0.5
# From how large a posterior on the model is believed: the smallest that the audit bears out.
ABOVE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
REVIEWER = "the truth"


@dataclass(frozen=True)
class Repair:
    """What became of the labels.

    Attributes:
        labels: The repaired table.
        given: Labels that it began with.
        missing: Labels that were really missing.
        expected: How many were thought to be missing, before anybody looked.
        low: The lower end of the interval of that.
        high: The upper end.
        looks: Questions that were answered.
        said: What the review says in the end.
        confirmed: Labels that the reviewer added.
        accepted: Labels that were taken from the model.
        above: From which posterior on; None if the audit bore none out.
        right: Added labels that are really there.
    """

    labels: Path
    given: int
    missing: int
    expected: float
    low: float
    high: float
    looks: int
    said: str
    confirmed: int
    accepted: int
    above: float | None
    right: int

    @property
    def added(self) -> int:
        """Labels that the repaired table has more."""
        return self.confirmed + self.accepted

    @property
    def sentence(self) -> str:
        """Say it in short."""
        taken = (
            f"the audit bears out {self.accepted:,} suspects from {self.above:.2f} on"
            if self.above is not None
            else "the audit bears out no suspects unseen"
        )
        return (
            f"{self.looks:,} looks added {self.confirmed:,} labels, {taken}; of {self.added:,} "
            f"added labels {self.right:,} are right, {self.missing:,} were missing"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {**vars(self), "labels": self.labels.name, "added": self.added}


def repair_labels(run: Run, drawn: DrawnData, out: Path, looks: int) -> Repair:
    """Find suspects of a run, answer some questions about them, and write the repaired table."""
    found = find_suspects([run])
    path = run.repair / run.suspects_file.name
    about = write_found(found, path)
    with open_review(run.folder, audit_share=AUDIT_SHARE) as review:
        rows = {name: row for row, name in enumerate(review.source.images)}
        for _ in range(looks):
            questions = review.next(REVIEWER)
            if not questions:
                break
            asked = questions[0]
            there = drawn.truth[rows[asked.image]][asked.column] == 1
            review.answer(REVIEWER, asked, "present" if there else "absent")
        said, verdicts = review.sentence(), list(review.store.verdicts())
    listing = read_listing(drawn.labels)
    difference = compare(listing, verdicts)
    confirmed = sum(change.new == 1 for change in difference.changes)
    above = _accept(difference, listing, SuspectsFile(path), verdicts)
    repaired = difference.apply_to(listing)
    out.unlink(missing_ok=True)
    write_listing(repaired, out, "table", layout="columns")
    changes = (json.dumps(change.to_dict()) + "\n" for change in difference.changes)
    write_text(out.with_name("changes.jsonl"), "".join(changes))
    added = sum(change.new == 1 for change in difference.changes)
    low, high = about["interval"]
    return Repair(
        out,
        given=found.source.labels.count(1),
        missing=drawn.truth.count(1) - found.source.labels.count(1),
        expected=about["expected"],
        low=low,
        high=high,
        looks=len(verdicts),
        said=said,
        confirmed=confirmed,
        accepted=added - confirmed,
        above=above,
        right=_count_right(repaired, listing, drawn.truth, rows),
    )


def _accept(
    difference: Difference, listing: Listing, suspects: SuspectsFile, verdicts: list[Verdict]
) -> float | None:
    bound = bound_by_audit(verdicts)
    for above in ABOVE:
        try:
            accept_suspects(difference, listing, suspects, verdicts, above, bound)
        except UsageError:  # the audit does not bear it out
            continue
        return above
    return None


def _count_right(
    repaired: Listing, before: Listing, truth: SparseLabels, rows: dict[str, int]
) -> int:
    """Count labels that were added and are there."""
    right = 0
    for position, name in enumerate(repaired.images):
        if name in rows:
            new = (repaired.labels[position] == 1) & (before.labels[position] != 1)
            right += int(np.count_nonzero(new & (truth[rows[name]] == 1)))
    return right
