"""Columns of lists of class names, as cells of a label table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tacit.errors import DataError

SEPARATORS = (";", "|", ",")


class NamedCells(NamedTuple):
    """Cells whose class is still a number in a list of names."""

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    names: list[str]
    separator: str | None = None


def read_named_cells(
    column: pa.ChunkedArray, title: str, separator: str | None = None
) -> NamedCells:
    """Read a column of lists, of text with separators, of JSON lists, or of single names."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    used = None
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lists = column.combine_chunks()
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        lists, used = _split(column.combine_chunks(), title, separator)
    elif pa.types.is_null(column.type):
        lists = pa.nulls(len(column), pa.list_(pa.string()))
    else:
        raise DataError(
            f"The column '{title}' holds {column.type}; labels are names, or lists of names."
        )
    rows = pc.list_parent_indices(lists).to_numpy()
    flat = pc.list_flatten(lists)
    if not (pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type)):
        flat = flat.cast(pa.string())
    coded = flat.dictionary_encode()
    numbers = pc.fill_null(coded.indices, -1).to_numpy().astype(np.int64)
    names: list[str] = coded.dictionary.to_pylist()
    said = numbers >= 0
    if "" in names:
        said &= numbers != names.index("")
    return NamedCells(rows.astype(np.int64)[said], numbers[said], names, used)


def _split(column: pa.Array, title: str, separator: str | None) -> tuple[pa.Array, str | None]:
    """Return lists of names, and what stood between them."""
    column = pc.fill_null(column, "")
    starts = pc.starts_with(pc.utf8_ltrim_whitespace(column), "[")
    if separator is None and pc.any(starts).as_py():
        return _from_json(column.to_pylist(), title), None
    separator = separator or find_separator(column, title)
    parts = pc.split_pattern(column, separator or "\0")
    trimmed = pc.utf8_trim_whitespace(parts.flatten())
    return pa.ListArray.from_arrays(parts.offsets, trimmed), separator


def find_separator(column: pa.Array, title: str) -> str | None:
    """Return the one of the usual separators that occurs, if any; two are not chosen between."""
    found = {}
    for separator in SEPARATORS:
        rows = pc.indices_nonzero(pc.match_substring(column, separator))
        if len(rows):
            found[separator] = rows
    if len(found) > 1:
        (one, some), (other, others) = list(found.items())[:2]
        row = others[0].as_py()
        text = column[row].as_py().strip()
        split = ", ".join(repr(name.strip()) for name in text.split(other))
        raise DataError(
            f"The column '{title}' holds {one!r} in {len(some):,} cells and {other!r} in "
            f"{len(others):,}, so {text[:60]!r} in row {row + 1} may be read in two ways. If only "
            f"{one!r} stands between labels, say separator = {one!r}; if it is {other!r} "
            f"({split[:120]}), say separator = {other!r}; if both do, replace one by the other, or "
            f'write JSON lists, ["a", "b"].'
        )
    return next(iter(found), None)


def _from_json(cells: Iterable[str], title: str) -> pa.Array:
    lists: list[list[str]] = []
    for row, text in enumerate(cells):
        try:
            value = json.loads(text) if text.strip() else []
        except ValueError:
            value = None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise DataError(
                f"The column '{title}' holds JSON lists, but not in row {row + 1}: {text[:60]!r}."
            )
        lists.append(value)
    return pa.array(lists, pa.list_(pa.string()))
