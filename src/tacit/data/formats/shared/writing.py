"""What writers of labels share: what a format cannot say, folders that are whole, images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from tacit.data.listing import Listing, image_path
from tacit.errors import DataError, UsageError
from tacit.files import partial_beside, telling, write_text
from tacit.labels import SparseLabels
from tacit.names import check_file_name, check_names, join_lines

Transfer = Literal["link", "copy"]
CLASSES = "classes.txt"
BLOCK = 4096


def refuse_existing(path: Path) -> None:
    """Never write over anything."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"There is something at {path} already; choose another path.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} in.")


def refuse_odd_names(listing: Listing) -> None:
    """Refuse names that would be read as other ones, and images that would be read as one."""
    check_names(f"'{listing.name}'", "class", listing.classes)
    check_names(f"'{listing.name}'", "image", listing.images)
    again = len(listing) - len(set(listing.images))
    if again:
        raise DataError(
            f"'{listing.name}' has {again} images that are named again; name each once."
        )
    odd = [name for name in listing.images if "\\" in name or name.startswith("./") or "\0" in name]
    if odd:
        raise DataError(
            f"'{listing.name}' has {len(odd)} image names that would be read as others, first "
            f"{odd[0]!r}; rename the files."
        )


def describe_left_out(listing: Listing, boxes: bool = False) -> list[str]:
    """Say what is not written, and where the images are."""
    notes = []
    if listing.truth is not None:
        notes.append("the truth is not written; it is for evaluation alone")
    if listing.boxes is not None and not boxes:
        notes.append(f"{len(listing.boxes.rows):,} boxes are not written; the format has none")
    return notes


def require_positives_alone(listing: Listing, title: str) -> list[str]:
    """Refuse labels that cannot be said by naming what is present; say how to read them again."""
    negatives, unknown = listing.labels.count(-1), listing.labels.count(0)
    if negatives and unknown:
        raise DataError(
            f"{title} cannot say that a class is known to be absent, and '{listing.name}' has "
            f"{negatives:,} known negatives beside {unknown:,} unknown cells. Write a table or "
            f"openimages_csv."
        )
    return ["everything is known: read it with absent = negative"] if negatives else []


def name_rows(labels: SparseLabels, classes: Sequence[str], state: int) -> Iterator[list[str]]:
    """Go through the images and name each one's classes of a state, a block at a time."""
    for first in range(0, len(labels), BLOCK):
        block = labels.take(np.arange(first, min(first + BLOCK, len(labels))))
        if state == block.rest:
            rows, columns = np.nonzero(block.dense() == state)
        else:
            hits = block.states == state
            rows, columns = block.row_of_cells()[hits], block.columns[hits]
        ends = np.searchsorted(rows, np.arange(len(block) + 1))
        for start, end in pairwise(ends):
            yield [classes[column] for column in columns[start:end]]


def write_classes(folder: Path, listing: Listing, states: Sequence[int]) -> list[str]:
    """Write the classes in order, where a reader would not come upon the same by itself.

    Args:
        folder: Where the labels are written.
        listing: The labels.
        states: The states whose cells are written by name.
    """
    used = sum(listing.labels.per_class(state) for state in states)
    if list(listing.classes) == sorted(listing.classes) and np.all(used):
        if (folder / CLASSES).exists():
            raise UsageError(f"{folder / CLASSES} lists classes of other labels; move it away.")
        return []
    text = join_lines(listing.classes)
    target = folder / CLASSES
    if target.exists() and target.read_text(encoding="utf-8") != text:
        raise UsageError(f"{target} lists classes of other labels; choose another folder.")
    write_text(target, text)
    return [f"{CLASSES} beside it lists the classes in their order"]


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write in, which gets its name when all is written, or vanishes."""
    refuse_existing(path)
    with telling(path), partial_beside(path, folder=True) as partial:
        yield partial
        partial.rename(path)


def bring_image(listing: Listing, row: int, target: Path, transfer: Transfer) -> None:
    """Put an image where a format wants it: as a link to where it is, or as a copy."""
    if transfer not in ("link", "copy"):
        raise UsageError(f"images is link or copy, not {transfer}.")
    source = image_path(listing.root, listing.images[row]).absolute()
    if not source.is_file():
        raise DataError(f"There is no image at {source}.")
    if target.exists() or target.is_symlink():
        raise DataError(f"Two images of '{listing.name}' would both become {target.name}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if transfer == "link":
        target.symlink_to(source)
    else:
        shutil.copyfile(source, target)


def file_name(split: str) -> str:
    """Return a split's name if a file or folder can be called like it."""
    return check_file_name("part", split)
