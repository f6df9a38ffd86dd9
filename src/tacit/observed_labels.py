"""What people write for what is known of images, read into three states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from tacit.labels import SparseLabels

STATES: dict[Any, dict[Any, int]] = {
    0: {1: 1, 0: 0, -1: -1},
    -1: {1: 1, -1: 0, 0: -1},
    "nan": {1: 1, 0: -1},
}
"""How ``unknown`` is written -> what is written -> the state."""


@dataclass(frozen=True)
class KnownLabels:
    """What is known.

    Attributes:
        labels: (N, C), three states.
        classes: (C,) class names as they were given, or numbers.
        names: The same as text.
    """

    labels: SparseLabels
    classes: NDArray[Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Class names as text."""
        return tuple(str(each) for each in self.classes.tolist())


def read_labels(
    y: Any, rows: int, unknown: Any, classes: Sequence[Any] | NDArray[Any] | None = None
) -> KnownLabels:
    """Read what is known of images.

    Args:
        y: (N, C) with states, or (N,) with a known class of each image.
        rows: N.
        unknown: How it is written that nobody knows: 0, -1 or "nan".
        classes: Class names, if they are known.
    """
    states = _find_states(unknown)
    if hasattr(y, "columns") and classes is None:
        classes = list(y.columns)
    array = _to_array(y)
    if len(array) != rows:
        raise ValueError(f"X has {rows} rows and y has {len(array)}; they must be of equal length.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if array.ndim == 1:
        return _read_single(array, classes)
    dense = np.zeros(array.shape, dtype=np.int8)
    understood = np.zeros(array.shape, dtype=bool)
    for written, state in states.items():
        same = array == written
        dense[same] = state
        understood |= same
    if unknown not in (0, -1):
        understood |= np.isnan(array)
    if not understood.all():
        row, column = (int(place) for place in np.argwhere(~understood)[0])
        known = ", ".join(str(each) for each in states)
        raise ValueError(
            f"y holds {array[row, column]} in row {row}, column {column}, and "
            f"{int((~understood).sum())} cells in all that are none of {known}; "
            f"unknown={unknown!r} says how it is written that nobody knows."
        )
    return KnownLabels(SparseLabels.of(dense), _choose_classes(classes, array.shape[1]))


def _find_states(unknown: Any) -> dict[Any, int]:
    if isinstance(unknown, float) and np.isnan(unknown):
        return STATES["nan"]
    if isinstance(unknown, bool) or not any(unknown == known for known in STATES):
        raise ValueError(f'unknown is 0, -1 or "nan", not {unknown!r}.')
    return STATES[unknown]


def _to_array(y: Any) -> NDArray[Any]:
    """Return (N,) classes or (N, C) numbers."""
    if hasattr(y, "toarray"):
        y = y.toarray()
    try:
        array = np.asarray(y)
    except ValueError as error:
        raise ValueError(
            f"y is (N, C), a column for each class, or (N,), a class for each image; its rows are "
            f"of different lengths ({error})."
        ) from error
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(
            f"y is (N, C), a column for each class, or (N,), a class for each image, not of shape "
            f"{array.shape}."
        )
    if array.ndim == 1:
        return array
    try:
        return array.astype(np.float64) if array.dtype.kind in "Obiuf" else _refuse_kind(array)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y holds {str(array.flat[0])[:40]!r} and the like; a column for each class holds "
            f"numbers. MultiLabelBinarizer of scikit-learn makes them of lists of names."
        ) from error


def _refuse_kind(array: NDArray[Any]) -> NDArray[Any]:
    raise ValueError(f"no numbers but {array.dtype}")


def _read_single(array: NDArray[Any], classes: Any) -> KnownLabels:
    """Read one known class of each image; nothing is known of its other classes."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("y contains NaN or infinity; every image has one known class here.")
    try:
        check_classification_targets(array)
        found, column = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise ValueError("y holds classes of several kinds; use text for all of them.") from error
    if classes is not None:
        found = _choose_classes(classes, len(classes))
        place = {name: number for number, name in enumerate(found.tolist())}
        strange = [each for each in array.tolist() if each not in place]
        if strange:
            raise ValueError(f"y holds the class {strange[0]!r}, which is none of {list(place)}.")
        column = np.array([place[each] for each in array.tolist()], dtype=np.intp)
    if len(found) < 2:
        raise ValueError(f"y holds {len(found)} class; a classifier needs two classes or more.")
    rows = np.arange(len(array))
    ones = np.ones(len(array), dtype=np.int8)
    labels = SparseLabels.from_cells(rows, column, ones, (len(array), len(found)))
    return KnownLabels(labels, found)


def _choose_classes(classes: Any, count: int) -> NDArray[Any]:
    if classes is None:
        return np.arange(count)
    if isinstance(classes, str):
        raise ValueError(f"classes is a list of names, not the text {classes!r}.")
    chosen = np.asarray(classes)
    if chosen.ndim != 1 or len(chosen) != count:
        raise ValueError(f"y has {count} columns, and classes names {len(chosen)}.")
    if len({str(each) for each in chosen.tolist()}) < count:
        raise ValueError("classes has a name twice; every column has a name of its own.")
    return chosen
