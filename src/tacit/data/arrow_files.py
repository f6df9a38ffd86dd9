"""Reading Arrow's own files: what they hold is checked in full before anything follows it.

Lists and texts are kept as offsets into other buffers. Arrow believes those of a file as they are,
and a damaged one leads outside of the memory: the process ends without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather, parquet


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns."""
    wanted = None if columns is None else list(columns)
    # No partitioning: a folder called split=train is no column.
    return _checked(parquet.read_table(path, columns=wanted, partitioning=None))


def read_parquet_batches(
    file: parquet.ParquetFile, groups: Sequence[int], columns: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """Read columns of a Parquet file, so many rows at a time."""
    batches = file.iter_batches(rows, list(groups), list(columns), use_threads=False)
    return (_checked(batch) for batch in batches)


def read_feather(path: Path) -> pa.Table:
    """Read a file of Arrow's own format, which is also called Feather."""
    return _checked(feather.read_table(path))


def _checked(read: Any) -> Any:
    read.validate(full=True)
    return read
