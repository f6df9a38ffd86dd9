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


def read_named_cells(
    column: pa.ChunkedArray, title: str, separator: str | None = None
) -> NamedCells:
    """Read a column of lists, of text with separators, of JSON lists, or of single names."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lists = column.combine_chunks()
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        lists = _split(column.combine_chunks(), title, separator)
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
    return NamedCells(rows.astype(np.int64)[said], numbers[said], names)


def _split(column: pa.Array, title: str, separator: str | None) -> pa.Array:
    column = pc.fill_null(column, "")
    starts = pc.starts_with(pc.utf8_ltrim_whitespace(column), "[")
    if separator is None and pc.any(starts).as_py():
        return _from_json(column.to_pylist(), title)
    separator = separator or find_separator(column)
    if separator is None:
        parts = pc.split_pattern(column, "\0")
    else:
        parts = pc.split_pattern(column, separator)
    trimmed = pc.utf8_trim_whitespace(parts.flatten())
    return pa.ListArray.from_arrays(parts.offsets, trimmed)


def find_separator(column: pa.Array) -> str | None:
    """Return the first of the usual separators that occurs at all."""
    for separator in SEPARATORS:
        if pc.any(pc.match_substring(column, separator)).as_py():
            return separator
    return None


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
