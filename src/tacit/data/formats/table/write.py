"""Writing labels as rows of a table, a block of images at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tacit.data.formats.shared.writing import BLOCK, name_rows
from tacit.data.formats.table.name_lists import SEPARATORS
from tacit.data.listing import Listing
from tacit.names import csv_writer

Row = dict[str, Any]


def list_rows(
    listing: Listing, negatives: bool, image: str = "image", split: str | None = "split"
) -> Iterator[Row]:
    """Yield a row for each image, with lists of classes.

    Args:
        listing: The labels.
        negatives: List the absent classes beside the present ones.
        image: The column of the images' names.
        split: The column of the splits; None leaves them out.
    """
    labels = listing.labels
    positives = name_rows(labels, listing.classes, 1)
    absent = name_rows(labels, listing.classes, -1)
    for row, (name, present) in enumerate(zip(listing.images, positives, strict=True)):
        cells: Row = {image: name, "labels": present}
        if negatives:
            cells["negatives"] = next(absent)
        if listing.splits and split:
            cells[split] = listing.splits[row]
        yield cells


def says_negatives(listing: Listing) -> bool:
    """Whether absent classes are listed; where all that is not present is absent, they are not."""
    complete = listing.labels.rest == -1 and not listing.labels.count(0)
    return not complete and listing.labels.count(-1) > 0


def list_column_rows(listing: Listing) -> Iterator[Row]:
    """Yield a row for each image with a cell for each class: 1, 0 or nothing."""
    blank = dict.fromkeys(listing.classes, "")
    present, absent = (name_rows(listing.labels, listing.classes, state) for state in (1, -1))
    for row, (there, not_there) in enumerate(zip(present, absent, strict=True)):
        first = {"image": listing.images[row]}
        if listing.splits:
            first["split"] = listing.splits[row]
        yield {**first, **blank, **dict.fromkeys(there, "1"), **dict.fromkeys(not_there, "0")}


def write_csv(path: Path, rows: Iterator[Row], delimiter: str, join: Callable[[Any], str]) -> None:
    """Write rows as text.

    Args:
        path: The file.
        rows: The rows, all with the same columns.
        delimiter: What separates the columns.
        join: Makes a text of a list.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        write_row = csv_writer(file, delimiter)
        for number, row in enumerate(rows):
            if not number:
                write_row(row)
            write_row(join(cell) if isinstance(cell, list) else cell for cell in row.values())


def choose_join(classes: Sequence[str]) -> Callable[[list[str]], str]:
    """Return how lists of classes become texts: with semicolons, or as JSON where names need it."""
    signs = {*SEPARATORS, "[", '"', "\n", "\r"}
    plain = all(name == name.strip() and not signs & set(name) for name in classes)
    return ";".join if plain else lambda names: json.dumps(names, ensure_ascii=False)


def write_jsonl(path: Path, rows: Iterator[Row]) -> None:
    """Write rows as JSON, a line each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_arrow(path: Path, rows: Iterator[Row], is_parquet: bool) -> None:
    """Write rows as Parquet or Arrow."""
    schema: pa.Schema | None = None
    writer: Any = None
    while block := list(islice(rows, BLOCK)):
        if schema is None:
            lists = pa.list_(pa.string())
            kinds = {k: lists if isinstance(v, list) else pa.string() for k, v in block[0].items()}
            schema = pa.schema(kinds)
            writer = (
                parquet.ParquetWriter(path, schema, compression="zstd")
                if is_parquet
                else pa.ipc.new_file(path, schema)
            )
        writer.write_table(pa.Table.from_pylist(block, schema))
    writer.close()
