"""Listing: what a file of labels says, before any image is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tacit.data.source import Box, Source
from tacit.errors import DataError
from tacit.labels import SparseLabels

if TYPE_CHECKING:
    from PIL.Image import Image

Absent = Literal["unknown", "negative"]
"""What it means that a class is not mentioned: unknown, or absent."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Where objects are, one entry for each box."""

    rows: NDArray[np.int64]  # image
    labels: NDArray[np.int32]  # class
    corners: NDArray[np.float32]  # (n, 4) x0, y0, x1, y1 in pixels

    def of(self, row: int) -> tuple[Box, ...]:
        """Return the boxes on one image."""
        return tuple(
            Box(int(self.labels[entry]), tuple(float(edge) for edge in self.corners[entry]))  # type: ignore[arg-type]
            for entry in np.flatnonzero(self.rows == row)
        )


@dataclass(frozen=True)
class Listing:
    """Images, classes and labels as some file gives them; what every format is read into.

    Attributes:
        name: What the set is called in messages and records.
        root: The folder that image names are relative to.
        images: One name per image with forward slashes, as a path below ``root``.
        classes: Class names, in the order of the columns.
        labels: (N, C), three states: what is known.
        splits: The split of each image, such as "train" or "test"; empty if there is one split.
        boxes: Where objects are, if the format says so.
        notes: How the file was understood, a sentence each, to be shown to the user.
        truth: (N, C), for evaluation alone, if it is known beside the labels.
        repeated: Rows that named an image again, whose labels were joined.
        unread: Columns of a table that nothing is read from, and of which nobody has said so.
    """

    name: str
    root: Path
    images: Sequence[str]
    classes: tuple[str, ...]
    labels: SparseLabels
    splits: Sequence[str] = ()
    boxes: Boxes | None = None
    notes: tuple[str, ...] = ()
    truth: SparseLabels | None = None
    repeated: int = 0
    unread: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def split_names(self) -> list[str]:
        """Return the names of the splits, in the order of their first image."""
        return list(dict.fromkeys(self.splits))

    def rows_by_split(self) -> list[NDArray[np.int64]]:
        """Return the rows of every split, or all rows if there are no splits."""
        if not self.splits:
            return [np.arange(len(self))]
        splits = np.asarray(self.splits, dtype=object)
        return [np.flatnonzero(splits == split) for split in self.split_names()]

    def source(self, split: str | None = None) -> Source:
        """Return the images of one split, or all of them, ready to be opened.

        Where nothing is unknown and nothing else is said, the labels are the truth as well.
        """
        complete = self.labels if self.labels.count(0) == 0 else None
        whole = Source(
            self.name,
            self.classes,
            self.images,
            self.labels,
            partial(_open, self.root, self.images),
            complete if self.truth is None else self.truth,
            self.boxes.of if self.boxes else None,
            partial(_file, self.root, self.images),
            notes=self.notes,
        )
        if split is None:
            return whole
        rows = np.flatnonzero(np.asarray(self.splits, dtype=object) == split)
        if not len(rows):
            known = ", ".join(self.split_names()) or "no splits at all"
            raise DataError(f"'{self.name}' has no split '{split}'; it has {known}.")
        return whole.take(rows, f"{self.name}-{split}")


def find_missing(listing: Listing) -> list[str]:
    """Return the names of images that are not there."""
    root = str(listing.root)
    return [image for image in listing.images if not os.path.isfile(os.path.join(root, image))]


def join_splits(
    name: str,
    root: Path,
    classes: Sequence[str],
    splits: Mapping[str, tuple[Sequence[str], SparseLabels]],
    notes: Sequence[str] = (),
    boxes: Boxes | None = None,
) -> Listing:
    """Join splits, each with its images and their labels, to one listing, split after split."""
    images = [image for split, _ in splits.values() for image in split]
    split_of = [split for split, (listed, _) in splits.items() for _ in listed]
    labels = SparseLabels.stack([labels for _, labels in splits.values()])
    return Listing(name, root, images, tuple(classes), labels, split_of, boxes, tuple(notes))


def leaves_the_root(name: str) -> bool:
    """Whether an image's name points outside the folder of the images."""
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    return outside or ".." in PurePosixPath(name.replace("\\", "/")).parts


def image_path(root: Path, name: str) -> Path:
    """Return where an image is, or refuse a name that points outside the folder."""
    if leaves_the_root(name):
        raise DataError(
            f"The image name '{name}' leaves the folder {root}; names are paths below it."
        )
    return root / name


def _file(root: Path, images: Sequence[str], row: int) -> Path:
    return image_path(root, images[row])


def _open(root: Path, images: Sequence[str], row: int) -> Image:
    from tacit.data.open_image import open_image

    return open_image(image_path(root, images[row]))
