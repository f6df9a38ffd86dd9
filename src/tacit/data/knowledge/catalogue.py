"""Groups of images, and catalogues that say what can be in the images of a group, from tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tacit.data.formats.shared.assemble import place_names
from tacit.data.formats.table.files import SUFFIXES, find_column, read_table, to_table
from tacit.data.formats.table.name_lists import read_named_cells
from tacit.data.formats.table.read import IMAGE
from tacit.data.knowledge.rules import spread_columns
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError, nearest_name
from tacit.labels import SparseLabels

ALLOWED, ABSENT = "allowed", "absent"


@dataclass(frozen=True)
class Groups:
    """The group of each image.

    Attributes:
        numbers: (N,) a number for each group; an image of no group is one of its own.
        names: The name of each image's group, or None.
    """

    numbers: NDArray[np.int64]
    names: tuple[str | None, ...]

    def take(self, rows: NDArray[np.int64]) -> Groups:
        """Return the groups of some of the images."""
        return Groups(self.numbers[rows], tuple(self.names[row] for row in rows.tolist()))


def read_groups(
    labels: Any, column: str, listing: Listing, image_column: str | None, images: Path | None
) -> Groups:
    """Read which product, video or place each image belongs to.

    Args:
        labels: The table of labels, in a file or in memory.
        column: A column of it; or the path of another table, with a column of file names and one
            of groups.
        listing: The images.
        image_column: The column of file names, if it is called otherwise.
        images: The folder of the images, if the user says it.
    """
    apart = Path(column).suffix.lower() in SUFFIXES and Path(column).is_file()
    source = Path(column) if apart else labels
    in_file = isinstance(source, str | Path)
    if in_file and Path(source).suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"groups = '{column}' is no table file, and {source} is no table that could have such "
            f"a column. Give a table with a column of file names and one of groups."
        )
    words = {column.lower(), (image_column or "").lower(), *IMAGE}
    table = _read_words(Path(source), words, apart) if in_file else to_table(source)
    named = image_column if image_column in table.column_names else None
    file_column = named or _image_column(table)
    group_column = _only_other(table, file_column, source) if apart else _named(table, column)
    root = Path(source).parent if in_file else Path(".")
    written = [str(name) for name in table[file_column].cast(pa.string()).to_pylist()]
    if apart:
        root, images = listing.root, None
    _, names = place_names(written, root, images)
    return _group(listing, names, table[group_column].cast(pa.string()).to_pylist())


def _group(listing: Listing, names: Sequence[str], groups: Sequence[str | None]) -> Groups:
    group_of: dict[str, str] = {}
    for name, group in zip(names, groups, strict=True):
        if group is not None and group.strip() and group_of.setdefault(name, group) != group:
            raise DataError(
                f"The image '{name}' is in two groups, '{group_of[name]}' and '{group}'."
            )
    found = tuple(group_of.get(image) for image in listing.images)
    if not any(found):
        raise DataError(f"The table of groups names none of the images of '{listing.name}'.")
    number_of: dict[str, int] = {}
    alone = iter(range(len(found)))
    numbers = [
        number_of.setdefault(name, len(found) + len(number_of)) if name else next(alone)
        for name in found
    ]
    _, dense = np.unique(np.array(numbers, dtype=np.int64), return_inverse=True)
    return Groups(dense.astype(np.int64), found)


def read_catalogue(
    path: Path, groups: Groups, classes: Sequence[str], above: Sequence[tuple[int, int]]
) -> tuple[SparseLabels, list[str]]:
    """Read which classes can be, or cannot be, in the images of a group.

    The table has a first column of groups, and a column ``allowed`` or ``absent`` of classes.

    Args:
        path: The table.
        groups: The group of each image.
        classes: All classes, in order.
        above: Pairs of a class and one that it implies, which is allowed with it.

    Returns:
        What is ruled out, and what a person should know, a sentence each.
    """
    table = _read_words(path, {ALLOWED, ABSENT}, all_columns=True)
    first = str(table.column_names[0])
    said = [name for name in (ALLOWED, ABSENT) if name in table.column_names]
    if len(said) != 1 or first in said:
        raise DataError(
            f"The catalogue {path} needs a first column of groups and a column '{ALLOWED}' or "
            f"'{ABSENT}' of classes; it has {', '.join(table.column_names)}."
        )
    ruled, strange = _find_ruled_out(table, first, said[0], classes, above)
    listed = list(ruled)
    number_of = {name: number for number, name in enumerate(listed)}
    number = np.array([number_of.get(name or "", -1) for name in groups.names], dtype=np.int64)
    known = np.flatnonzero(number >= 0)
    rows, columns = spread_columns([ruled[name] for name in listed], (known, number[known]))
    unknown = sum(name is not None for name in groups.names) - len(known)
    notes = []
    if strange:
        notes.append(f"{len(strange)} names in {path.name} are no classes, first '{min(strange)}'")
    if unknown:
        notes.append(f"{unknown:,} images belong to groups that are not in {path.name}")
    states = np.full(len(rows), -1, dtype=np.int8)
    shape = (len(groups.names), len(classes))
    return SparseLabels.from_cells(rows, columns, states, shape), notes


def _find_ruled_out(
    table: pa.Table,
    key: str,
    said: str,
    classes: Sequence[str],
    above: Sequence[tuple[int, int]],
) -> tuple[dict[str, list[int]], set[str]]:
    """Return the classes that each group rules out, and the names that are no classes."""
    number_of = {name: number for number, name in enumerate(classes)}
    keys = [str(value) for value in table[key].cast(pa.string()).to_pylist()]
    listed: dict[str, set[int]] = {name: set() for name in keys}
    named = read_named_cells(table[said], said, None)
    strange = {named.names[number] for number in named.numbers} - set(number_of)
    for row, number in zip(named.rows, named.numbers, strict=True):
        column = number_of.get(named.names[number])
        if column is not None:
            listed[keys[row]].add(column)
    if said == ABSENT:
        return {name: sorted(some) for name, some in listed.items()}, strange
    parents: dict[int, list[int]] = {}
    for child, parent in above:
        parents.setdefault(child, []).append(parent)
    everything = set(range(len(classes)))
    return {
        name: sorted(everything - some - {p for c in some for p in parents.get(c, ())})
        for name, some in listed.items()
    }, strange


def _read_words(path: Path, words: set[str], all_columns: bool) -> pa.Table:
    """Read a table whose columns, all of them if asked for, hold words: "007" is not 7."""
    table = read_table(path, frozenset(words))
    if all_columns:
        words = words | {str(name).lower() for name in table.column_names}
        table = read_table(path, frozenset(words))
    return table


def _image_column(table: pa.Table) -> str:
    found = find_column(table.column_names, IMAGE)
    if found is None:
        raise DataError(
            f"The table of groups has no column of file names, such as {', '.join(IMAGE[:4])}; it "
            f"has {', '.join(table.column_names)}."
        )
    return found


def _only_other(table: pa.Table, image: str, path: Path) -> str:
    others = [str(name) for name in table.column_names if name != image]
    if len(others) != 1:
        raise DataError(
            f"{path} needs one column of groups beside '{image}'; it has {len(others)} others."
        )
    return others[0]


def _named(table: pa.Table, column: str) -> str:
    if column in table.column_names:
        return column
    near = nearest_name(column, table.column_names)
    hint = f"did you mean '{near}'?" if near else f"it has {', '.join(table.column_names)}."
    raise UsageError(f"The table of labels has no column '{column}' of groups; {hint}")
