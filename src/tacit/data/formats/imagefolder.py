"""Hugging Face's imagefolder: images with metadata.csv, .jsonl or .parquet beside them.

Folders called train, test and the like are splits. The columns are those of a table, with the
images in ``file_name``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tacit.data.formats import Match
from tacit.data.formats.shared.assemble import Cells
from tacit.data.formats.shared.folders import list_folders
from tacit.data.formats.shared.writing import (
    Transfer,
    bring_image,
    describe_left_out,
    file_name,
    refuse_odd_names,
    write_classes,
    writing_folder,
)
from tacit.data.formats.table.files import read_table
from tacit.data.formats.table.read import TableOptions, read_rows
from tacit.data.formats.table.write import list_rows, says_negatives, write_jsonl
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import is_split_name
from tacit.errors import DataError, UsageError

FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
COLUMN = "file_name"


def recognise(path: Path) -> Match | None:
    """Say why a path looks like an imagefolder."""
    found = _files(path) if path.is_dir() else []
    return Match(f"a folder with {found[0].relative_to(path)}") if found else None


def _files(path: Path) -> list[Path]:
    """Return the tables in a folder, or in the folders of its splits."""
    folders = [path, *(folder for folder in list_folders(path) if is_split_name(folder.name))]
    return [folder / name for folder in folders for name in FILES if (folder / name).is_file()]


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    label_column: str | None = None,
    negative_column: str | None = None,
    classes: Sequence[str] | None = None,
    other_columns: Sequence[str] = (),
    separator: str | None = None,
    negative_value: int | None = None,
) -> Listing:
    """Read all tables of a folder as one.

    Args:
        path: The folder.
        images: Not to be given: names are relative to the folder of their table.
        absent: What it means that a class is not mentioned.
        name: What the set is called; the folder's name if None.
        label_column: Column of labels, as for tables.
        negative_column: Column of classes that are known to be absent.
        classes: Class names in order, or the columns to read as classes.
        other_columns: Columns that are none of a class, whatever they hold.
        separator: What stands between labels in text.
        negative_value: The number that means absent in columns of classes: 0 or -1.
    """
    if images is not None:
        raise UsageError("An imagefolder has its images beside its tables; leave images out.")
    files = _files(path)
    if not files:
        raise DataError(f"{path} has no {', '.join(FILES)}, in itself or in folders of splits.")
    columns = {"image": COLUMN, "label": label_column, "negative": negative_column, "split": None}
    told = TableOptions(columns, classes, separator, negative_value, other_columns)
    tables = [_read_file(file, path, told.words()) for file in files]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"The tables of {path} do not fit together: {str(error).partition(chr(10))[0]}"
        ) from error
    return read_rows(table, Cells(str(path), absent), told, name or path.name, path, None)


def _read_file(path: Path, top: Path, words: frozenset[str]) -> pa.Table:
    """Read a table; the folder above gives its split and completes its images' names."""
    table = read_table(path, words)
    folder = path.parent.relative_to(top).as_posix()
    if COLUMN not in table.column_names:
        raise DataError(f"{path} has no column '{COLUMN}', which an imagefolder needs.")
    if folder == ".":
        return table
    place = table.column_names.index(COLUMN)
    names = [f"{folder}/{name}" if name else None for name in table[COLUMN].to_pylist()]
    table = table.set_column(place, COLUMN, pa.chunked_array([pa.array(names, pa.string())]))
    if "split" in table.column_names:
        return table
    return table.append_column("split", pa.array([folder] * table.num_rows, pa.string()))


def write(listing: Listing, path: Path, *, transfer: Transfer = "link") -> list[str]:
    """Write a folder for each split with ``metadata.jsonl`` and the images.

    Args:
        listing: The labels.
        path: A folder that is not there yet.
        transfer: "link" makes links to the images, "copy" copies them.
    """
    refuse_odd_names(listing)
    notes, negatives = describe_left_out(listing), says_negatives(listing)
    if listing.labels.count(-1) and not negatives:
        notes.append("what is not present is absent: read it with absent = negative")
    with writing_folder(path) as folder:
        names = zip(listing.split_names() or [""], listing.rows_by_split(), strict=True)
        for split, rows in names:
            if split and not is_split_name(split):
                raise DataError(f"The split '{split}' would not be read as a split; call it train.")
            inside = folder / file_name(split) if split else folder
            inside.mkdir(exist_ok=True)
            below = [listing.images[row].removeprefix(f"{split}/") for row in rows]
            for row, image in zip(rows, below, strict=True):
                bring_image(listing, int(row), inside / image, transfer)
            some = Listing("", Path(), below, listing.classes, listing.labels.take(rows))
            write_jsonl(inside / FILES[1], list_rows(some, negatives, COLUMN, None))
        notes += write_classes(folder, listing, (1, -1) if negatives else (1,))
    return notes
