"""The file of suspects: a row for every unknown cell that may well be a missed positive.

It is written a block at a time and read a group of rows at a time, so that neither needs more
memory for a million images than for a thousand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tacit.data.arrow_files import read_parquet_batches
from tacit.errors import DataError
from tacit.files import write_atomically

FORMAT = 1
KIND = "tacit suspects"

COLUMNS = (
    ("image", pa.string()),
    ("class", pa.dictionary(pa.int32(), pa.string())),
    ("rank", pa.int64()),  # 1 is the most probable
    ("posterior", pa.float32()),  # how probably the class is there
    ("score", pa.float32()),  # probability of a model that was not trained on the image
    ("evidence", pa.map_(pa.string(), pa.float32())),  # such as gap, times, neighbours
    ("box", pa.list_(pa.float32(), 4)),  # x0, y0, x1, y1 as shares of the image; where to look
)

NAMES = tuple(name for name, _ in COLUMNS)
ROWS_AT_ONCE = 65_536


def write_suspects(path: Path, blocks: Iterable[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write suspects in the order of their ranks.

    Args:
        path: The file.
        blocks: Columns by name, all of one length; "evidence" and "box" may be left out.
        about: ``data``, the fingerprint of the labels; ``classes``; ``floor``, the posterior below
            which cells were left out; and whatever else a reader may want to know.
    """
    told = json.dumps({"format": FORMAT, "kind": KIND, **about})
    schema = pa.schema(COLUMNS).with_metadata({"tacit": told})

    def write(partial: Path) -> None:
        with parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
            for block in blocks:
                writer.write_batch(_to_batch(block, about["classes"], schema))

    write_atomically(path, write)


def _to_batch(block: dict[str, Any], classes: list[str], schema: pa.Schema) -> pa.RecordBatch:
    rows = len(block["image"])
    arrays = []
    for field in schema:
        if field.name not in block:
            arrays.append(pa.nulls(rows, field.type))
        elif field.name == "class":
            columns = pa.array(block["class"], pa.int32())  # numbers of classes
            arrays.append(pa.DictionaryArray.from_arrays(columns, pa.array(list(classes))))
        else:
            arrays.append(pa.array(block[field.name], field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class SuspectsFile:
    """An open file of suspects.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = parquet.ParquetFile(path)
            told = json.loads((self.file.schema_arrow.metadata or {}).get(b"tacit", b"{}"))
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = "is not there" if not path.exists() else "is damaged and cannot be read"
            raise DataError(f"{path} {reason}; `tacit suspects RUN` writes it.") from error
        if not isinstance(told, dict) or told.get("kind") != KIND:
            raise DataError(
                f"{path} is no list of suspects; `tacit suspects RUN` writes one. What a run kept "
                f"while it trained is another file."
            )
        format, classes = told.get("format"), told.get("classes")
        if isinstance(format, int) and format > FORMAT:
            raise DataError(f"{path} was written by a newer tacit; use that one, or update this.")
        named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        if format != FORMAT or not named or not self._has_columns():
            raise self._damaged("its columns or what it says of itself are others")
        self.about: dict[str, Any] = told

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    def blocks(self, columns: Sequence[str] = NAMES) -> Iterator[pa.RecordBatch]:
        """Go through the suspects, best first, a block at a time."""
        groups = range(self.file.num_row_groups)
        try:
            for batch in read_parquet_batches(self.file, groups, columns, ROWS_AT_ONCE):
                self._check(batch)
                yield batch
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(str(error).partition("\n")[0]) from error

    def _has_columns(self) -> bool:
        schema = self.file.schema_arrow
        found = {field.name: field.type for field in schema}
        return len(found) == len(schema) and all(found.get(name) == kind for name, kind in COLUMNS)

    def _check(self, batch: pa.RecordBatch) -> None:
        """Refuse rows that are about nothing, and posteriors that are none."""
        for name in batch.schema.names:
            column = batch.column(name)
            if name in ("image", "class", "posterior") and column.null_count:
                raise self._damaged(f"a row has no {name}")
            if name == "posterior" and len(column):
                values = column.to_numpy(zero_copy_only=False)
                if not ((values >= 0) & (values <= 1)).all():
                    raise self._damaged("a posterior is no number from 0 to 1")

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"{self.path} is damaged and cannot be read ({why}); `tacit suspects RUN` writes it."
        )
