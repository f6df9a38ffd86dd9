"""Writing labels without what a check found, and the groups that training keeps together."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tacit.check.clean import clean_listing
from tacit.check.clean_table import write_clean_table
from tacit.check.run import Report
from tacit.check.training_splits import join_groups, write_groups
from tacit.data.formats import write_listing
from tacit.data.listing import Listing
from tacit.data.load import write_flags
from tacit.errors import DataError

ALIKE = ("duplicate", "near_duplicate")


def write_clean(
    report: Report, path: Path, kinds: Collection[str], options: Mapping[str, Any]
) -> list[str]:
    """Write labels without errors, and return what a person should know, a sentence each.

    Args:
        report: What was found.
        path: A file that is not there yet.
        kinds: Further kinds to act upon.
        options: What training was told of the labels.
    """
    if not report.written.classes:
        raise DataError("Nothing of the labels could be read, so there is nothing to write.")
    cleaned = clean_listing(report.written, report.findings, kinds)
    listing = cleaned.listing
    if not len(listing):
        raise DataError("Nothing is left of the labels: every image has an error.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if report.rows is not None:
        said = [f"note: {note}" for note in write_clean_table(report.rows, cleaned, path)]
    else:
        said = [f"note: {note}" for note in write_listing(listing, path)]
    gone = len(report.written) - len(listing)
    joined = f", {cleaned.joined:,} of them joined to an equal one" if cleaned.joined else ""
    images = "1 image" if gone == 1 else f"{gone:,} images"
    said.append(f"{path} is written: {images} less{joined}, {len(listing.classes)} classes.")
    further = {**options, "images": str(report.listing.root)}
    if "classes" in further:
        further["classes"] = list(listing.classes)
    if report.rows is None:
        further = {name: value for name, value in further.items() if name in ("images", "absent")}
    groups = _write_groups(report, listing, path, "catalogue" in options)
    if groups is not None:
        further["groups"] = str(groups)
        said.append(f"{groups} is written: training keeps images that look alike together.")
    flags = shlex.join(["--data", str(path), *write_flags(further)])
    said.append(f"Train on it with: tacit train {flags}")
    return said


def _write_groups(report: Report, listing: Listing, path: Path, is_named: bool) -> Path | None:
    """Write the groups of images that look alike, where training divides the images itself.

    Groups whose names mean something to a catalogue are left alone.
    """
    if not report.made or is_named:
        return None
    left = set(listing.images)
    pairs = [(f.said["image"], f.said["other"]) for kind in ALIKE for f in report.findings.of(kind)]
    pairs = [pair for pair in pairs if left.issuperset(pair)]
    if not pairs:
        return None
    side, images = report.whole.side, report.listing.images
    numbers = [] if side is None or side.groups is None else side.groups.tolist()
    given = dict(zip(images, numbers, strict=False))
    groups = path.with_name(f"{path.stem}-groups.csv")
    write_groups(join_groups(listing, pairs, given), groups)
    return groups
