"""A data set's health: everything that is looked at, in order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tacit.check import KINDS, SEVERITIES
from tacit.check.beside import find_beside
from tacit.check.columns import find_unread
from tacit.check.completeness import describe_labels
from tacit.check.decode_all import look_at_all
from tacit.check.duplicates import find_duplicates
from tacit.check.findings import Findings
from tacit.check.labels import find_in_labels
from tacit.check.names import find_clashes, find_files, find_unlisted, list_images_below
from tacit.check.rows import Rows
from tacit.check.training_splits import make_training_splits
from tacit.config import DataConfig
from tacit.data.formats import recognise
from tacit.data.formats.shared.assemble import FOLDERS
from tacit.data.knowledge.options import CompletedListing, SideOptions
from tacit.data.listing import Listing
from tacit.data.load import complete_listing, divide_options, read_told, write_flags
from tacit.errors import DataError, unknown_name
from tacit.labels import SparseLabels

FIRST = 5  # findings of a kind that a summary shows
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """What a check brought.

    Attributes:
        format: The format the labels are in.
        whole: The labels as training reads them, with what follows from what lies beside them.
        written: The labels as they are written, as far as they could be read.
        rows: The rows of a table.
        findings: What is wrong.
        looked_at: How many images were decoded.
        made: The split of each image in training, if training itself makes any.
    """

    format: str
    whole: CompletedListing
    written: Listing
    rows: Rows | None
    findings: Findings
    looked_at: int
    made: list[str]

    @property
    def listing(self) -> Listing:
        """The labels as training reads them."""
        return self.whole.listing

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
            "notes": list(listing.notes),
            "labels": describe_labels(listing),
            "decoded": self.looked_at,
            **{f"{severity}s": self.findings.count(severity) for severity in SEVERITIES},
            # Images that look alike may all stay where training keeps them together.
            "mend": self.findings.write_mending(("near_duplicate",) if self.made else ()),
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
    decode: bool = True,
    jobs: int | None = None,
    without: Collection[str] = (),
    progress: Progress | None = None,
    training: DataConfig | None = None,
    **options: Any,
) -> Report:
    """Look for whatever is wrong with a data set.

    Args:
        path: Labels in any known format.
        decode: Whether images are decoded.
        jobs: How many processes decode; as many as there are cores if None.
        without: Kinds that are not told.
        progress: Called with how many images were read, of how many.
        training: What training sets aside; its defaults if None.
        options: What training is told of the labels, as ``data.options``.
    """
    for kind in without:
        if kind not in KINDS:
            raise unknown_name("kind of finding", kind, KINDS)
    options = {name: value for name, value in options.items() if value is not None}
    told, beside = divide_options(options)
    name = told.get("format") or recognise(path)
    data = shlex.join([str(path), *write_flags(options)])
    findings = Findings(data, path.parent, without, _free_path(path))
    written, rows = _read(path, {**told, "format": name}, findings)
    whole = _complete(written, path, told, beside, findings)
    listing = whole.listing
    findings.root = listing.root
    if rows is not None:
        find_unread(rows, listing.classes, {str(beside.groups)}, findings)
    if listing.classes:
        find_in_labels(listing, findings)
        find_beside(whole, findings)
    made = make_training_splits(whole, training or DataConfig())
    present = find_files(listing.root, listing.images, findings)
    find_clashes(listing.images, findings)
    if present:
        find_unlisted(listing.root, listing.images, findings)
    if decode:
        _look(listing, present, jobs, findings, progress, made)
    looked_at = len(present) if decode else 0
    return Report(name, whole, written, rows, findings, looked_at, made)


def _free_path(path: Path) -> str:
    """Return where cleaned labels may be written: a file that is not there yet."""
    suffix = path.suffix.lower() if path.is_file() else ".csv"
    suffix = suffix if suffix in (".tsv", ".parquet", ".arrow", ".feather", ".jsonl") else ".csv"
    names = (f"cleaned/labels{number or ''}{suffix}" for number in ("", *range(2, 1000)))
    return next((name for name in names if not Path(name).exists()), f"cleaned/again{suffix}")


def _read(path: Path, told: Mapping[str, Any], findings: Findings) -> tuple[Listing, Rows | None]:
    """Read the labels; where they are refused, what can be read of them, or at least images."""
    images = told.get("images")
    is_table = told["format"] == "table"
    try:
        listing = read_told(path, told)
    except DataError as error:
        findings.add("unreadable", {"why": str(error).rstrip(".")})
        if not path.exists() or not is_table:
            return _list_images(path, images), None
        try:
            rows = Rows(path, told)
            rows.find_repeated(findings)
            return rows.salvage(told.get("absent"), findings), rows
        except DataError:
            return _list_images(path, images), None
    if not is_table:
        return listing, None
    rows = Rows(path, told)
    if listing.repeated:
        rows.find_repeated(findings)
    return listing, rows


def _complete(
    listing: Listing,
    path: Path,
    told: Mapping[str, Any],
    beside: SideOptions,
    findings: Findings,
) -> CompletedListing:
    """Add what follows from what lies beside the labels."""
    try:
        return complete_listing(listing, path, told, beside)
    except DataError as error:
        findings.add("unreadable", {"why": str(error).rstrip(".")})
        return CompletedListing(listing, None)


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
    made: list[str],
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
    find_duplicates(listing, rows, looks, findings, made)
