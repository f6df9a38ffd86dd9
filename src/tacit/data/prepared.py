"""A prepared data set: a folder that says everything about its images but the pixels.

``manifest.parquet`` lists images, their splits and what is known about them; ``truth.parquet``,
which no training reads, what is true; ``boxes.parquet`` where objects are, if known;
``classes.txt`` the classes in order; ``data.json`` where it all comes from, and a digest of each
of these files, so that they are read together or not at all. Further draws of observed labels lie
in ``observed/``.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tacit.data.arrow_files import read_parquet
from tacit.data.formats.shared.writing import refuse_odd_names
from tacit.data.listing import Boxes, Listing
from tacit.errors import DataError, unknown_name
from tacit.files import read_json, write_atomically, write_text
from tacit.labels import Absence, SparseLabels
from tacit.names import check_file_name, join_lines, read_lines

FORMAT = 1
RECORD, MANIFEST, TRUTH, CLASSES = "data.json", "manifest.parquet", "truth.parquet", "classes.txt"
BOXES, OBSERVED = "boxes.parquet", "observed"
FILES = (CLASSES, MANIFEST, TRUTH, BOXES)
CORNERS = ("left", "top", "right", "bottom")


def write_prepared(folder: Path, listing: Listing, record: dict[str, Any]) -> dict[str, Any]:
    """Write a listing; ``record`` says what is worth knowing about it later.

    The record comes last, so that a folder with a record is whole.

    Returns:
        The record as it was written, with counts and the fingerprint of the labels.
    """
    if (folder / RECORD).exists():
        raise DataError(f"There is a prepared data set in {folder} already; choose another --out.")
    refuse_odd_names(listing)
    lines = join_lines(listing.classes)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (TRUTH, BOXES):  # of an attempt that was broken off
        (folder / name).unlink(missing_ok=True)
    write_text(folder / CLASSES, lines)
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
        "digests": {name: _digest(folder / name) for name in FILES if (folder / name).exists()},
        "notes": list(listing.notes),
        **record,
    }
    write_text(folder / RECORD, json.dumps(written, indent=2) + "\n")
    return written


def write_observed(folder: Path, name: str, listing: Listing, record: dict[str, Any]) -> Path:
    """Write other observed labels of a prepared data set beside those it came with."""
    target = folder / OBSERVED / f"{check_file_name('draw', name)}.parquet"
    if target.exists():
        raise DataError(f"There are observed labels at {target} already; choose another name.")
    target.parent.mkdir(exist_ok=True)
    _write_table(target, listing, listing.labels)
    # Two sets may have draws of one name; which one these are of, their files alone do not say.
    belongs = {"digest": _digest(target), "fingerprint": read_record(folder)["fingerprint"]}
    write_text(target.with_suffix(".json"), json.dumps({**record, **belongs}, indent=2) + "\n")
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
        root: The folder of the images, if they were moved.
        observed: Name of other observed labels in its ``observed`` folder.
    """
    record = read_record(folder)
    if "digests" in record:
        _compare(folder, record["digests"])
    classes = tuple(read_lines(folder / CLASSES))
    if len(set(classes)) != len(classes):
        raise DataError(f"{folder / CLASSES} is not as it was prepared: a class has two lines.")
    manifest = folder / MANIFEST
    if observed is not None:
        manifest = folder / OBSERVED / f"{observed}.parquet"
        if not manifest.is_file():
            known = [path.stem for path in (folder / OBSERVED).glob("*.parquet")]
            raise unknown_name("set of observed labels", observed, known)
        _compare_draw(manifest, record)
    images, splits, labels = _read_table(manifest, len(classes))
    truth = None
    if (folder / TRUTH).is_file():
        named, _, truth = _read_table(folder / TRUTH, len(classes))
        if named != images:
            raise DataError(f"{folder}: {TRUTH} and {manifest.name} list other images.")
    image_root = root or Path(os.path.normpath(folder / str(record["root"])))
    boxes = _read_boxes(folder / BOXES) if (folder / BOXES).is_file() else None
    name = str(record["name"])
    listing = Listing(name, image_root, images, classes, labels, splits, boxes, truth=truth)
    if "digests" not in record and observed is None and "fingerprint" in record:
        _compare_fingerprint(folder, listing, record)
    return listing


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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(folder: Path, digests: Any) -> None:
    """Refuse files that were not written with the record: swapped, changed, lost or added."""
    if not isinstance(digests, dict):
        raise DataError(f"{folder / RECORD}: the digests are no table of files.")
    for name in FILES:
        found = _digest(folder / name) if (folder / name).is_file() else None
        if found != digests.get(name):
            what = "is missing" if found is None else "is not the one that was written with it"
            raise DataError(
                f"{folder} is not as it was prepared: {name} {what}. Restore the file, or prepare "
                f"the set again in another folder."
            )


def _compare_draw(path: Path, record: dict[str, Any]) -> None:
    """Refuse observed labels of another set; draws of earlier versions say nothing about it."""
    about = path.with_suffix(".json")
    said = read_json(about) if about.is_file() else {}
    if not isinstance(said, dict) or "digest" not in said:
        return
    if said["digest"] != _digest(path):
        raise DataError(f"{path} is not the one that {about.name} describes; draw it again.")
    if said.get("fingerprint") != record.get("fingerprint"):
        raise DataError(f"{path} was drawn from another data set than this one; draw it again.")


def _compare_fingerprint(folder: Path, listing: Listing, record: dict[str, Any]) -> None:
    """Compare what was read with the record of a set that has no digests, as earlier ones."""
    # Splits without a name are read as no splits.
    unnamed = replace(listing, splits=listing.splits or [""] * len(listing))
    if record["fingerprint"] not in (fingerprint(listing), fingerprint(unnamed)):
        raise DataError(
            f"{folder} is not as it was prepared: {CLASSES}, {MANIFEST} or {TRUTH} is another one "
            f"than {RECORD} was written with. Restore it, or prepare the set again."
        )


def fingerprint(listing: Listing) -> str:
    """A short hash of images, classes, splits, labels and truth."""
    digest = hashlib.sha256()
    for text in (*listing.classes, "", *listing.images, "", *listing.splits):
        digest.update(text.encode() + b"\0")
    digest.update(listing.labels.to_bytes())
    if listing.truth is not None:
        digest.update(listing.truth.to_bytes())
    return digest.hexdigest()[:16]


def _counts(listing: Listing) -> dict[str, Any]:
    counts: dict[str, Any] = {"images": len(listing), "classes": len(listing.classes)}
    counts["known positives"] = listing.labels.count(1)
    counts["known negatives"] = listing.labels.count(-1)
    splits = np.asarray(listing.splits, dtype=object)
    for split in listing.split_names():
        rows = np.flatnonzero(splits == split)
        counts[split] = {"images": len(rows)}
        if listing.truth is not None:
            positives = listing.truth.take(rows).per_image(1)
            counts[split]["positives per image"] = round(float(positives.mean()), 2)
            counts[split]["without a positive"] = int((positives == 0).sum())
    return counts


def _write_table(path: Path, listing: Listing, labels: SparseLabels) -> None:
    columns = {
        "image": pa.array(listing.images, pa.string()),
        "part": pa.array(listing.splits or [""] * len(listing), pa.string()),
    }
    for name, state in (("positives", 1), ("negatives", -1), ("unknown", 0)):
        if state != labels.rest:
            columns[name] = _lists(labels, state)
    # Absence is split of the file: the same lists mean other labels under another one.
    table = pa.table(columns).replace_schema_metadata({"tacit.rest": str(labels.rest)})
    write_atomically(path, lambda partial: parquet.write_table(table, partial, compression="zstd"))


def _write_boxes(path: Path, boxes: Boxes) -> None:
    columns = {"row": boxes.rows, "label": boxes.labels}
    columns |= {corner: boxes.corners[:, side] for side, corner in enumerate(CORNERS)}
    table = pa.table(columns)
    write_atomically(path, lambda partial: parquet.write_table(table, partial, compression="zstd"))


def _read_boxes(path: Path) -> Boxes:
    try:
        table = read_parquet(path)
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
        table = read_parquet(path)
        rest: Absence = -1 if table.schema.metadata[b"tacit.rest"] == b"-1" else 0
        images, splits = table["image"].to_pylist(), table["part"].to_pylist()
        if not all(isinstance(text, str) for text in (*images, *splits)):
            raise ValueError("an image or its split has no name")
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
        at, which, states = (np.concatenate(piece) for piece in zip(*cells, strict=True))
        if len(which) and not 0 <= int(which.min()) <= int(which.max()) < classes:
            raise ValueError(f"a class number is outside 0 to {classes - 1}")
        labels = SparseLabels.from_cells(at, which, states, (len(images), classes), rest)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as a manifest: {first}") from error
    return images, [] if not any(splits) else splits, labels
