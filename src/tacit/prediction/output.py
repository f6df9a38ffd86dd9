"""Writing predictions as Parquet, CSV or JSON lines, and putting the parts together."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tacit.data.arrow_files import read_parquet
from tacit.errors import DataError
from tacit.files import write_atomically
from tacit.names import csv_writer, escape_formula
from tacit.prediction.columns import CLASSES

SEPARATOR = "|"  # between the labels in a CSV cell
EXAMPLES = 5
ROWS_AT_ONCE = 1024


@dataclass
class Tally:
    """How many images there were, and those that have no prediction."""

    images: int = 0
    failed: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, image: str, error: str | None) -> None:
        """Count an image."""
        self.images += 1
        if error:
            self.failed += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append((image, error))


def write_part(table: pa.Table, path: Path, format: str, spreadsheet_safe: bool = False) -> None:
    """Write the predictions of one shard, so that the file is there as a whole or not at all.

    Args:
        table: The predictions.
        path: The file.
        format: parquet, csv or jsonl.
        spreadsheet_safe: In CSV, write texts so that a spreadsheet calculates nothing.
    """
    write = _WRITERS[format]
    if spreadsheet_safe:
        write = partial(_write_csv, change=escape_formula)
    write_atomically(path, lambda target: write(table, target))


def merge(parts: Iterable[Path], path: Path, format: str) -> None:
    """Put the parts into one file, one at a time."""
    merger = _merge_parquet if format == "parquet" else _merge_text
    write_atomically(path, lambda partial: merger(parts, partial, format))


def count(parts: Iterable[Path], format: str) -> Tally:
    """Count the images of all parts."""
    tally = Tally()
    for path in parts:
        with _reading(path):
            for image, error in _READERS[format](path):
                tally.add(image, error)
    return tally


@contextmanager
def _reading(part: Path) -> Iterator[None]:
    """Say which part is damaged, whatever shows it."""
    try:
        yield
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{part} cannot be read; delete it and repeat the command: {reason}"
        ) from error


def _write_parquet(table: pa.Table, path: Path) -> None:
    parquet.write_table(table, path, compression="zstd")


def _merge_parquet(parts: Iterable[Path], path: Path, format: str) -> None:
    writer: Any = None
    for part in parts:
        with _reading(part):
            table = read_parquet(part)
            if writer is not None and table.schema != writer.schema:
                raise ValueError("its columns are not those of the other parts.")
        writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()


def _read_parquet(path: Path) -> Iterator[tuple[str, str | None]]:
    table = read_parquet(path, ["image", "error"])
    yield from zip(table["image"].to_pylist(), table["error"].to_pylist(), strict=True)


def _write_csv(table: pa.Table, path: Path, change: Callable[[str], str] = str) -> None:
    scores = "scores" in table.column_names
    classes = json.loads(table.schema.metadata[CLASSES]) if scores else []
    head = list(table.column_names)
    if scores:
        place = head.index("scores")
        head[place : place + 1] = [f"score {name}" for name in classes]
    with path.open("w", encoding="utf-8", newline="") as file:
        write_row = csv_writer(file)
        write_row(map(change, head))
        for row in _rows(table):
            cells: list[Any] = []
            for name, value in row.items():
                if name == "scores":
                    cells.extend(value or [""] * len(classes))
                else:
                    text = SEPARATOR.join(value) if isinstance(value, list) else value
                    cells.append(change(text or ""))
            write_row(cells)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    keys = [
        json.dumps(name, ensure_ascii=False) for name in json.loads(table.schema.metadata[CLASSES])
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in _rows(table):
            parts = []
            for name, value in row.items():
                if name == "scores" and value is not None:
                    text = ", ".join(f"{key}: {n}" for key, n in zip(keys, value, strict=True))
                    text = f"{{{text}}}"
                elif name == "top_scores" and value is not None:
                    text = f"[{', '.join(value)}]"
                else:
                    text = json.dumps(value, ensure_ascii=False)
                parts.append(f'"{name}": {text}')
            file.write(f"{{{', '.join(parts)}}}\n")


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Return rows in which numbers are texts: as few digits as give the number back."""
    for batch in table.to_batches(ROWS_AT_ONCE):
        for number in range(batch.num_rows):
            yield {name: _value(batch.column(name)[number]) for name in batch.schema.names}


def _value(cell: Any) -> Any:
    if pa.types.is_list(cell.type) and pa.types.is_floating(cell.type.value_type):
        return None if cell.values is None else _digits(cell.values.to_numpy(zero_copy_only=False))
    return cell.as_py()


def _digits(numbers: Any) -> list[str]:
    texts: list[str] = np.asarray(numbers).astype(str).tolist()
    return texts


def _merge_text(parts: Iterable[Path], path: Path, format: str) -> None:
    with path.open("wb") as file:
        for number, part in enumerate(parts):
            with part.open("rb") as lines:
                if number and format == "csv":
                    _skip_head(lines)
                while block := lines.read(1 << 20):
                    file.write(block)


def _skip_head(file: io.BufferedReader) -> None:
    """Skip the first record of a CSV file, which may have line ends in quotes."""
    quotes = 0
    for line in iter(file.readline, b""):
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            return


def _read_csv(path: Path) -> Iterator[tuple[str, str | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        width = len(next(rows))
        for row in rows:
            if len(row) != width:
                raise ValueError(f"it has a row of {len(row)} cells instead of {width}.")
            yield row[0], row[-1] or None


def _read_jsonl(path: Path) -> Iterator[tuple[str, str | None]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row["image"], str):
                raise ValueError("it has a row without the name of an image.")
            yield row["image"], row["error"]


_WRITERS = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl}
_READERS = {"parquet": _read_parquet, "csv": _read_csv, "jsonl": _read_jsonl}
