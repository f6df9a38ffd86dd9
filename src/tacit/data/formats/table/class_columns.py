"""Columns of a table that stand for classes, as cells of a label table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tacit.data.formats.shared.assemble import Cells
from tacit.errors import DataError, UsageError

MEANINGS = {"1": 1, "0": 0, "-1": -1}
MEANINGS |= dict.fromkeys(("true", "yes", "t", "y"), 1)
MEANINGS |= dict.fromkeys(("false", "no", "f", "n"), 0)
BLANK = 2
# Columns that say something about an image or a row, and hardly ever what an image shows. Not
# "train", which many images show.
OTHERS = frozenset(
    (
        *("id", "index", "idx", "row", "number", "no", "num", "count", "counts", "total", "sum"),
        *("size", "bytes", "width", "height", "depth", "channels", "area", "ratio", "order"),
        *("rank", "page", "version", "score", "weight", "quality", "confidence"),
        *("year", "month", "day", "hour", "date", "time", "timestamp", "lat", "latitude", "lon"),
        *("longitude", "fold", "group", "cluster", "batch", "seed", "status", "state", "valid"),
        *("is_valid", "verified", "checked", "reviewed", "done", "skip", "skipped", "ignore"),
        *("iscrowd", "difficult", "truncated", "occluded", "test", "val", "validation"),
        *("is_train", "is_test", "is_val"),
    )
)


def find_class_columns(
    table: pa.Table, names: list[str], classes: Sequence[str] | None
) -> list[str]:
    """Return the columns that hold nothing but labels; one alone is taken for something else."""
    if classes is not None:
        return [name for name in classes if name in names]
    found = [name for name in names if is_class_column(table[name])]
    # Columns without a single entry are classes only in the company of others.
    return found if sum(table[name].null_count < len(table) for name in found) > 1 else []


def refuse_doubtful(
    table: pa.Table, hot: Sequence[str], rest: Sequence[str], usual: Collection[str], where: str
) -> None:
    """Refuse to guess whether a column is one of a class: its name or its numbers contradict it.

    Args:
        table: The table.
        hot: Columns that hold nothing but labels.
        rest: All columns whose meaning nobody has said.
        usual: Further names of columns that are none of a class.
        where: What the table is called.
    """
    doubtful = {
        name: "holds labels as the classes' columns do, and is called like something else"
        for name in hot
        if name.strip().lower() in OTHERS or name.strip().lower() in usual
    }
    doubtful |= {
        name: "counts something: it holds 0 and whole numbers above 1"
        for name in rest
        if name not in hot and name.strip().lower() not in OTHERS and _counts(table[name])
    }
    if doubtful:
        name, why = next(iter(doubtful.items()))
        more = f", and so are {len(doubtful) - 1} more" if len(doubtful) > 1 else ""
        raise DataError(
            f"{where}: the column '{name}' is in doubt{more}. It stands beside columns of classes "
            f"and {why}. Say that it is no class, other_columns = ['{name}'], or list the columns "
            f"that are classes: classes = ['{_sample(hot, doubtful)}', ...]."
        )


def _sample(hot: Sequence[str], doubtful: Collection[str]) -> str:
    return next((name for name in hot if name not in doubtful), next(iter(doubtful)))


def _counts(column: pa.ChunkedArray) -> bool:
    """Whether a column may say how often a class is there."""
    if not pa.types.is_integer(column.type):
        return False
    least, most = pc.min_max(column).as_py().values()
    return bool(least == 0 and most > 1)


def is_class_column(column: pa.ChunkedArray) -> bool:
    """Whether a column holds nothing but 1, 0, -1, words for yes and no, and blanks."""
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return True
    if pa.types.is_nested(kind):
        return False
    distinct = [value for value in pc.unique(column).to_pylist() if value is not None]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return all(value in (-1, 0, 1) or value != value for value in distinct)
    return all(str(value).strip().lower() in ("", *MEANINGS) for value in distinct)


def add_columns(
    cells: Cells, columns: Mapping[str, pa.ChunkedArray], negative_value: int | None
) -> None:
    """Read a column for each class: 1 present, and what 0, -1 and blank mean together.

    Columns are read one at a time, so that the table never stands in memory a second time.
    """
    less, zeros, blank = _count_states(read_states(column) for column in columns.values())
    negative = _negative(cells, less, zeros, blank, negative_value)
    for name, column in columns.items():
        states = read_states(column)
        cells.compare(name, np.flatnonzero(states == 0))
        cells.numbers.setdefault(name, len(cells.numbers))
        for number, state in ((1, 1), *([(negative, -1)] if negative is not None else [])):
            rows = np.flatnonzero(states == number)
            cells.add(rows, [name], np.zeros(len(rows), dtype=np.int64), state)


def _count_states(columns: Iterable[NDArray[np.int8]]) -> tuple[int, int, int]:
    """Return how many cells hold -1, 0 and nothing."""
    counts = np.zeros(4, dtype=np.int64)
    for states in columns:
        counts += np.bincount(states + 1, minlength=4)
    return int(counts[0]), int(counts[1]), int(counts[3])


def find_negative(columns: Iterable[NDArray[np.int8]], said: int | None) -> tuple[int | None, bool]:
    """Return the number that means absent, if any does, and whether some cell is blank."""
    _, _, blank = _count_states(columns)
    return (said if said is not None else 0 if blank else None), bool(blank)


def _negative(cells: Cells, less: int, zeros: int, blank: int, said: int | None) -> int | None:
    """Decide which number says that a class is absent; None where absence needs no cell."""
    if said is not None:
        if said not in (0, -1):
            raise UsageError(f"negative_value is 0 or -1, not {said}.")
        cells.notes.append(f"{said} in a class's column means absent")
        return said
    if less:
        raise DataError(
            f"{cells.where}: {less:,} cells of the classes' columns hold -1, which may mean absent "
            f"or unsure. Say which number means absent: negative_value -1 or 0."
        )
    if blank:
        cells.notes.append(
            f"0 in a class's column means absent, since {blank:,} cells are blank (unknown)"
        )
        return 0
    cells.notes.append(
        f"{zeros:,} cells of the classes' columns hold 0 and none is blank; 0 is read as "
        f"{cells.rest}"
    )
    return None


def read_states(column: pa.ChunkedArray) -> NDArray[np.int8]:
    """Return a class's column as 1, 0, -1 and, where it is blank, 2."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.combine_chunks().dictionary_encode()
        texts = [(text or "").strip().lower() for text in coded.dictionary.to_pylist()]
        table = np.array([*(MEANINGS.get(text, BLANK) for text in texts), BLANK], dtype=np.int8)
        indices: NDArray[np.int64] = pc.fill_null(coded.indices, len(texts)).to_numpy()
        return table[indices]
    numbers = column.cast(pa.float32()).to_numpy()
    states: NDArray[np.int8] = np.where(np.isnan(numbers), BLANK, numbers).astype(np.int8)
    return states
