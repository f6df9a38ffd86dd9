"""A prepared data set: a folder that says everything about its images but the pixels.

``manifest.parquet`` lists images, their parts and what is known about them; ``truth.parquet``,
which no training reads, what is true; ``boxes.parquet`` where objects are, if known;
``classes.txt`` the classes in order; ``data.json`` where it all comes from. Further draws of
observed labels lie in ``observed/``.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tacit.data.listing import Boxes, Listing
from tacit.errors import DataError, UsageError, unknown_name
from tacit.files import read_json, read_text, write_atomically, write_text
from tacit.labels import Absence, SparseLabels

FORMAT = 1
RECORD, MANIFEST, TRUTH, CLASSES = "data.json", "manifest.parquet", "truth.parquet", "classes.txt"
BOXES, OBSERVED = "boxes.parquet", "observed"
CORNERS = ("left", "top", "right", "bottom")


def write_prepared(folder: Path, listing: Listing, record: dict[str, Any]) -> dict[str, Any]:
    """Write a listing; ``record`` says what a person wants to know about it later.

    The record comes last, so that a folder with a record is whole.

    Returns:
        The record as it was written, with counts and the fingerprint of the labels.
    """
    if (folder / RECORD).exists():
        raise DataError(f"There is a prepared data set in {folder} already; choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in listing.classes:
        if "\n" in name or "\r" in name or name != name.strip() or not name:
            raise DataError(f"The class name {name!r} cannot stand on a line; rename it.")
    write_text(folder / CLASSES, "".join(f"{name}\n" for name in listing.classes))
    _write_table(folder / MANIFEST, listing, listing.labels)
    if listing.truth is not None:
        _write_table(folder / TRUTH, listing, listing.truth)
    if listing.boxes is not None:
        _write_boxes(folder / BOXES, listing.boxes)
    written = {
        "format": FORMAT,
        "name": listing.name,
        "root": os.path.relpath(listing.root.resolve(), folder.resolve()),
        "counts": _counts(listing),
        "fingerprint": fingerprint(listing),
        "notes": list(listing.notes),
        **record,
    }
    write_text(folder / RECORD, json.dumps(written, indent=2) + "\n")
    return written


def write_observed(folder: Path, name: str, listing: Listing, record: dict[str, Any]) -> Path:
    """Write other observed labels of a prepared data set beside those it came with."""
    if name != Path(name).name or name.startswith(".") or not name.isprintable():
        raise UsageError(f"'{name}' is no name for a draw; leave out slashes and a leading dot.")
    target = folder / OBSERVED / f"{name}.parquet"
    if target.exists():
        raise DataError(f"There are observed labels at {target} already; choose another name.")
    target.parent.mkdir(exist_ok=True)
    _write_table(target, listing, listing.labels)
    write_text(target.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    return target


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds a prepared data set."""
    return (folder / RECORD).is_file() and (folder / MANIFEST).is_file()


def read_prepared(
    folder: Path, *, root: Path | None = None, observed: str | None = None
) -> Listing:
    """Read a prepared data set.

    Args:
        folder: Where it is.
        root: The folder of the pictures, if they were moved.
        observed: Name of other observed labels in its ``observed`` folder.
    """
    record = read_record(folder)
    classes = tuple(read_text(folder / CLASSES).splitlines())
    if len(set(classes)) != len(classes):
        raise DataError(f"{folder / CLASSES} names a class twice; prepare the data set anew.")
    manifest = folder / MANIFEST
    if observed is not None:
        manifest = folder / OBSERVED / f"{observed}.parquet"
        if not manifest.is_file():
            known = [path.stem for path in (folder / OBSERVED).glob("*.parquet")]
            raise unknown_name("set of observed labels", observed, known)
    images, parts, labels = _read_table(manifest, len(classes))
    truth = None
    if (folder / TRUTH).is_file():
        named, _, truth = _read_table(folder / TRUTH, len(classes))
        if named != images:
            raise DataError(f"{folder}: {TRUTH} and {manifest.name} list other images.")
    pictures = root or Path(os.path.normpath(folder / str(record["root"])))
    boxes = _read_boxes(folder / BOXES) if (folder / BOXES).is_file() else None
    return Listing(
        str(record["name"]), pictures, images, classes, labels, parts, boxes, truth=truth
    )


def read_record(folder: Path) -> dict[str, Any]:
    """Read what is written about a prepared data set."""
    path = folder / RECORD
    if not path.is_file():
        raise DataError(f"There is no prepared data set in {folder} ({RECORD} is missing).")
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise DataError(f"{path} has format {found}; this tacit reads {FORMAT}.")
    for key in ("name", "root"):
        if not isinstance(record.get(key), str):
            raise DataError(f"{path} does not say its '{key}'; prepare the data set anew.")
    return record


def fingerprint(listing: Listing) -> str:
    """A short hash of images, classes, parts, labels and truth."""
    digest = hashlib.sha256()
    for text in (*listing.classes, "", *listing.images, "", *listing.parts):
        digest.update(text.encode() + b"\0")
    digest.update(listing.labels.to_bytes())
    if listing.truth is not None:
        digest.update(listing.truth.to_bytes())
    return digest.hexdigest()[:16]


def _counts(listing: Listing) -> dict[str, Any]:
    counts: dict[str, Any] = {"images": len(listing), "classes": len(listing.classes)}
    counts["known positives"] = listing.labels.count(1)
    counts["known negatives"] = listing.labels.count(-1)
    parts = np.asarray(listing.parts, dtype=object)
    for part in listing.part_names():
        rows = np.flatnonzero(parts == part)
        counts[part] = {"images": len(rows)}
        if listing.truth is not None:
            positives = listing.truth.take(rows).per_image(1)
            counts[part]["positives per image"] = round(float(positives.mean()), 2)
            counts[part]["without a positive"] = int((positives == 0).sum())
    return counts


def _write_table(path: Path, listing: Listing, labels: SparseLabels) -> None:
    columns = {
        "image": pa.array(listing.images, pa.string()),
        "part": pa.array(listing.parts or [""] * len(listing), pa.string()),
    }
    for name, state in (("positives", 1), ("negatives", -1), ("unknown", 0)):
        if state != labels.rest:
            columns[name] = _lists(labels, state)
    # Absence is part of the file: the same lists mean other labels under another one.
    table = pa.table(columns).replace_schema_metadata({"tacit.rest": str(labels.rest)})
    write_atomically(path, lambda partial: parquet.write_table(table, partial, compression="zstd"))


def _write_boxes(path: Path, boxes: Boxes) -> None:
    columns = {"row": boxes.rows, "label": boxes.labels}
    columns |= {corner: boxes.corners[:, side] for side, corner in enumerate(CORNERS)}
    table = pa.table(columns)
    write_atomically(path, lambda partial: parquet.write_table(table, partial, compression="zstd"))


def _read_boxes(path: Path) -> Boxes:
    try:
        table = parquet.read_table(path)
        corners = np.stack([table[corner].to_numpy() for corner in CORNERS], axis=1)
        return Boxes(table["row"].to_numpy(), table["label"].to_numpy(), corners)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as boxes: {first}") from error


def _lists(labels: SparseLabels, state: int) -> pa.Array:
    hits = labels.states == state
    ends = np.concatenate([[0], np.cumsum(hits)])[labels.starts]
    return pa.LargeListArray.from_arrays(ends, pa.array(labels.columns[hits]))


def _read_table(path: Path, classes: int) -> tuple[list[str], list[str], SparseLabels]:
    try:
        table = parquet.read_table(path)
        rest: Absence = -1 if table.schema.metadata[b"tacit.rest"] == b"-1" else 0
        images, parts = table["image"].to_pylist(), table["part"].to_pylist()
        if not all(isinstance(text, str) for text in (*images, *parts)):
            raise ValueError("an image or its part has no name")
        if len(set(images)) != len(images):
            raise ValueError("an image has two rows")
        cells = []
        for name, state in (("positives", 1), ("negatives", -1), ("unknown", 0)):
            if name in table.column_names:
                lists = table[name].combine_chunks()
                counts = np.diff(lists.offsets.to_numpy())
                columns = lists.flatten().to_numpy()
                rows = np.repeat(np.arange(len(images)), counts)
                cells.append((rows, columns, np.full(len(rows), state, dtype=np.int8)))
        at, which, states = (np.concatenate(part) for part in zip(*cells, strict=True))
        if len(which) and not 0 <= int(which.min()) <= int(which.max()) < classes:
            raise ValueError(f"a class number is outside 0 to {classes - 1}")
        labels = SparseLabels.from_cells(at, which, states, (len(images), classes), rest)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as a manifest: {first}") from error
    return images, [] if not any(parts) else parts, labels
