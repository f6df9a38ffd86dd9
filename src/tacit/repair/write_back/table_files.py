"""Files of tables with some cells changed: CSV and JSON lines as text, Parquet and Arrow whole."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tacit.data.formats.table.files import SUFFIXES
from tacit.data.formats.table.write import choose_join
from tacit.errors import DataError
from tacit.repair.apply import Change
from tacit.repair.write_back.splice import (
    Edit,
    find_members,
    find_value,
    read_exactly,
    skip_blank,
    splice,
)
from tacit.repair.write_back.tables import (
    NEW_COLUMN,
    Cell,
    Rows,
    Shape,
    change_names,
    plan_cells,
    read_shape,
    refuse_signs,
    spell,
)

_HEAD = re.compile(r"\ufeff?[^\r\n]*")


def edit_table(
    path: Path,
    out: Path,
    changes: Sequence[Change],
    classes: Sequence[str],
    options: Mapping[str, Any],
    image: str | None = None,
    prefix: str = "",
) -> list[str]:
    """Write a table with some cells changed, and return what a person should know of it.

    Args:
        path: The table.
        out: The file to write.
        changes: Changes of images of this table.
        classes: All classes.
        options: What the reader was told.
        image: The column of images' names, where the format says it.
        prefix: What the listing puts before the names of this table's images.
    """
    table, shape = read_shape(path, options, image, prefix)
    refuse_signs(shape, changes)
    rows, fresh = plan_cells(shape, changes, options.get("absent") != "negative")
    kind = SUFFIXES[path.suffix.lower()]
    if kind == "csv":
        _edit_csv(path, out, table, shape, rows, classes if fresh else None)
    elif kind == "jsonl":
        _edit_jsonl(path, out, shape, rows)
    else:
        _edit_arrow(out, table, shape, rows, fresh, path if kind == "parquet" else None)
    if not fresh:
        return []
    return [
        f"the column '{NEW_COLUMN}' is new: it names what people said is absent, for which the "
        f"table had no place"
    ]


def _edit_csv(
    path: Path, out: Path, table: pa.Table, shape: Shape, rows: Rows, fresh: Sequence[str] | None
) -> None:
    text = read_exactly(path)
    records, delimiter = _find_records(text, table, path)
    columns = {name: number for number, name in enumerate(table.column_names)}
    spelled = _spell_csv(text, records, delimiter, columns, shape)
    edits: list[Edit] = []
    join = choose_join(fresh or ())
    for row, cells in rows.items():
        spans = _find_cells(text, records[row + 1], delimiter)
        for name, cell in cells.items():
            if name in columns:
                first, last = spans[columns[name]]
                raw = text[first:last]
                new = _change_text(_unquote(raw), cell, spelled, shape.separators.get(name))
                if new != _unquote(raw):
                    edits.append((first, last, _quote(new, raw, delimiter)))
    if fresh is not None:
        head = records[0][1]
        edits.append((head, head, delimiter + NEW_COLUMN))
        for row, (_, end) in enumerate(records[1:]):
            added = rows.get(row, {}).get(NEW_COLUMN)
            names = join(added.add) if added else ""
            edits.append((end, end, delimiter + _quote(names, "", delimiter)))
    out.write_bytes(splice(text, edits).encode())


def _find_records(text: str, table: pa.Table, path: Path) -> tuple[list[tuple[int, int]], str]:
    """Return where each row of a CSV file is, the header first, and what separates columns."""
    first = _HEAD.match(text)
    line = re.sub(r'"[^"]*("|$)', "", first.group() if first else "")
    delimiter = max(",;\t|", key=line.count)
    end = re.compile(rf'(?:(?<=[{delimiter}\r\n])|(?<!.))"(?:[^"]|"")*"|\r\n|\n|\r', re.DOTALL)
    records, begin = [], 0
    for found in end.finditer(text):
        if found.group()[0] != '"':
            records.append((begin, found.start()))
            begin = found.end()
    records.append((begin, len(text)))
    records = [(first, last) for first, last in records if last > first]
    if len(records) != table.num_rows + 1:
        raise DataError(
            f"{path} has {table.num_rows:,} rows, and {len(records) - 1:,} were found to change; "
            f"write another file: --to table --out labels.jsonl."
        )
    return records, delimiter


def _find_cells(text: str, record: tuple[int, int], delimiter: str) -> list[tuple[int, int]]:
    spans, at = [], record[0]
    if text.startswith("\ufeff", at):
        at += 1
    cell = re.compile(rf'(?:"(?:[^"]|"")*")?[^{delimiter}]*')
    while True:
        found = cell.match(text, at, record[1])
        assert found is not None  # it may be empty
        spans.append(found.span())
        if found.end() >= record[1]:
            return spans
        at = found.end() + 1


def _unquote(raw: str) -> str:
    return next(csv.reader([raw], delimiter="\x1f", strict=False), [""])[0] if '"' in raw else raw


def _quote(text: str, raw: str, delimiter: str) -> str:
    """Write a cell as its neighbours are: in quotes where it had some, or where it needs them."""
    needed = delimiter in text or any(sign in text for sign in '"\r\n')
    return '"' + text.replace('"', '""') + '"' if needed or raw.startswith('"') else text


def _spell_csv(
    text: str,
    records: list[tuple[int, int]],
    delimiter: str,
    columns: Mapping[str, int],
    shape: Shape,
) -> dict[int, str]:
    """Return how the file writes present and absent, from its first rows."""
    if not shape.hot:
        return {}
    places = [columns[name] for name in shape.hot]
    some = [_find_cells(text, record, delimiter) for record in records[1:65]]
    return spell([_unquote(text[slice(*spans[place])]) for spans in some for place in places])


def _change_text(text: str, cell: Cell, spelled: Mapping[int, str], separator: str | None) -> str:
    if cell.state is None:
        return change_names(text, cell, separator or ";")
    # A row that names the image again says nothing unless it said something.
    return spelled[cell.state]


def _edit_jsonl(path: Path, out: Path, shape: Shape, rows: Rows) -> None:
    text = read_exactly(path)
    edits: list[Edit] = []
    at = skip_blank(text, 0)
    for row in range(len(shape.names)):
        if row not in rows:  # in C, and not name by name
            at = skip_blank(text, find_value(text, at)[1])
            continue
        members, end = find_members(text, at)
        for name, cell in rows[row].items():
            span = members.get(name)
            old = json.loads(text[slice(*span)]) if span else None
            new = _change_value(old, cell, shape.separators.get(name))
            if new == old:
                continue
            written = json.dumps(new, ensure_ascii=False)
            if span:
                edits.append((*span, written))
            else:
                comma = ", " if members else ""
                edits.append((end - 1, end - 1, f"{comma}{json.dumps(name)}: {written}"))
        at = skip_blank(text, end)
    out.write_bytes(splice(text, edits).encode())


def _change_value(old: Any, cell: Cell, separator: str | None) -> Any:
    """Return what becomes of a value that is a list, a text, or a state."""
    if cell.state is not None:
        return bool(cell.state) if isinstance(old, bool) else cell.state
    if isinstance(old, str) or (separator is not None and old is None):
        return change_names(old or "", cell, separator or ";")
    names = [name for name in old or [] if name not in cell.remove]
    return [*names, *(name for name in cell.add if name not in names)]


def _edit_arrow(
    out: Path, table: pa.Table, shape: Shape, rows: Rows, fresh: bool, source: Path | None
) -> None:
    metadata = table.schema.metadata
    for place, name in enumerate(table.column_names):
        changed = {row: cells[name] for row, cells in rows.items() if name in cells}
        if changed:
            field, column = table.schema.field(place), table[name]
            values = column.to_pylist()
            spelled = spell([str(value) for value in values if value is not None][:1000])
            for row, cell in changed.items():
                separator = shape.separators.get(name)
                values[row] = _change_typed(values[row], cell, field.type, separator, spelled)
            kind = pa.int8() if pa.types.is_null(field.type) else field.type
            table = table.set_column(place, field.with_type(kind), pa.array(values, kind))
    if fresh:
        lists = [rows.get(row, {}).get(NEW_COLUMN) for row in range(table.num_rows)]
        names = pa.array([cell.add if cell else [] for cell in lists], pa.list_(pa.string()))
        table = table.append_column(NEW_COLUMN, names)
    table = table.replace_schema_metadata(metadata)
    if source is None:
        with pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
        return
    with parquet.ParquetFile(source) as file:
        about = file.metadata
        groups = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        codec = about.row_group(0).column(0).compression if groups else "ZSTD"
    codec = "NONE" if codec == "UNCOMPRESSED" else codec
    with parquet.ParquetWriter(out, table.schema, compression=codec) as writer:
        first = 0
        for count in groups:
            writer.write_table(table.slice(first, count), row_group_size=max(1, count))
            first += count


def _change_typed(
    old: Any, cell: Cell, kind: pa.DataType, separator: str | None, spelled: Mapping[int, str]
) -> Any:
    if cell.state is None:
        return _change_value(old, cell, separator)
    if pa.types.is_boolean(kind):
        return cell.state == 1
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return spelled[cell.state] if texts else cell.state
