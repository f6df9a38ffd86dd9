"""Verdicts from wherever they are: a store, or a plain file that anybody can write."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tacit.config import DataConfig
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError
from tacit.files import read_text
from tacit.labels import fingerprint
from tacit.names import split_lines
from tacit.repair.store import Store
from tacit.repair.verdicts import Verdict
from tacit.runs.folder import Run

NEEDED = ("image", "label", "answer")
NUMBERS = ("probability", "posterior")
KNOWN = tuple(field.name for field in fields(Verdict))
STORES = (".sqlite", ".sqlite3", ".db")
PLAIN = (".jsonl", ".ndjson", ".csv")


@dataclass(frozen=True)
class Given:
    """Verdicts, and what they are about.

    Attributes:
        verdicts: In the order in which they were given.
        data: Fingerprint of the labels that they are about, where it is known.
    """

    verdicts: list[Verdict]
    data: str | None = None


def find_store(run: Run) -> Path:
    """Return the file with the verdicts about a run."""
    there = run.repair.iterdir() if run.repair.is_dir() else ()
    found = [path for path in there if path.suffix in STORES]
    if len(found) != 1:
        raise DataError(f"The run in {run.folder} has {len(found)} reviews; name the file of one.")
    return found[0]


def is_about(data: str, listing: Listing, config: DataConfig) -> bool:
    """Whether a fingerprint is that of labels, of a split of them, or of what is trained on.

    Args:
        data: The fingerprint.
        listing: The labels as they are now.
        config: How they are read for training.
    """
    if data == fingerprint(listing.classes, listing.images, listing.labels):
        return True
    for rows in listing.rows_by_split() if listing.splits else ():
        images = [listing.images[row] for row in rows]
        if data == fingerprint(listing.classes, images, listing.labels.take(rows)):
            return True
    from tacit.data.splits import load_splits

    try:
        return data == load_splits(config).train.fingerprint()
    except DataError:  # too few images to set some aside, or splits of other names
        return False


def open_verdicts(path: Path) -> Given:
    """Read the verdicts of a review, or of a plain file."""
    if not path.exists():
        raise DataError(f"There is nothing at {path}.")
    if path.suffix.lower() not in STORES:
        return Given(read_verdicts(path))
    store = Store(path)
    return Given(list(store.verdicts()), store.data)


def read_verdicts(path: Path) -> list[Verdict]:
    """Read verdicts from JSON lines or CSV, in the order in which they stand.

    A row says ``image``, ``class`` and ``answer``, and may say whatever else a `Verdict` has.
    Without an ``id`` its number stands for one; without a ``stream`` it was said unasked.
    """
    if path.suffix.lower() not in PLAIN:
        raise UsageError(
            f"{path} holds no verdicts; they are {', '.join((*STORES, *PLAIN))} files."
        )
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    found: dict[str, Verdict] = {}
    for number, row in rows:
        verdict = _make(path, number, row)
        found.setdefault(verdict.id, verdict)  # sent twice, it counts once
    return list(found.values())


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(split_lines(read_text(path)), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}, is no JSON: {error}.") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}, is no object with a verdict.")
            yield number, row


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(read_text(path), newline="")), 2):
            if None in row or None in row.values():
                raise DataError(
                    f"{path}, row {number}, has another number of cells than the first."
                )
            yield number, {key: cell for key, cell in row.items() if cell != ""}
    except csv.Error as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _make(path: Path, number: int, row: dict[str, Any]) -> Verdict:
    row = {"label": row["class"], **row} if "class" in row else row
    missing = [name if name != "label" else "class" for name in NEEDED if not row.get(name)]
    if missing:
        raise DataError(f"{path}, line {number}, says no {missing[0]}; a verdict has one.")
    said: dict[str, Any] = {"id": str(number), "who": "somebody", "at": "", "stream": "added"}
    for name in KNOWN:
        value = row.get(name)
        if value is not None:
            said[name] = _number(path, number, value) if name in NUMBERS else str(value)
    try:
        return Verdict(**said)
    except DataError as error:
        raise DataError(f"{path}, line {number}: {error}") from error


def _number(path: Path, number: int, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}, line {number}: {str(value)[:40]!r} is no number.") from error


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write verdicts as JSON lines, which `read_verdicts` reads again."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(verdict.to_dict())}\n" for verdict in verdicts)
