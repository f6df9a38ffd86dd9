"""Observed labels that others published, and how far our draw agrees with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tacit.errors import DataError
from tacit.files import read_array, read_text
from tacit.labels import SparseLabels
from tacit.names import split_lines

SHOWN = 5


@dataclass(frozen=True)
class Agreement:
    """How two sets of observed labels compare, row by row.

    Attributes:
        rows: Images in both.
        equal: Images whose labels are the same in both.
        only_ours: Images that the published labels do not list.
        only_theirs: Images that we do not have.
        denied: Published positives that are absent in the truth.
        differing: The first images whose labels differ.
    """

    rows: int
    equal: int
    only_ours: int
    only_theirs: int
    denied: int
    differing: tuple[str, ...]

    def sentence(self) -> str:
        """Write it as a sentence."""
        share = self.equal / self.rows if self.rows else 0.0
        parts = [f"{self.equal:,} of {self.rows:,} images have the same labels ({share:.2%})"]
        if self.only_ours or self.only_theirs:
            parts.append(f"{self.only_ours:,} are only here, {self.only_theirs:,} only there")
        if self.denied:
            parts.append(f"{self.denied:,} published positives are absent in the truth")
        if self.differing:
            parts.append(f"first differing: {', '.join(self.differing)}")
        return "; ".join(parts)


def read_published(path: Path, images: Sequence[str], classes: int) -> tuple[SparseLabels, int]:
    """Read published labels for our images, in the order of our rows.

    Args:
        path: A text list of file names and class numbers, or an array, (N, C), whose rows are ours.
        images: Our images; a list is matched by file name without folders.
        classes: Number of classes.

    Returns:
        The labels, unknown where nothing is said, and how many listed images are not ours.
    """
    if path.suffix == ".npy":
        return _from_array(path, (len(images), classes)), 0
    row_of = {PurePosixPath(image).name: row for row, image in enumerate(images)}
    if len(row_of) < len(images):
        raise DataError(
            f"{len(images) - len(row_of)} images share their file name with another one in another "
            f"folder, so that {path.name} cannot be matched."
        )
    rows, columns, strangers = [], [], 0
    for number, line in enumerate(_lines(path), 1):
        name, _, said = line.rpartition(",")
        try:
            named = [int(word) for word in said.split()]
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: expected a file name, a comma and class numbers: {line!r}."
            ) from error
        if any(not 0 <= column < classes for column in named):
            raise DataError(f"{path}, line {number}: class numbers go from 0 to {classes - 1}.")
        row = row_of.get(PurePosixPath(name.strip()).name)
        strangers += row is None
        if row is not None:
            rows += [row] * len(named)
            columns += named
    states = np.ones(len(rows), dtype=np.int8)
    return SparseLabels.from_cells(rows, columns, states, (len(images), classes)), strangers


def compare_labels(
    images: Sequence[str],
    ours: SparseLabels,
    theirs: SparseLabels,
    truth: SparseLabels,
    strangers: int = 0,
) -> Agreement:
    """Compare observed labels with published ones of the same images."""
    listed = theirs.per_image(1) + theirs.per_image(-1) > 0
    either = np.setxor1d(ours.number_cells(1), theirs.number_cells(1))
    differs = np.zeros(len(images), dtype=bool)
    differs[either // ours.classes] = True
    differing = np.flatnonzero(differs & listed)
    denied = ~np.isin(theirs.number_cells(1), truth.number_cells(1))
    return Agreement(
        int(listed.sum()),
        int(listed.sum()) - len(differing),
        int((~listed).sum()),
        strangers,
        int(denied.sum()),
        tuple(images[row] for row in differing[:SHOWN]),
    )


def _from_array(path: Path, shape: tuple[int, int]) -> SparseLabels:
    array = read_array(path)
    if array.shape != shape:
        raise DataError(f"{path} has the shape {array.shape}; {shape} was expected.")
    if array.dtype.kind not in "biuf" or not np.isin(array, (-1, 0, 1)).all():
        raise DataError(f"{path} may only hold 1, 0 and -1.")
    rows, columns = np.nonzero(array)
    return SparseLabels.from_cells(rows, columns, array[rows, columns], shape)


def _lines(path: Path) -> list[str]:
    return [line for line in split_lines(read_text(path)) if line.strip()]
