"""Tables of file names, which are read from any place on and never stand in memory as a whole."""

from __future__ import annotations

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from tacit.data.arrow_files import read_parquet_batches
from tacit.data.formats.table.files import find_column
from tacit.data.formats.table.read import IMAGE
from tacit.errors import DataError, UsageError, nearest_name

TEXT = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": ""}
SUFFIXES = (*TEXT, ".parquet")
DELIMITERS = ",;\t|"
AT_ONCE = 1024

RowRange = tuple[int, int]  # where some rows begin, and how many they are


class NameTable(Protocol):
    """A table that names an image in each row."""

    column: str

    def cut(self, rows: int) -> Iterator[RowRange]:
        """Cut the table into places of so many rows, the last of which may have fewer."""

    def read(self, place: RowRange) -> list[str]:
        """Return the names in a place; quickest if places are asked for in their order."""


def open_names(path: Path, column: str | None) -> NameTable:
    """Open a table by its suffix, and find the column of file names."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ParquetNames(path, column)
    if suffix in (".jsonl", ".ndjson"):
        return JsonNames(path, column)
    return CsvNames(path, column)


def choose_column(names: list[str], said: str | None, path: Path) -> str:
    """Return the column of file names: the one that was said, or one that is called like it."""
    shown = ", ".join(names[:5])
    if said is not None:
        if said in names:
            return said
        near = nearest_name(said, names)
        hint = f"did you mean '{near}'?" if near else f"it has {shown}."
        raise UsageError(f"{path} has no column '{said}'; {hint}")
    found = find_column(names, IMAGE)
    if found is not None:
        return found
    raise DataError(
        f"{path} has no column of file names: none of its columns ({shown}) is called "
        f"{', '.join(IMAGE[:4])} or the like. Say which it is with --column."
    )


class ParquetNames:
    """Names in a Parquet file. A place begins at a row."""

    def __init__(self, path: Path, column: str | None) -> None:
        self.path = path
        self.file = self._guard(lambda: parquet.ParquetFile(path, buffer_size=1 << 20))
        self.column = choose_column(self.file.schema_arrow.names, column, path)
        sizes = [
            self.file.metadata.row_group(group).num_rows
            for group in range(self.file.num_row_groups)
        ]
        self.begins = [sum(sizes[:group]) for group in range(len(sizes))]
        self.total = sum(sizes)
        self.names: Iterator[str] = iter(())
        self.position = self.total

    def cut(self, rows: int) -> Iterator[RowRange]:
        """Cut the table into places of so many rows."""
        for first in range(0, self.total, rows):
            yield first, min(rows, self.total - first)

    def read(self, place: RowRange) -> list[str]:
        """Return the names in a place."""
        first, rows = place
        group = max(group for group, begin in enumerate(self.begins) if begin <= first)
        if not self.begins[group] <= self.position <= first:
            self.names, self.position = self._names_from(group), self.begins[group]
        skipped = first - self.position
        self.position = first + rows
        names: list[str] = self._guard(lambda: list(islice(self.names, skipped, skipped + rows)))
        return names

    def _names_from(self, group: int) -> Iterator[str]:
        groups = range(group, len(self.begins))
        for batch in read_parquet_batches(self.file, groups, [self.column], AT_ONCE):
            for name in batch.column(0).cast(pa.string()).to_pylist():
                yield name or ""

    def _guard(self, read: Any) -> Any:
        try:
            return read()
        except (pa.ArrowException, OSError, ValueError) as error:
            first = str(error).partition("\n")[0]
            raise DataError(f"The table {self.path} cannot be read: {first}") from error


class _Lines:
    """The lines of a text file, and where the next one begins."""

    def __init__(self, path: Path, start: int) -> None:
        self.path, self.next = path, start

    def __iter__(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.next)
                for line in file:
                    begins = self.next == 0
                    self.next += len(line)
                    yield line.decode("utf-8-sig" if begins else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not UTF-8 text; save it as UTF-8.") from error
        except OSError as error:
            raise DataError(f"The table {self.path} cannot be read: {error}") from error


class _TextNames(ABC):
    """Names in a text file. A place begins at a byte, so that nothing before it is read."""

    def __init__(self, path: Path, column: str | None) -> None:
        self.path = path
        self.column = choose_column(self._head(), column, path)

    @abstractmethod
    def _head(self) -> list[str]:
        """Return the names of the columns."""

    @abstractmethod
    def _names(self, lines: _Lines) -> Iterator[str]:
        """Yield the name in each row that is left."""

    def _first(self) -> int:
        """Return where the first row begins."""
        return 0

    def cut(self, rows: int) -> Iterator[RowRange]:
        """Cut the table into places of so many rows, by reading it once."""
        lines = _Lines(self.path, self._first())
        begin, count = lines.next, 0
        for _ in self._names(lines):
            count += 1
            if count == rows:
                yield begin, count
                begin, count = lines.next, 0
        if count:
            yield begin, count

    def read(self, place: RowRange) -> list[str]:
        """Return the names in a place."""
        begin, rows = place
        return list(islice(self._names(_Lines(self.path, begin)), rows))


class JsonNames(_TextNames):
    """Names in a file with a JSON object on each line."""

    def _head(self) -> list[str]:
        return list(next(self._objects(_Lines(self.path, 0)), {}))

    def _names(self, lines: _Lines) -> Iterator[str]:
        for row in self._objects(lines):
            yield str(row.get(self.column) or "")

    def _objects(self, lines: _Lines) -> Iterator[dict[str, Any]]:
        for line in lines:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{self.path} holds a line that is no JSON, before byte {lines.next:,}: {error}"
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"{self.path} holds a line that is no JSON object: {line[:40]!r}.")
            yield row


class CsvNames(_TextNames):
    """Names in a CSV file, whatever separates its columns."""

    def _head(self) -> list[str]:
        line = next(iter(_Lines(self.path, 0)), "")
        unquoted = re.sub(r'"[^"]*"', "", line)
        self.delimiter = max(DELIMITERS, key=unquoted.count)
        self.lines = _Lines(self.path, 0)
        self.head = next(self._rows(self.lines), [])
        return self.head

    def _first(self) -> int:
        return self.lines.next

    def _names(self, lines: _Lines) -> Iterator[str]:
        place = self.head.index(self.column)
        for row in self._rows(lines):
            yield row[place] if place < len(row) else ""

    def _rows(self, lines: _Lines) -> Iterator[list[str]]:
        try:
            yield from (row for row in csv.reader(lines, delimiter=self.delimiter) if row)
        except csv.Error as error:
            raise DataError(f"The table {self.path} cannot be read: {error}.") from error
