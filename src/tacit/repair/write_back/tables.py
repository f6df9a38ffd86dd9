"""Changing cells of a table that is there, so that everything else stays as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tacit.data.formats.shared.assemble import place_names
from tacit.data.formats.table.class_columns import MEANINGS, find_class_columns
from tacit.data.formats.table.files import find_column, read_table
from tacit.data.formats.table.name_lists import SEPARATORS, read_named_cells
from tacit.data.formats.table.read import IMAGE, LABELS, NEGATIVES, SPLIT, WORDS
from tacit.errors import DataError
from tacit.repair.apply import Change

NEW_COLUMN = "negatives"
Rows = dict[int, dict[str, "Cell"]]
"""By the number of a row and the name of a column: what becomes of that cell."""


@dataclass
class Cell:
    """What becomes of one cell: names that come and go, or a state of the column's class."""

    add: list[str]
    remove: list[str]
    state: int | None = None


@dataclass(frozen=True)
class Shape:
    """How a table says labels.

    Attributes:
        names: The image of each row, as the listing calls it.
        label: The column of present classes, if there is one.
        negative: The column of absent classes, if there is one.
        hot: The columns that stand for classes.
        absent: What says in these that a class is absent: 0, -1, or nothing does.
        separators: What stands between names in the columns of names; None where they are lists,
            "[" where they are JSON.
    """

    names: list[str]
    label: str | None
    negative: str | None
    hot: list[str]
    absent: int | None
    separators: Mapping[str, str | None]


def find_shape(table: pa.Table, root: Path, options: Mapping[str, Any], image: str | None) -> Shape:
    """Find out again how a table is read that was read before.

    Args:
        table: The table.
        root: The folder that it lies in.
        options: What the reader was told.
        image: The column of images' names, where the format says it.
    """
    columns = table.column_names
    image = image or options.get("image_column") or find_column(columns, IMAGE)
    label = options.get("label_column") or find_column(columns, LABELS)
    negative = options.get("negative_column") or find_column(columns, NEGATIVES)
    split = options.get("split_column") or find_column(columns, SPLIT)
    assert image is not None
    taken = {image, label, negative, split, *options.get("other_columns", ())}
    free = [name for name in columns if name not in taken]
    hot = find_class_columns(table, free, options.get("classes"))
    separators = {
        name: _find_separator(table[name], name, options.get("separator"))
        for name in (label, negative)
        if name
    }
    if label and hot:
        named = {*read_named_cells(table[label], label, options.get("separator")).names} - {""}
        hot = hot if named <= set(hot) else []
    absent = options.get("negative_value")
    if absent is None and any(_has_blanks(table[name]) for name in hot):
        absent = 0
    texts = table[image].cast(pa.string()).to_pylist()
    names = place_names(texts, root, options.get("images"))[1]
    return Shape(names, label, negative, hot, absent, separators)


def _has_blanks(column: pa.ChunkedArray) -> bool:
    if column.null_count:
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    return bool(pc.any(pc.equal(pc.utf8_trim_whitespace(column), "")).as_py())


def _find_separator(column: pa.ChunkedArray, title: str, said: str | None) -> str | None:
    """Return what stands between names: a sign, "[" for JSON, None for lists."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    named = read_named_cells(column, title, said)
    return named.separator or ("[" if _is_json(column) else ";")


def _is_json(column: pa.ChunkedArray) -> bool:
    texts = pc.utf8_ltrim_whitespace(pc.fill_null(column.cast(pa.string()), ""))
    return bool(pc.any(pc.starts_with(texts, "[")).as_py())


def plan_cells(shape: Shape, changes: Iterable[Change], said: bool) -> tuple[Rows, bool]:
    """Say which cells change, and whether a column of absent classes has to be added.

    What goes is taken out of every row of an image; what comes is written in its first one.

    Args:
        shape: How the table says labels.
        changes: What changes.
        said: Whether an absent class has to be named, rather than left out.
    """
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(shape.names):
        rows_of.setdefault(name, []).append(row)
    rows: Rows = {}
    fresh = False
    for change in changes:
        name, there = change.label, rows_of[change.image]
        hot = name in shape.hot
        known = hot and shape.absent is not None
        if hot and (change.new == 1 or known or change.old == 1):
            state = 1 if change.new == 1 else shape.absent or 0
            for row in there if change.old else there[:1]:
                _cell(rows, row, name).state = state
        if shape.label:
            _put(rows, shape.label, name, there, change.new == 1)
        if change.new == 1 and shape.negative:
            _put(rows, shape.negative, name, there, False)
        elif change.new == -1 and said and not known:
            fresh |= shape.negative is None
            _put(rows, shape.negative or NEW_COLUMN, name, there, True)
    return rows, fresh


def _cell(rows: Rows, row: int, column: str) -> Cell:
    return rows.setdefault(row, {}).setdefault(column, Cell([], []))


def _put(rows: Rows, column: str, name: str, there: list[int], comes: bool) -> None:
    """Add a name to a column of names, or take it out of it wherever it stands."""
    if comes:
        _cell(rows, there[0], column).add.append(name)
    else:
        for row in there:
            _cell(rows, row, column).remove.append(name)


def change_names(text: str, cell: Cell, separator: str) -> str:
    """Return a cell of names as text, with names that came and went."""
    if separator == "[":
        names = json.loads(text) if text.strip() else []
        kept = [name for name in names if name not in cell.remove]
        kept += [name for name in cell.add if name not in kept]
        return text if kept == names else json.dumps(kept, ensure_ascii=False)
    parts = text.split(separator) if text.strip() else []
    gap = parts[1][: len(parts[1]) - len(parts[1].lstrip())] if len(parts) > 1 else ""
    kept = [part for part in parts if part.strip() not in cell.remove]
    there = {part.strip() for part in kept}
    new = [name for name in cell.add if name not in there]
    if len(kept) == len(parts) and not new:
        return text
    if kept and kept[0] != parts[0]:
        kept[0] = kept[0].lstrip()
    return separator.join(
        [*kept, *(gap + name if n or kept else name for n, name in enumerate(new))]
    )


def refuse_signs(shape: Shape, changes: Iterable[Change]) -> None:
    """Refuse to write names among others that would be read as several, or as others."""
    named = {change.label for change in changes if change.new == 1 and shape.label}
    separator = shape.separators.get(shape.label or "")
    if separator in (None, "["):
        return
    for name in sorted(named):
        signs = {separator} if separator != ";" else set(SEPARATORS)
        if signs & set(name) or name != name.strip() or name.startswith("["):
            raise DataError(
                f"The class {name!r} cannot be named in the column '{shape.label}', where "
                f"{separator!r} stands between labels. Write another file, such as one of "
                f"JSON lines: --to table --out labels.jsonl."
            )


def read_shape(
    path: Path, options: Mapping[str, Any], image: str | None = None, prefix: str = ""
) -> tuple[pa.Table, Shape]:
    """Read a table file, and how it says labels."""
    keys = ("image_column", "label_column", "negative_column", "split_column")
    said = {str(options[key]).lower() for key in keys if options.get(key)}
    table = read_table(path, WORDS | said | ({image} if image else set()))
    shape = find_shape(table, path.parent, options, image)
    if prefix:
        shape.names[:] = [prefix + name for name in shape.names]
    return table, shape


def spell(states: Sequence[str]) -> dict[int, str]:
    """Return how a table writes present and absent, from some of its cells."""
    spelled = {1: "1", 0: "0", -1: "-1"}
    for text in reversed(states):
        meaning = MEANINGS.get(text.strip().lower())
        meaning = _as_number(text) if meaning is None else meaning
        if meaning is not None:
            spelled[meaning] = text.strip()
    return spelled


def _as_number(text: str) -> int | None:
    try:
        return int(float(text)) if float(text) in (-1.0, 0.0, 1.0) else None
    except ValueError:
        return None
