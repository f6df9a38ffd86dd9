"""A data set's health: everything that is looked at, in order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tacit.check import KINDS, SEVERITIES
from tacit.check.decode_all import look_at_all
from tacit.check.duplicates import find_duplicates
from tacit.check.findings import Findings
from tacit.check.labels import find_in_labels
from tacit.check.names import find_clashes, find_files, find_unlisted, list_images_below
from tacit.check.rows import Rows
from tacit.data.formats import read_listing, recognise
from tacit.data.formats.shared.assemble import FOLDERS
from tacit.data.listing import Absent, Listing
from tacit.data.load import write_flags
from tacit.errors import DataError, unknown_name
from tacit.labels import SparseLabels

FIRST = 5  # findings of a kind that a summary shows
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """What a check brought.

    Attributes:
        format: The format the labels are in.
        listing: The labels, as far as they could be read.
        findings: What is wrong.
        looked_at: How many images were decoded.
    """

    format: str
    listing: Listing
    findings: Findings
    looked_at: int

    def status(self, strict: bool = False) -> int:
        """Return 1 if there are errors, or, if the check is strict, warnings."""
        count = self.findings.count
        return int(bool(count("error") or strict and count("warning")))

    def summary(self) -> dict[str, Any]:
        """Return counts and the first findings of each kind."""
        listing, kinds = self.listing, self.findings.kinds()
        splits = zip(listing.split_names(), map(len, listing.rows_by_split()), strict=False)
        return {
            "format": self.format,
            "images": len(listing),
            "classes": len(listing.classes),
            "splits": dict(splits),
            "decoded": self.looked_at,
            **{f"{severity}s": self.findings.count(severity) for severity in SEVERITIES},
            "kinds": {
                kind: {
                    "severity": KINDS[kind].severity,
                    "count": len(found),
                    "first": [finding.describe_all() for finding in found[:FIRST]],
                }
                for kind, found in kinds.items()
            },
        }


def check(
    path: Path,
    *,
    format: str | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    decode: bool = True,
    jobs: int | None = None,
    without: Collection[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Look for whatever is wrong with a data set.

    Args:
        path: Labels in any known format.
        format: The format's name; found out if None.
        images: The folder of the images, where the format does not say it.
        absent: What it means that a class is not mentioned.
        decode: Whether images are decoded.
        jobs: How many processes decode; as many as there are cores if None.
        without: Kinds that are not told.
        progress: Called with how many images were read, of how many.
        options: Further options of the format's reader.
    """
    for kind in without:
        if kind not in KINDS:
            raise unknown_name("kind of finding", kind, KINDS)
    name = format or recognise(path)
    given = {"format": format, "images": images, "absent": absent, **options}
    said = write_flags({name: value for name, value in given.items() if value is not None})
    findings = Findings(shlex.join([str(path), *said]), path.parent, without)
    listing = _read(path, name, images, absent, options, findings)
    findings.root = listing.root
    if listing.classes:
        find_in_labels(listing, findings)
    rows = find_files(listing.root, listing.images, findings)
    find_clashes(listing.images, findings)
    if rows:
        find_unlisted(listing.root, listing.images, findings)
    if decode:
        _look(listing, rows, jobs, findings, progress)
    return Report(name, listing, findings, len(rows) if decode else 0)


def _read(
    path: Path,
    name: str,
    images: Path | None,
    absent: Absent | None,
    options: dict[str, Any],
    findings: Findings,
) -> Listing:
    """Read the labels; where they are refused, what can be read of them, or at least images."""
    try:
        listing = read_listing(path, format=name, images=images, absent=absent, **options)
    except DataError as error:
        findings.add("unreadable", {"why": str(error).rstrip(".")})
        if not path.exists() or name not in ("table",):
            return _list_images(path, images)
        try:
            rows = Rows(path, images)
            rows.find_repeated(findings)
            return rows.salvage(absent, findings)
        except DataError:
            return _list_images(path, images)
    if name == "table" and listing.repeated:
        Rows(path, images).find_repeated(findings)
    return listing


def _list_images(path: Path, images: Path | None) -> Listing:
    """Return a listing of all images that lie where one would look for them, without labels."""
    folders = [path.parent / folder for folder in FOLDERS if folder]
    if path.is_dir():
        folders = [path]
    root = images or next((folder for folder in folders if folder.is_dir()), None)
    names = list_images_below(root) if root else []
    labels = SparseLabels.of(np.zeros((len(names), 0), dtype=np.int8))
    return Listing(path.stem, root or path.parent, names, (), labels)


def _look(
    listing: Listing,
    rows: list[int],
    jobs: int | None,
    findings: Findings,
    progress: Progress | None,
) -> None:
    """Decode the images, and report what they are and which are equal."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, len(rows))

    looks = look_at_all([str(listing.root / listing.images[row]) for row in rows], jobs, advance)
    for row, look in zip(rows, looks, strict=True):
        for kind, said in look.found:
            findings.add(kind, {"image": listing.images[row], **said})
    find_duplicates(listing, rows, looks, findings)
