"""A table whose labels are cleaned: what is right in it stays as it was written.

Rows keep their order, columns their names and their order, and cells their text, unless what they
say of labels has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tacit.check.clean import Cleaned
from tacit.check.rows import Rows
from tacit.data.formats.shared.writing import refuse_existing, write_classes
from tacit.data.formats.table.class_columns import find_negative, read_states
from tacit.data.formats.table.files import SUFFIXES, read_delimiter, read_table
from tacit.data.formats.table.name_lists import read_named_cells
from tacit.data.formats.table.write import choose_join, write_csv, write_jsonl
from tacit.errors import UsageError
from tacit.files import write_atomically


def write_clean_table(rows: Rows, cleaned: Cleaned, path: Path) -> list[str]:
    """Write what is left of a table; its suffix says as what.

    Args:
        rows: The table as it is.
        cleaned: What is left.
        path: A file that is not there yet.

    Returns:
        What a person should know about the result, a sentence each.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"A table is written to {', '.join(SUFFIXES)} files, not to {path.name}.")
    refuse_existing(path)
    table = _CleanTable(rows, cleaned).build()
    notes = []
    if not rows.hot and not rows.told.get("classes"):
        notes = write_classes(path.parent, cleaned.listing, (1, -1))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    if rows.path.suffix.lower() == path.suffix.lower() and kind == "csv":
        delimiter = read_delimiter(rows.path)
    write_atomically(path, partial(_write, table, kind, delimiter, cleaned))
    return notes


def _write(table: pa.Table, kind: str, delimiter: str, cleaned: Cleaned, target: Path) -> None:
    if kind == "parquet":
        parquet.write_table(table, target, compression="zstd")
    elif kind == "arrow":
        with pa.ipc.new_file(target, table.schema) as writer:
            writer.write_table(table)
    elif kind == "jsonl":
        write_jsonl(target, _iterate(table, str))
    else:
        join = choose_join(cleaned.listing.classes)
        write_csv(target, _iterate(table, lambda value: value), delimiter, join)


def _iterate(table: pa.Table, other: Callable[[Any], Any]) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(4096):
        for row in batch.to_pylist():
            yield {
                name: value
                if value is None or isinstance(value, str | int | float | list)
                else other(value)
                for name, value in row.items()
            }


class _CleanTable:
    """Builds the table that is left."""

    def __init__(self, rows: Rows, cleaned: Cleaned) -> None:
        self.rows, self.listing, self.meaning = rows, cleaned.listing, cleaned.meaning
        first: dict[str, int] = {}
        for at, image in enumerate(rows.images):
            first.setdefault(image, at)
        self.kept = [first[image] for image in self.listing.images]
        self.present = self._name_cells(1)
        self.absent = self._name_cells(-1)
        # Of text, all columns as they are written: "007" stays "007".
        self.text = rows.table
        if rows.path.suffix.lower() in (".csv", ".tsv"):
            names = frozenset(name.strip().lower() for name in rows.table.column_names)
            self.text = read_table(rows.path, names)
            if rows.blank:
                self.text = self.text.take(pa.array(rows.named_rows))

    def _name_cells(self, state: int) -> list[set[str]]:
        labels = self.listing.labels
        cells: list[set[str]] = [set() for _ in range(len(labels))]
        hits = labels.states == state
        for row, column in zip(labels.row_of_cells()[hits], labels.columns[hits], strict=True):
            cells[row].add(self.listing.classes[column])
        return cells

    def build(self) -> pa.Table:
        """Return the table without what is wrong."""
        table = self.text.take(pa.array(self.kept, pa.int64()))
        for state in (1, -1):
            column = self.rows.found[state]
            if column is not None:
                table = self._set(table, column, self._write_lists(column, state, table[column]))
        table = self._write_classes(table)
        split = self.rows.found["split"]
        if split is not None and self.listing.splits:
            table = self._set(table, split, list(self.listing.splits))
        elif split is not None:
            table = table.drop_columns([split])
        return table

    def _set(self, table: pa.Table, name: str, values: list[Any]) -> pa.Table:
        kind = table.schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_null(kind):
            kind = pa.string()
        return table.set_column(table.column_names.index(name), name, pa.array(values, kind))

    def _write_lists(self, column: str, state: int, cells: pa.ChunkedArray) -> list[Any]:
        """Return a column of names; a cell is written anew only where its names have changed."""
        named = read_named_cells(self.rows.table[column], column, self.rows.told.get("separator"))
        before: list[list[str]] = [[] for _ in range(len(self.rows.table))]
        for row, number in zip(named.rows.tolist(), named.numbers.tolist(), strict=True):
            before[row].append(named.names[number])
        unlisted = self.listing.labels.rest == -1 and state == -1
        order = {name: at for at, name in enumerate(self.listing.classes)}
        joined = choose_join(self.listing.classes)
        if named.separator is not None and joined is not None:
            joined = named.separator.join
        values: list[Any] = cells.to_pylist()
        for place, at in enumerate(self.kept):
            wanted = self.absent[place] if state == -1 else self.present[place]
            meant = [self.meaning[name] for name in before[at] if name in self.meaning]
            stays = [n for n in dict.fromkeys(meant) if n in wanted or unlisted]
            new = sorted(wanted - set(stays) - set(self.rows.hot), key=order.__getitem__)
            names = [*stays, *new]
            if names != before[at]:
                values[place] = names if isinstance(values[place], list) else joined(names)
        return values

    def _write_classes(self, table: pa.Table) -> pa.Table:
        """Write the columns of classes: those that are gone go, cells change where labels did."""
        hot = self.rows.hot
        if not hot:
            return table
        states = {name: read_states(self.rows.table[name]) for name in hot}
        negative, blank = find_negative(states.values(), self.rows.told.get("negative_value"))
        rest = self.listing.labels.rest
        for name in hot:
            if self.meaning.get(name) != name:
                table = table.drop_columns([name])
                continue
            values = table[name].to_pylist()
            for place, at in enumerate(self.kept):
                found = int(states[name][at])
                means = 1 if found == 1 else -1 if found == negative else rest
                wanted = self._find_state(place, name)
                if means != wanted:
                    number = {1: 1, -1: 0 if negative is None else negative}.get(wanted)
                    if number is None and not blank and rest == 0:
                        number = 0  # where no cell is blank, 0 says that nobody looked
                    values[place] = _convert(number, table.schema.field(name).type)
            table = self._set(table, name, values)
        return table

    def _find_state(self, place: int, name: str) -> int:
        if name in self.present[place]:
            return 1
        if name in self.absent[place]:
            return -1
        unknown = self.listing.labels
        column = self.listing.classes.index(name)
        return int(unknown[place][column]) if unknown.rest == -1 else 0


def _convert(number: int | None, kind: pa.DataType) -> Any:
    """Return 1, 0, -1 or nothing as a cell of a column."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "" if number is None else str(number)
    return None if number is None else bool(number) if pa.types.is_boolean(kind) else number
