"""From what a file says, cell by cell, to a listing. Every reader ends here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacit.data.listing import Absent, Boxes, Listing, leaves_the_root
from tacit.errors import DataError, nearest_name
from tacit.labels import Absence, CellClash, SparseLabels
from tacit.names import check_names, read_lines

if TYPE_CHECKING:
    from tacit.data.formats.table.name_lists import NamedCells

# Where images lie beside a file of labels, as people name such folders.
FOLDERS = ("", "images", "image", "imgs", "img", "pictures", "photos", "data", "JPEGImages")
SAMPLE = 20
MEANING: dict[Absent, Absence] = {"unknown": 0, "negative": -1}


class Cells:
    """Collects labels by class name, and remembers how they were understood."""

    def __init__(self, where: str, absent: Absent | None) -> None:
        self.where, self.absent = where, absent
        self.pieces: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]] = []
        self.boxes: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self.numbers: dict[str, int] = {}
        self.notes: list[str] = []
        self.unread: list[str] = []  # columns of a table that nothing is read from
        self.contradicted: list[tuple[int, str]] = []  # rows and classes said to be both
        self.rest: Absent = absent or "unknown"

    def names(self) -> set[str]:
        """Return the names of all classes that were mentioned."""
        return set(self.numbers)

    def add(
        self, rows: NDArray[np.int64], names: Sequence[str], which: NDArray[np.int64], state: int
    ) -> None:
        """Give cells a state; ``which`` counts in ``names``."""
        if not len(rows):
            return
        numbers = self._number(names)[which]
        self.pieces.append((rows, numbers, np.full(len(rows), state, dtype=np.int8)))

    def add_boxes(
        self,
        rows: NDArray[np.int64],
        names: Sequence[str],
        which: NDArray[np.int64],
        corners: NDArray[np.float32],
    ) -> None:
        """Add the boxes of objects; ``which`` counts in ``names``."""
        self.boxes.append((rows, self._number(names)[which], corners))

    def _number(self, names: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self.numbers.setdefault(n, len(self.numbers)) for n in names])

    def add_named(self, named: NamedCells, state: int) -> None:
        """Give cells of a column of names a state."""
        used = np.unique(named.numbers)
        names = [named.names[number] for number in used]
        self.add(named.rows, names, np.searchsorted(used, named.numbers), state)

    def compare(self, name: str, rows: NDArray[np.int64]) -> None:
        """Note the rows of a class's zeros that were already given this class as present."""
        number = self.numbers.get(name)
        for at, which, states in self.pieces:
            present = at[(which == number) & (states == 1)]
            both = present[np.isin(present, rows)].tolist()
            self.contradicted += [(row, name) for row in both]


def assemble(
    cells: Cells,
    name: str,
    placed: tuple[Path, list[str]],
    splits: Sequence[str] | None,
    classes: Sequence[str] = (),
    *,
    beside: Path | None = None,
) -> Listing:
    """Join rows of the same image, put classes in order, and build the listing.

    Args:
        cells: The labels.
        name: What the set is called.
        placed: The folder of the images, and one name below it for each row.
        splits: The split of each row.
        classes: Class names in order, as far as they are known.
        beside: Folder where a file ``classes.txt`` may give the order.
    """
    root, rows = placed
    ordered, note = _order(cells, classes, beside)
    _check_names(cells.where, ordered, rows)
    images = list(dict.fromkeys(rows))
    row_of = {image: number for number, image in enumerate(images)}
    image_of = np.array([row_of[row] for row in rows])
    repeated = len(rows) - len(images)
    if repeated:
        cells.notes.append(f"{repeated:,} rows name an image again; their labels are joined")
    _refuse_contradicted(cells, rows)
    column = {class_name: number for number, class_name in enumerate(ordered)}
    lookup = np.array([column[name] for name in cells.numbers], dtype=np.int64)
    nothing = (np.zeros(0, dtype=np.int64),) * 3
    at, which, states = (np.concatenate(p) for p in zip(nothing, *cells.pieces, strict=True))
    shape = (len(images), len(ordered))
    try:
        labels = SparseLabels.from_cells(
            image_of[at], lookup[which], states, shape, MEANING[cells.rest]
        )
    except CellClash as clash:
        found = [(images[row], ordered[number]) for row, number in clash.cells]
        raise DataError(_describe_contradictions(cells.where, found)) from clash
    cells.notes.append(f"a class that is not mentioned is {cells.rest}")
    notes = (note, *cells.notes)
    split_of = _assign_splits(cells.where, images, rows, splits)
    boxes = _boxes(cells, image_of, lookup)
    listing = Listing(name, root, images, tuple(ordered), labels, split_of, boxes, notes)
    return replace(listing, repeated=repeated, unread=tuple(cells.unread))


def _refuse_contradicted(cells: Cells, rows: Sequence[str]) -> None:
    if cells.contradicted:
        found = [(rows[row], name) for row, name in cells.contradicted]
        raise DataError(_describe_contradictions(cells.where, found))


def _describe_contradictions(where: str, found: Sequence[tuple[str, str]]) -> str:
    """Say of which images a file says both that they show a class and that they do not."""
    shown = "; ".join(f"'{image}' about '{name}'" for image, name in found[:5])
    more = f"; and {len(found) - 5:,} more" if len(found) > 5 else ""
    return (
        f"{where} contradicts itself: both present and absent are said to be {shown}{more} "
        f"({len(found):,} in all)."
    )


def _boxes(cells: Cells, image_of: NDArray[np.int64], lookup: NDArray[np.int64]) -> Boxes | None:
    """Sort boxes by image and class."""
    if not cells.boxes:
        return None
    rows, numbers, corners = (np.concatenate(piece) for piece in zip(*cells.boxes, strict=True))
    order = np.argsort(image_of[rows], kind="stable")
    return Boxes(image_of[rows][order], lookup[numbers][order].astype(np.int32), corners[order])


def _check_names(where: str, classes: Sequence[str], images: Sequence[str]) -> None:
    """Refuse what no file and no line of text can be called."""
    if not images:
        raise DataError(f"{where} lists no images.")
    check_names(where, "class", classes)
    check_names(where, "image", images)


def _assign_splits(
    where: str, images: list[str], rows: list[str], splits: Sequence[str] | None
) -> Sequence[str]:
    if splits is None:
        return ()
    split_of: dict[str, str] = {}
    for row, split in zip(rows, splits, strict=True):
        if split_of.setdefault(row, split) != split:
            raise DataError(
                f"{where} puts the image '{row}' into two splits, '{split_of[row]}' and '{split}'."
            )
    return [split_of[image] for image in images]


def _order(cells: Cells, classes: Sequence[str], beside: Path | None) -> tuple[list[str], str]:
    """Return all class names in their order, and where the order comes from."""
    ordered, note = list(classes), "the classes are in the order given"
    file = beside / "classes.txt" if beside else None
    if not ordered and file is not None and file.is_file():
        ordered = read_lines(file)
        note = f"the classes and their order are those of {file.name}"
    if not ordered:
        return sorted(cells.numbers), "the classes are in alphabetical order"
    twice = [name for name, count in Counter(ordered).items() if count > 1]
    if twice:
        raise DataError(f"{cells.where}: the class '{twice[0]}' is listed twice.")
    strange = [name for name in cells.numbers if name not in set(ordered)]
    if strange:
        near = nearest_name(strange[0], ordered)
        hint = f"did you mean '{near}'?" if near else f"known: {', '.join(ordered[:5])} ..."
        raise DataError(
            f"{cells.where} names {len(strange)} classes that are not in the list of classes, "
            f"first '{strange[0]}'; {hint}"
        )
    return ordered, note


def place_names(
    names: Sequence[str], root: Path, images: Path | None, also: Sequence[str] = ()
) -> tuple[Path, list[str]]:
    """Find the folder of the images, and say every name as a path below it.

    Args:
        names: File names as they are written.
        root: Folder of the file of labels.
        images: Folder of the images, if the user says it.
        also: Further folders below the root where they may be.
    """
    best = find_folder(names, root, images, also)
    return best, [_below(best, name) for name in names]


def find_folder(
    names: Sequence[str], root: Path, images: Path | None, also: Sequence[str] = ()
) -> Path:
    """Return the folder below which the images are; the root if they are nowhere."""
    if images is not None and not images.is_dir():
        raise DataError(f"There is no folder of images at {images}.")
    folders = [(images or root) / folder for folder in ("", *also)]
    folders += [root / folder for folder in FOLDERS if images is None]
    step = max(1, len(names) // SAMPLE)
    sample = [name.replace("\\", "/") for name in names[::step]]
    found = {folder: sum(_exists(folder, name) for name in sample) for folder in folders}
    return max(folders, key=lambda folder: found[folder])


def _exists(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _below(folder: Path, name: str) -> str:
    """Make a full path relative to the folder, where it lies below it."""
    if "\\" in name:
        name = name.replace("\\", "/")
    # Quick, for a million names: paths are only taken apart where one might leave the folder.
    plain = not name.startswith("/") and ":" not in name and ".." not in name
    if plain or not leaves_the_root(name):
        return name.removeprefix("./")
    relative = os.path.relpath(name, folder.absolute()) if Path(name).is_absolute() else name
    return name if relative.startswith("..") else Path(relative).as_posix()
