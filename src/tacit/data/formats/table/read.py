"""A table with a row for each image: a column of labels, a column for each class, or both.

A column for each class holds 1, 0 and blank. Where cells are blank, 0 says that somebody looked;
where none is, 0 may mean that nobody mentioned the class, and is read as unknown unless told
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from tacit.data.formats import KIND, Match
from tacit.data.formats.shared.assemble import Cells, assemble, place_names
from tacit.data.formats.shared.writing import (
    describe_left_out,
    refuse_existing,
    refuse_odd_names,
    write_classes,
)
from tacit.data.formats.table.class_columns import (
    OTHERS,
    add_columns,
    find_class_columns,
    refuse_doubtful,
)
from tacit.data.formats.table.files import SUFFIXES, find_column, read_table, to_table
from tacit.data.formats.table.name_lists import NamedCells, read_named_cells
from tacit.data.formats.table.write import (
    choose_join,
    list_column_rows,
    list_rows,
    says_negatives,
    write_arrow,
    write_csv,
    write_jsonl,
)
from tacit.data.listing import Absent, Listing
from tacit.errors import DataError, UsageError, nearest_name
from tacit.files import write_atomically

FILE = ("image", "file", "filename", "file_name", "filepath", "path", "image_path", "image_file")
IMAGE = (*FILE, "img", "picture", "photo", "image_id", "imageid", "id")
SPLIT = ("split", "part", "subset", "set")
LABELS = ("labels", "label", "tags", "tag", "positives", "categories", "classes", "class")
NEGATIVES = ("negatives", "negative_labels", "absent")
WORDS = frozenset((*IMAGE, *SPLIT, *LABELS, *NEGATIVES))
Layout = Literal["lists", "columns"]


def recognise(path: Path) -> Match | None:
    """Say why a path looks like a table."""
    known = path.is_file() and path.suffix.lower() in SUFFIXES
    return Match(f"a {path.suffix} file", KIND) if known else None


def read(
    path: Path | Any,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    negative_column: str | None = None,
    split_column: str | None = None,
    classes: Sequence[str] | None = None,
    other_columns: Sequence[str] = (),
    separator: str | None = None,
    negative_value: int | None = None,
) -> Listing:
    """Read a table file, or a table of pandas, polars or Arrow.

    Args:
        path: The file or the table.
        images: Folder of the images; looked for beside the file if None.
        absent: What it means that a class is not mentioned.
        name: What the set is called; the file's name if None.
        image_column: Column of file names.
        label_column: Column of labels, as lists or as text with separators.
        negative_column: Column of classes that are known to be absent, in the same way.
        split_column: Column that says train, test and the like.
        classes: Class names in order, or the columns to read as classes.
        other_columns: Columns that are none of a class, whatever they hold.
        separator: What stands between labels in text.
        negative_value: The number that means absent in columns of classes: 0 or -1.
    """
    in_file = isinstance(path, str | Path)
    columns = {"image": image_column, "label": label_column}
    columns |= {"negative": negative_column, "split": split_column}
    told = TableOptions(columns, classes, separator, negative_value, other_columns)
    table = read_table(Path(path), told.words()) if in_file else to_table(path)
    root = Path(path).parent if in_file else None
    where = str(path) if in_file else "the table"
    name = name or (Path(path).stem if in_file else "table")
    return read_rows(table, Cells(where, absent), told, name, root, images)


@dataclass(frozen=True)
class TableOptions:
    """What the user says about a table, such as columns that are called otherwise."""

    columns: Mapping[str, str | None]
    classes: Sequence[str] | None = None
    separator: str | None = None
    negative_value: int | None = None
    other_columns: Sequence[str] = ()

    def words(self) -> frozenset[str]:
        """Return the lower-case names of columns that hold words, whatever they look like."""
        return WORDS | {column.lower() for column in self.columns.values() if column}


def read_rows(
    table: pa.Table,
    cells: Cells,
    told: TableOptions,
    name: str,
    root: Path | None,
    images: Path | None,
) -> Listing:
    """Read the rows of a table; ``root`` is the folder it lies in, if it lies in one."""
    where = cells.where
    if not table.num_rows:
        raise DataError(f"{where} has no rows.")
    found = _Columns(table.column_names, where).find_all(told.columns)
    for kind, state in (("label", 1), ("negative", -1)):
        if kind in found:
            cells.add_named(_read_names(cells, table, found[kind], told.separator), state)
    rest = [column for column in table.column_names if column not in found.values()]
    hot = _read_class_columns(cells, table, rest, told, "label" in found)
    return assemble(
        cells,
        name,
        place_names(_texts(table, found["image"], where), root or Path("."), images),
        _texts(table, found["split"], where) if "split" in found else None,
        told.classes or hot,
        beside=root,
    )


def write(listing: Listing, path: Path, *, layout: Layout = "lists") -> list[str]:
    """Write a table file; its suffix says of which kind.

    Args:
        listing: The labels.
        path: A file that is not there yet.
        layout: "lists" writes a column of present classes and, if any are known, one of absent
            ones; "columns" a column for each class with 1, 0 and blank, as CSV only.
    """
    suffix = path.suffix.lower()
    kind = SUFFIXES.get(suffix)
    if kind is None or layout not in ("lists", "columns"):
        raise UsageError(f"A table is written as lists or columns to {', '.join(SUFFIXES)} files.")
    refuse_existing(path)
    refuse_odd_names(listing)
    notes = describe_left_out(listing)
    delimiter = "\t" if suffix == ".tsv" else ","
    absent, unknown = listing.labels.count(-1), listing.labels.count(0)
    if layout == "columns":
        if kind != "csv":
            raise UsageError("A column for each class is written as .csv or .tsv.")
        _refuse_as_columns(listing)
        if absent and not unknown:
            notes.append("no cell is blank: read it with absent = negative")
        rows = list_column_rows(listing)
        write_atomically(path, lambda file: write_csv(file, rows, delimiter, str))
        return notes
    negatives = says_negatives(listing)
    if absent and not negatives:
        notes.append("what is not present is absent: read it with absent = negative")
    notes += write_classes(path.parent, listing, (1, -1) if negatives else (1,))
    rows = list_rows(listing, negatives)
    if kind == "csv":
        join = choose_join(listing.classes)
        write_atomically(path, lambda file: write_csv(file, rows, delimiter, join))
    elif kind == "jsonl":
        write_atomically(path, lambda file: write_jsonl(file, rows))
    else:
        write_atomically(path, lambda file: write_arrow(file, rows, kind == "parquet"))
    return notes


def _refuse_as_columns(listing: Listing) -> None:
    reserved = WORDS | OTHERS
    taken = [name for name in listing.classes if name.strip().lower() in reserved]
    if taken:
        raise DataError(f"The class '{taken[0]}' is called like another column; write lists.")
    used = np.count_nonzero(listing.labels.per_class(1) + listing.labels.per_class(-1))
    if used < 2:
        raise DataError(f"Columns are known as classes if two of them say something, not {used}.")


def _read_names(cells: Cells, table: pa.Table, column: str, separator: str | None) -> NamedCells:
    named = read_named_cells(table[column], column, separator)
    if named.separator is not None:
        cells.notes.append(f"'{named.separator}' stands between labels in the column '{column}'")
    return named


def _read_class_columns(
    cells: Cells,
    table: pa.Table,
    rest: list[str],
    told: TableOptions,
    has_labels: bool,
) -> list[str]:
    """Read the columns that stand for classes, if there are any, and return their names."""
    strange = [name for name in told.other_columns if name not in table.column_names]
    if strange:
        raise UsageError(f"{cells.where} has no column '{strange[0]}'; see other_columns.")
    free = [name for name in rest if name not in told.other_columns]
    hot = find_class_columns(table, free, told.classes)
    if not hot and not has_labels:
        raise DataError(
            f"{cells.where} has no labels: no column is called {', '.join(LABELS[:4])} or the "
            f"like, and no two columns hold only 1, 0, -1 or blank. Say where they are with "
            f"label_column."
        )
    if not cells.names() <= set(hot):  # something else that happens to hold 1 and 0
        hot = []
    if hot:
        if told.classes is None:
            refuse_doubtful(table, hot, free, WORDS, cells.where)
        cells.notes.append(f"read {len(hot)} columns as classes: {_some(hot)}")
        add_columns(cells, {column: table[column] for column in hot}, told.negative_value)
    left_out = [column for column in rest if column not in hot]
    if left_out:
        cells.notes.append(f"left out {len(left_out)} columns: {_some(left_out)}")
    cells.unread += [name for name in left_out if name not in told.other_columns]
    return hot


class _Columns:
    """Finds columns by name, whatever their case."""

    usual: ClassVar = {"image": IMAGE, "label": LABELS, "negative": NEGATIVES, "split": SPLIT}

    def __init__(self, names: list[str], where: str) -> None:
        self.names, self.where = names, where

    def find_all(self, said: Mapping[str, str | None]) -> dict[str, str]:
        found = {kind: self.find(kind, name) for kind, name in said.items()}
        if found["image"] is None:
            raise DataError(
                f"{self.where} has no column of file names: none of its columns "
                f"({_some(self.names)}) is called {', '.join(IMAGE[:4])} or the like. "
                f"Say which it is with image_column."
            )
        return {kind: name for kind, name in found.items() if name is not None}

    def find(self, kind: str, said: str | None) -> str | None:
        if said is None:
            return find_column(self.names, self.usual[kind])
        if said in self.names:
            return said
        near = nearest_name(said, self.names)
        hint = f"did you mean '{near}'?" if near else f"it has {_some(self.names)}."
        raise UsageError(f"{self.where} has no {kind} column '{said}'; {hint}")


def _texts(table: pa.Table, column: str, where: str) -> list[str]:
    texts: list[str | None] = table[column].cast(pa.string()).to_pylist()
    blank = [row for row, text in enumerate(texts) if text is None or not text.strip()]
    if blank:
        raise DataError(
            f"{where}: {len(blank)} rows have nothing in the column '{column}', first row "
            f"{blank[0] + 1}; fill it in, or take the rows out."
        )
    return [text for text in texts if text is not None]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
