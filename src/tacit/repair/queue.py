"""The queue: suspects in the order in which they are shown, the most probable first.

A million suspects are some arrays. The first block is read at once, so that the first question
need not wait for the rest, which follows on a thread of its own.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tacit.data.source import Source
from tacit.errors import DataError
from tacit.labels import number_cells
from tacit.repair.suspects_file import SuspectsFile

READ = ("image", "class", "posterior", "box")
HEAD_START = 3.0  # seconds at most until the rest is read
Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Wanted:
    """Which suspects somebody wants to see.

    Attributes:
        column: Only of this class.
        least: Only with at least this posterior.
        most: Only with at most this posterior.
        without_label: Only of images with no known positive at all.
        unseen: Only of images that nobody has looked at.
        name: Only of images the names of which hold this, such as a folder's.
    """

    column: int | None = None
    least: float = 0.0
    most: float = 1.0
    without_label: bool = False
    unseen: bool = False
    name: str = ""

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Wanted()


class Queue:
    """Suspects beside the images that they are about.

    Args:
        file: The suspects.
        source: The images and labels, the very ones that the suspects were found in.
    """

    def __init__(self, file: SuspectsFile, source: Source) -> None:
        self.data = _check_same(file, source)  # the fingerprint
        count = len(file)
        self.source, self.classes, self.path = source, len(source.classes), file.path
        self.rows = np.zeros(count, np.int32)
        self.columns = np.zeros(count, np.int32)
        self.posteriors = np.zeros(count, np.float32)
        self.boxes = np.full((count, 4), np.nan, np.float16)  # shares; a thousandth is fine enough
        self.done = np.zeros(count, bool)  # somebody has said what it is
        self.seen = np.zeros(len(source), bool)  # somebody has looked at the image
        self.without_label = source.labels.per_image(1) == 0
        self.order: NDArray[np.int64] | None = None  # positions, if not as they come
        self.loaded = 0
        self._failed: Exception | None = None
        self._named: tuple[str, NDArray[np.bool_]] | None = None
        self._by_cell: tuple[Cells, NDArray[np.int32]] | None = None
        self._answered: set[int] = set()
        self._lock = threading.Lock()
        self.rest_is_read = threading.Event()
        self._may_go_on = threading.Event()
        blocks = _translate(file, source)
        self._load(itertools.islice(blocks, 1))
        self._rest = threading.Thread(target=self._load_rest, args=(blocks,), daemon=True)
        self._rest.start()
        if self.loaded == count:  # there is no rest
            self.wait()

    def __len__(self) -> int:
        return len(self.rows)

    def wait(self) -> None:
        """Wait until all suspects are read."""
        self._may_go_on.set()
        self._rest.join()
        if self._failed is not None:
            raise self._failed

    def mark(self, cells: Cells, done: bool) -> None:
        """Say that cells, by number, are answered, or are not any more."""
        with self._lock:
            change = self._answered.update if done else self._answered.difference_update
            change(cells.tolist())
            for row in (cells // self.classes).tolist():
                of_image = range(row * self.classes, (row + 1) * self.classes)
                self.seen[row] = done or not self._answered.isdisjoint(of_image)
            for position in self.find(cells, wait=False):
                if position >= 0:
                    self.done[position] = done

    def find(self, cells: Cells, wait: bool = True) -> NDArray[np.int64]:
        """Return the positions of cells; -1 where a cell is no suspect.

        Args:
            cells: Their numbers.
            wait: Wait for all suspects where a cell is not among those that are read.
        """
        known, positions = self._index()
        if not len(known):
            return np.full(len(cells), -1)
        places = np.minimum(np.searchsorted(known, cells), len(known) - 1)
        found = np.where(known[places] == cells, positions[places], -1)
        if wait and self.loaded < len(self) and (found < 0).any():
            self.wait()
            return self.find(cells, wait=False)
        return np.asarray(found, np.int64)

    def choose(self, wanted: Wanted, count: int, taken: Cells) -> NDArray[np.int64]:
        """Return the positions of the next suspects, the most probable first.

        Args:
            wanted: Which ones.
            count: How many at most.
            taken: Cells that somebody else has before him.
        """
        loaded = self.loaded
        free = ~self.done[:loaded]
        if wanted.column is not None:
            free &= self.columns[:loaded] == wanted.column
        if wanted.least > 0 or wanted.most < 1:
            posterior = self.posteriors[:loaded]
            free &= (posterior >= wanted.least) & (posterior <= wanted.most)
        if wanted.without_label:
            free &= self.without_label[self.rows[:loaded]]
        if wanted.unseen:
            free &= ~self.seen[self.rows[:loaded]]
        if wanted.name:
            free &= self._find_named(wanted.name)[self.rows[:loaded]]
        for position in self.find(taken, wait=False):
            if 0 <= position < loaded:
                free[position] = False
        if self.order is None or loaded < len(self):
            chosen = np.flatnonzero(free)[:count]
        else:
            chosen = self.order[free[self.order]][:count]
        if len(chosen) < count and loaded < len(self):
            self.wait()
            return self.choose(wanted, count, taken)
        return chosen

    def _find_named(self, part: str) -> NDArray[np.bool_]:
        """Return which images have a part in their names, capital or not."""
        if self._named is None or self._named[0] != part:
            names = pa.array(self.source.images, pa.string())
            found = pc.match_substring(names, part, ignore_case=True)
            self._named = part, np.asarray(found.to_numpy(zero_copy_only=False), bool)
        return self._named[1]

    def rank_anew(self, posterior: NDArray[np.float32]) -> None:
        """Order the suspects by what is thought of them now; all of them have to be read.

        Args:
            posterior: (N, C), of all cells.
        """
        found = posterior[self.rows, self.columns]
        order = np.argsort(-found, kind="stable")
        with self._lock:
            # Where somebody has answered, what was thought before stays on record.
            self.posteriors = np.where(self.done, self.posteriors, found)
            self.order = order

    def of_image(self, row: int) -> NDArray[np.int64]:
        """Return the positions of an image's suspects that are read so far."""
        known, positions = self._index()
        first, last = np.searchsorted(known, [row * self.classes, (row + 1) * self.classes])
        return np.sort(positions[first:last])

    def box(self, position: int) -> list[float] | None:
        """Return where to look, as shares of the image, if that is known."""
        box = self.boxes[position].astype(float)
        return None if np.isnan(box).any() else [round(float(edge), 3) for edge in box]

    def count_classes(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count the suspects of each class that are read and are among ``which``."""
        columns = self.columns[: self.loaded][which[: self.loaded]]
        return np.bincount(columns, minlength=self.classes)

    def _index(self) -> tuple[Cells, NDArray[np.int32]]:
        """Return the cells of what is read, sorted, and their positions."""
        if self._by_cell is None or len(self._by_cell[0]) < self.loaded:
            cells = number_cells(self.rows, self.columns, self.classes)[: self.loaded]
            order = np.argsort(cells, kind="stable")
            self._by_cell = cells[order], order.astype(np.int32)
        return self._by_cell

    def _load(self, blocks: Iterable[_Block], first: int = 0) -> None:
        """Read blocks, and let them be seen once all of them are there."""
        last = first
        for block in blocks:
            part = slice(last, last + len(block.rows))
            self.rows[part], self.columns[part] = block.rows, block.columns
            self.posteriors[part], self.boxes[part] = block.posteriors, block.boxes
            last = part.stop
        read = slice(first, last)
        with self._lock:
            cells = number_cells(self.rows[read], self.columns[read], self.classes)
            answered = np.fromiter(self._answered, np.int64, len(self._answered))
            self.done[read] = np.isin(cells, answered)
            self.loaded = last
        pa.default_memory_pool().release_unused()

    def _load_rest(self, blocks: Iterator[_Block]) -> None:
        try:
            self._may_go_on.wait(HEAD_START)  # the first question goes before
            self._load(blocks, self.loaded)
            if self.loaded < len(self):
                raise DataError("the file of suspects is shorter than it says")
        except Exception as error:  # told to whoever waits for it
            self._failed = error
        self.rest_is_read.set()


@dataclass(frozen=True)
class _Block:
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    posteriors: NDArray[np.float32]
    boxes: NDArray[np.float16]


def _translate(file: SuspectsFile, source: Source) -> Iterator[_Block]:
    """Go through the suspects with images and classes as the numbers that they have in the data."""
    find_rows = find_names(source.images)
    column_of = {name: column for column, name in enumerate(source.classes)}
    for batch in file.blocks(READ):
        rows = find_rows(batch.column("image"))
        names = batch.column("class")
        numbers = np.array([column_of.get(name, -1) for name in names.dictionary.to_pylist()])
        columns = numbers[names.indices.to_numpy(zero_copy_only=False)]
        if (rows < 0).any() or (columns < 0).any():
            raise DataError(
                f"{file.path} names images or classes that '{source.name}' does not have; find "
                f"the suspects of these data again."
            )
        posteriors = batch.column("posterior").to_numpy(zero_copy_only=False)
        yield _Block(rows, columns.astype(np.int32), posteriors, _read_boxes(batch.column("box")))


def find_names(images: Sequence[str]) -> Callable[[pa.Array], NDArray[np.int32]]:
    """Return a function from names to rows, -1 where there is no such image."""
    known = pa.array(images, pa.string())

    def find(names: pa.Array) -> NDArray[np.int32]:
        found = pc.index_in(names, value_set=known)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int32)

    return find


def _read_boxes(column: pa.Array) -> NDArray[np.float16]:
    boxes = np.full((len(column), 4), np.nan, np.float16)
    there = np.asarray(column.is_valid())
    if there.any():
        boxes[there] = column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    return boxes


def _check_same(file: SuspectsFile, source: Source) -> str:
    """Return the fingerprint of the data, or refuse suspects of others."""
    found = source.fingerprint()
    classes = file.about.get("classes", [])
    if sorted(classes) != sorted(source.classes):
        gone = sorted(set(classes) - set(source.classes))
        raise DataError(
            f"{file.path} is about classes that '{source.name}' does not have ("
            f"{', '.join(map(str, gone[:5])) or 'it has more'}); find the suspects of these data "
            f"again."
        )
    if file.about.get("data") != found:
        raise DataError(
            f"{file.path} holds suspects of other images or labels than '{source.name}': its data "
            f"are {file.about.get('data')}, and these are {found}. Open it with the data that it "
            f"was found in, or find the suspects of these data again."
        )
    return found
