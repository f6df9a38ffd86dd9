"""Tables from files and from other libraries, as Arrow tables."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json

from tacit.data.arrow_files import read_feather, read_parquet
from tacit.data.formats.shared.json_files import check_json_lines
from tacit.errors import DataError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
DELIMITERS = ",;\t|"
LONGEST = 1 << 20
_QUOTED = re.compile(r'"[^"]*("|$)')  # what separates columns does not stand in quotes
# What a number's cell may hold if nobody filled it in. In a column of words only "" is blank.
BLANK = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?"]


def read_table(path: Path, words: frozenset[str]) -> pa.Table:
    """Read a table file.

    Args:
        path: A file with one of the known suffixes.
        words: Lower-case names of columns that hold words even where they look like numbers:
            "000123" is a file name, not 123.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None or not path.is_file():
        raise DataError(f"{path} is no table; tables are {', '.join(SUFFIXES)} files.")
    try:
        if kind == "csv":
            return _read_csv(path, words)
        if kind == "jsonl":
            return _read_json(path, words)
        if kind == "parquet":
            return read_parquet(path)
        return read_feather(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"The table {path} cannot be read: {first}") from error


def to_table(value: Any) -> pa.Table:
    """Take a table of another library (pandas, polars, anything that speaks Arrow)."""
    if isinstance(value, pa.Table):
        return value
    try:
        if hasattr(value, "__arrow_c_stream__"):
            return pa.table(value)
        return pa.Table.from_pandas(value, preserve_index=False)
    except (pa.ArrowException, TypeError, AttributeError, ImportError, ValueError) as error:
        raise DataError(
            f"labels are a path, or a table of pandas, polars or Arrow, and a "
            f"{type(value).__name__} is no table that can be read: {error}."
        ) from error


def _read_json(path: Path, words: frozenset[str]) -> pa.Table:
    check_json_lines(path)
    table = arrow_json.read_json(path)
    # Arrow takes "2024-05-01" for a time; as a name it has to stay as it is written.
    texts = {
        field.name: pa.list_(pa.string()) if pa.types.is_list(field.type) else pa.string()
        for field in table.schema
        if field.name.strip().lower() in words and _is_time(field.type)
    }
    if not texts:
        return table
    options = arrow_json.ParseOptions(explicit_schema=pa.schema(texts))
    return arrow_json.read_json(path, parse_options=options)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind.value_type if pa.types.is_list(kind) else kind))


def _read_csv(path: Path, words: frozenset[str]) -> pa.Table:
    delimiter, names = _header(path)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{path} has {len(twice)} column names that occur twice, first '{twice[0]}'; "
            f"give each column a name of its own."
        )
    types = {name: pa.string() for name in names if name.strip().lower() in words}
    return arrow_csv.read_csv(
        path,
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, null_values=BLANK, strings_can_be_null=False
        ),
    )


def find_column(names: Iterable[str], usual: Iterable[str]) -> str | None:
    """Return the first column that is called like one of the usual names, whatever its case."""
    lowered = {str(name).strip().lower(): str(name) for name in reversed(list(names))}
    return next((lowered[name] for name in usual if name in lowered), None)


def read_first_line(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file; none where it is no text."""
    try:
        return _header(path)[1]
    except (DataError, OSError):
        return []


def read_delimiter(path: Path) -> str:
    """Return what separates the columns of a CSV file."""
    return _header(path)[0]


def _header(path: Path) -> tuple[str, list[str]]:
    """Return what separates the columns, and their names."""
    try:
        # Names may hold line ends, if quoted; the csv module then reads on.
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = _QUOTED.sub("", file.readline(LONGEST))
            delimiter = max(DELIMITERS, key=line.count)
            file.seek(0)
            names = next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"The table {path} cannot be read: {error}.") from error
    if len(names) < 2:
        raise DataError(
            f"{path} has {len(names)} column; a table of labels needs one for the images and one "
            f"or more for the labels."
        )
    return delimiter, names
