"""Source: images with three-state labels, which is what every reader returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tacit.data.knowledge.rules import SideInformation
from tacit.errors import DataError
from tacit.labels import Dense, SparseLabels, fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

    from tacit.data.pixels import Pixels


Read = TypeVar("Read")


def _at(read: Callable[[int], Read], rows: NDArray[np.intp], row: int) -> Read:
    # Not a closure: workers that start afresh receive a pickled copy.
    return read(int(rows[row]))


@dataclass(frozen=True)
class Box:
    """Where one object is, in pixels of the image as it is stored."""

    label: int
    corners: tuple[float, float, float, float]  # x0, y0, x1, y1


class Source:
    """A set of images, what is known about them and, for evaluation alone, what is true.

    Attributes:
        name: What the set is called in messages and records.
        classes: Class names; their order is the order of all columns.
        images: One name per image, unique and stable.
        labels: (N, C), 1 known positive, 0 unknown, -1 known negative.
        open: Reads an image by its row.
        truth: (N, C), 1 present and -1 absent, where known. It never reaches a method.
        boxes: Reads the true objects of an image by its row, where known.
        files: Names the file of an image by its row, where images are files.
        pixels: The images scaled already, if they were kept like this.
        side: What is known beside the labels, such as groups of images.
        notes: How a file was understood, a sentence each, to be shown to the user.
    """

    labels: SparseLabels
    truth: SparseLabels | None

    def __init__(
        self,
        name: str,
        classes: Sequence[str],
        images: Sequence[str],
        labels: SparseLabels | Dense,
        open: Callable[[int], Image],
        truth: SparseLabels | Dense | None = None,
        boxes: Callable[[int], tuple[Box, ...]] | None = None,
        files: Callable[[int], Path] | None = None,
        pixels: Pixels | None = None,
        side: SideInformation | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.classes, self.images = name, tuple(classes), images
        self.open, self.boxes, self.files, self.pixels = open, boxes, files, pixels
        self.side, self.notes = side, notes
        shape = (len(images), len(self.classes))
        if shape[1] < 2:
            raise DataError(
                f"'{name}' has {shape[1]} class; multi-label training needs two or "
                f"more. Is the class list complete?"
            )
        if not shape[0]:
            raise DataError(f"'{name}' has no images.")
        self.labels = self._sparse("labels", labels, shape)
        self.truth = None if truth is None else self._sparse("truth", truth, shape)

    def _sparse(
        self, what: str, labels: SparseLabels | Dense, shape: tuple[int, int]
    ) -> SparseLabels:
        if labels.shape != shape:
            raise DataError(f"'{self.name}': {what} are {labels.shape}, expected {shape}.")
        if isinstance(labels, SparseLabels):
            return labels
        try:
            return SparseLabels.of(labels)
        except ValueError as error:
            raise DataError(
                f"'{self.name}': {what} may only hold 1, 0 (unknown) and -1, as int8."
            ) from error

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.intp], name: str | None = None) -> Source:
        """Return some of the images, in the order given."""
        boxes, files = self.boxes, self.files
        return Source(
            name or self.name,
            self.classes,
            [self.images[row] for row in rows],
            self.labels.take(rows),
            partial(_at, self.open, rows),
            None if self.truth is None else self.truth.take(rows),
            None if boxes is None else partial(_at, boxes, rows),
            None if files is None else partial(_at, files, rows),
            None if self.pixels is None else self.pixels.take(rows),
            None if self.side is None else self.side.take(rows),
            self.notes,
        )

    def with_labels(self, labels: SparseLabels | Dense) -> Source:
        """Return the same images with other labels."""
        return self._replace(labels=labels)

    def with_truth(self, truth: SparseLabels | Dense) -> Source:
        """Return the same images, with what is really in them; for evaluation alone."""
        return self._replace(truth=truth)

    def with_pixels(self, pixels: Pixels) -> Source:
        """Return the same images, opened from pixels that are scaled already."""
        return self._replace(open=pixels.open, pixels=pixels)

    def with_open(self, open: Callable[[int], Image]) -> Source:
        """Return the same images, read in another way, such as larger."""
        return self._replace(open=open)

    def with_side(self, side: SideInformation) -> Source:
        """Return the same images with side information."""
        return self._replace(side=side)

    def _replace(self, **changes: Any) -> Source:
        same = (
            *("name", "classes", "images", "labels", "open", "truth"),
            *("boxes", "files", "pixels", "side", "notes"),
        )
        return Source(**{name: getattr(self, name) for name in same} | changes)

    def require_truth(self, purpose: str) -> SparseLabels:
        """Return the truth or say what it is missing for."""
        if self.truth is None:
            raise DataError(f"'{self.name}' has no full labels, which are needed {purpose}.")
        return self.truth

    def fingerprint(self) -> str:
        """A short hash of names, classes and labels: equal data, equal fingerprint."""
        return fingerprint(self.classes, self.images, self.labels)

    def describe(self) -> dict[str, int | float | str]:
        """Counts that a user should see before training."""
        positives = self.labels.per_image(1)
        described: dict[str, int | float | str] = {
            "name": self.name,
            "images": len(self),
            "classes": len(self.classes),
            "known positives": int(positives.sum()),
            "known negatives": self.labels.count(-1),
            "unknown": self.labels.count(0),
            "images without a positive": int((positives == 0).sum()),
        }
        if self.truth is not None:
            described["true positives per image"] = round(float(self.truth.per_image(1).mean()), 2)
        if self.side is not None:
            described |= self.side.describe()
        return described


@dataclass(frozen=True)
class Splits:
    """Training images with observed labels, validation images, test images."""

    train: Source
    validation: Source
    test: Source

    @property
    def validation_labels(self) -> str:
        """Which labels choose the best epoch: "clean" ones, or "observed" ones with gaps."""
        return "observed" if self.validation.labels.count(0) else "clean"


@dataclass(frozen=True)
class OfficialSplits:
    """The splits that a data set comes in; what is missing is set aside from the first."""

    train: Source
    validation: Source | None = None
    test: Source | None = None

    def map(self, change: Callable[[Source], Source]) -> OfficialSplits:
        """Return every split changed."""
        changed = {name: change(split) for name, split in vars(self).items() if split is not None}
        return OfficialSplits(**changed)
