"""A table's rows one by one, where its reader refuses the whole or joins rows.

Readers refuse what contradicts itself, as they should; a check wants to say where, and to go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from tacit.check.findings import Findings
from tacit.check.spelling import is_same_or_slip
from tacit.data.formats.shared.assemble import MEANING, Cells, place_names
from tacit.data.formats.table.class_columns import add_columns, find_class_columns
from tacit.data.formats.table.files import find_column, read_table
from tacit.data.formats.table.name_lists import read_named_cells
from tacit.data.formats.table.read import IMAGE, LABELS, NEGATIVES, SPLIT, WORDS
from tacit.data.listing import Absent, Listing
from tacit.errors import DataError, nearest_name
from tacit.labels import SparseLabels
from tacit.names import read_lines

Cell = tuple[int, str]
Said = tuple[int, str, int]  # row, class and state


class Rows:
    """A table as it is written.

    Attributes:
        images: One name for every row, as a path below ``root``; rows without a name are left out.
    """

    def __init__(self, path: Path, told: Mapping[str, Any]) -> None:
        self.path, self.told = path, told
        said = [told.get(f"{kind}_column") for kind in ("image", "split", "label", "negative")]
        table = read_table(path, WORDS | {name.lower() for name in said if name})
        usual = (IMAGE, SPLIT, LABELS, NEGATIVES)
        kinds: tuple[str | int, ...] = ("image", "split", 1, -1)
        self.found: dict[str | int, str | None] = {
            kind: name or find_column(table.column_names, names)
            for kind, name, names in zip(kinds, said, usual, strict=True)
        }
        if self.found["image"] is None:
            raise DataError(f"{path} has no column of file names.")
        images: Path | None = told.get("images")
        names = _texts(table, self.found["image"])
        self.blank = [row for row, name in enumerate(names) if not name.strip()]
        self.named_rows = [row for row, name in enumerate(names) if name.strip()]
        self.table = table.take(pa.array(self.named_rows, pa.int64())) if self.blank else table
        written = [names[row] for row in self.named_rows]
        self.root, self.images = place_names(written, path.parent, images)
        self.rows = {image: row for row, image in enumerate(dict.fromkeys(self.images))}

    def find_repeated(self, findings: Findings) -> None:
        """Report images that several rows name."""
        for image, times in Counter(self.images).items():
            if times > 1:
                findings.add("listed_twice", {"image": image, "times": times})

    def salvage(self, absent: Absent | None, findings: Findings) -> Listing:
        """Report what the reader refuses, and return what can be said without it."""
        for row in self.blank:
            findings.add("blank_name", {"row": row + 1})
        splits = self._read_splits(findings)
        named = self.named
        at = self._image_rows()
        said = {(at[row], name, state) for row, name, state in named | self._columns(named, absent)}
        images, states = list(self.rows), dict[Cell, int]()
        for row, name, state in sorted(said):
            if states.setdefault((row, name), state) != state:
                findings.add("conflict", {"image": images[row], "class": name})
                states[row, name] = 0
        names = list(dict.fromkeys(name for _, name in states))
        classes = self._classes(names, findings)
        place = {name: number for number, name in enumerate(classes)}
        labels = SparseLabels.from_cells(
            [row for row, _ in states],
            [place[name] for _, name in states],
            list(states.values()),
            (len(self.rows), len(classes)),
            MEANING[absent or "unknown"],
        )
        return Listing(self.path.stem, self.root, images, tuple(classes), labels, splits)

    def _image_rows(self) -> list[int]:
        return [self.rows[image] for image in self.images]

    def _read_splits(self, findings: Findings) -> list[str]:
        if self.found["split"] is None:
            return []
        split_of: dict[str, str] = {}
        for image, split in zip(self.images, _texts(self.table, self.found["split"]), strict=True):
            other = split_of.setdefault(image, split)
            if other != split:
                said = {"image": image, "split": other, "other_split": split}
                findings.add("two_splits", said)
        return list(split_of.values())

    @cached_property
    def named(self) -> set[Said]:
        """Return what the columns of names say."""
        said: set[Said] = set()
        for state in (1, -1):
            column = self.found[state]
            if column is not None:
                named = read_named_cells(self.table[column], column, self.told.get("separator"))
                cells = zip(named.rows.tolist(), named.numbers.tolist(), strict=True)
                said |= {(row, named.names[number], state) for row, number in cells}
        return said

    def _columns(self, named: set[Said], absent: Absent | None) -> set[Said]:
        """Return what the classes' own columns say.

        0 is kept where it means absent, and where it contradicts a name; otherwise it says nothing.
        """
        said: set[Said] = set()
        columns = {name: self._column_cells(name, absent) for name in self.hot}
        looked = absent != "negative" and any(
            sum(len(rows) for rows, _ in cells) < len(self.table) for cells in columns.values()
        )
        for name, cells in columns.items():
            for rows, state in cells:
                kept = rows if state == 1 or looked else [r for r in rows if (r, name, 1) in named]
                said |= {(row, name, state) for row in kept}
        return said

    def list_free(self) -> list[str]:
        """Return the columns of which nobody has said anything."""
        taken = {*self.found.values(), *self.told.get("other_columns", ())}
        return [name for name in self.table.column_names if name not in taken]

    @cached_property
    def hot(self) -> list[str]:
        """The columns that stand for classes."""
        hot = find_class_columns(self.table, self.list_free(), self.told.get("classes"))
        # As readers do: columns that lack a class of the names are something else.
        return hot if {name for _, name, _ in self.named} <= set(hot) else []

    def _column_cells(self, name: str, absent: Absent | None) -> list[tuple[list[int], int]]:
        cells = Cells(str(self.path), absent)
        add_columns(cells, {name: self.table[name]}, self.told.get("negative_value") or 0)
        return [(rows.tolist(), int(states[0])) for rows, _, states in cells.pieces]

    def _classes(self, names: list[str], findings: Findings) -> list[str]:
        """Return the classes in their order, and report names that the list does not have."""
        file = self.path.parent / "classes.txt"
        beside = list(dict.fromkeys(read_lines(file))) if file.is_file() else []
        listed = list(self.told.get("classes") or self.hot or beside)
        if not listed:
            return sorted(names)
        strange = [name for name in names if name not in set(listed)]
        for name in strange:
            near = nearest_name(name, listed)
            hint = f"; did you mean '{near}'?" if near else ""
            # A name that only resembles another may well be a class that was forgotten.
            other = near if near and is_same_or_slip(name, near) else None
            findings.add("unlisted_class", {"class": name, "other": other, "near": hint})
        return [*listed, *strange]


def _texts(table: pa.Table, column: str) -> list[str]:
    return [text or "" for text in table[column].cast(pa.string()).to_pylist()]
