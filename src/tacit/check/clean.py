"""Labels without what a check found, to be written beside the old ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacit.check import KINDS, MEND
from tacit.check.findings import Finding, Findings
from tacit.data.knowledge.equal_files import join_rows
from tacit.data.listing import Listing
from tacit.errors import UsageError, unknown_name
from tacit.labels import SparseLabels

# The image of such a finding stays; the others' go.
STAYS = frozenset(("conflict", "two_splits", "listed_twice", "set_apart"))
MERGED = frozenset(("class_variant", "class_typo", "unlisted_class"))
SAME_FILE = frozenset(("duplicate", "duplicates_disagree"))


@dataclass(frozen=True)
class Cleaned:
    """What is left.

    Attributes:
        listing: The labels without what is wrong.
        meaning: The class that each old name stands for; those that are gone are not in it.
        joined: How many images gave their labels to another one that is the same file.
    """

    listing: Listing
    meaning: Mapping[str, str]
    joined: int


def check_mendable(kinds: Collection[str]) -> None:
    """Refuse kinds that are mended otherwise, or anyhow."""
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of finding", kind, KINDS)
        row = KINDS[kind]
        if row.severity == "error":
            raise UsageError(f"{kind} is an error; errors are mended without being asked for.")
        if row.fix != MEND:
            raise UsageError(f"{kind} is not mended in the labels, but by: {row.fix}")


def clean_listing(listing: Listing, findings: Findings, kinds: Collection[str] = ()) -> Cleaned:
    """Return the labels without images and classes that have errors.

    Of equal files within a split one stays, with what is known of any of them; a class that one
    shows and another does not becomes unknown.

    Args:
        listing: The labels that were checked.
        findings: What was found.
        kinds: Further kinds to act upon.
    """
    found = [f for f in findings.all if f.severity == "error" or f.kind in kinds]
    gone = {f.said["image"] for f in found if "image" in f.said and f.kind not in STAYS}
    rows = np.array([r for r, image in enumerate(listing.images) if image not in gone], np.int64)
    target = _find_targets(listing, found)
    joined = int((target != np.arange(len(target))).sum())
    labels = join_rows(listing.labels, target, len(listing))[0] if joined else listing.labels
    place, classes = _columns(listing, found)
    labels = _move_columns(labels.take(rows), place, len(classes))
    splits = [listing.splits[row] for row in rows] if listing.splits else ()
    if any(finding.kind == "odd_splits" for finding in found):
        splits = ()
    images = [listing.images[row] for row in rows]
    changed = {"images": images, "classes": classes, "labels": labels, "splits": splits}
    cleaned = replace(listing, **changed, boxes=None, truth=None)  # type: ignore[arg-type]
    goals = {listing.classes[at]: classes[goal] for at, goal in place.items() if goal is not None}
    return Cleaned(cleaned, goals, joined)


def _find_targets(listing: Listing, found: list[Finding]) -> NDArray[np.int64]:
    """Return for each row the row that gets its labels: of equal files, the one that stays."""
    place = {image: row for row, image in enumerate(listing.images)}
    target = np.arange(len(listing))
    for finding in found:
        if finding.kind in SAME_FILE:
            row, kept = (place.get(finding.said[which], -1) for which in ("image", "other"))
            same = not listing.splits or listing.splits[row] == listing.splits[kept]
            if min(row, kept) >= 0 and same:  # labels of other splits are not mixed in
                target[row] = kept
    return target


def _columns(
    listing: Listing, found: list[Finding]
) -> tuple[dict[int, int | None], tuple[str, ...]]:
    """Return where each class goes, None for nowhere, and the classes that are left."""
    of_class = [finding for finding in found if "class" in finding.said]
    merged = _merge_classes(of_class)
    about_images = {"conflict", "duplicates_disagree"}
    gone = {f.said["class"] for f in of_class if f.kind not in MERGED | about_images}
    kept = tuple(name for name in listing.classes if name not in merged and name not in gone)
    number = {name: at for at, name in enumerate(kept)}

    return {at: number.get(_end(name, merged)) for at, name in enumerate(listing.classes)}, kept


def _merge_classes(found: list[Finding]) -> dict[str, str]:
    """Return which class is meant by which, errors first, and never in a circle."""
    merged: dict[str, str] = {}
    for finding in sorted(found, key=lambda finding: finding.severity != "error"):
        name, other = finding.said["class"], finding.said.get("other")
        if finding.kind in MERGED and other and _end(other, merged) != name:
            merged.setdefault(name, other)
    return merged


def _end(name: str, merged: dict[str, str]) -> str:
    """Return the class that is meant in the end: a variant may be of another's slip."""
    while name in merged:
        name = merged[name]
    return name


def _move_columns(labels: SparseLabels, place: dict[int, int | None], classes: int) -> SparseLabels:
    """Put columns elsewhere; where two become one, present counts more than unknown or absent."""
    goals = np.array([-1 if goal is None else goal for goal in place.values()], dtype=np.int64)
    columns, rows, states = goals[labels.columns], labels.row_of_cells(), labels.states
    order = np.lexsort((-states, columns, rows))
    order = order[columns[order] >= 0]
    rows, columns, states = rows[order], columns[order], states[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    shape = (len(labels), classes)
    return SparseLabels.from_cells(rows[first], columns[first], states[first], shape, labels.rest)
