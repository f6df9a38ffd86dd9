"""The columns of predictions: image, labels, scores as asked for, error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

NO_NUMBER = "The model's answer to this image is no finite number."
CLASSES = b"tacit.classes"  # where a table says which classes its scores are of, in their order


class Columns:
    """Turns probabilities into tables."""

    def __init__(
        self,
        classes: Sequence[str],
        thresholds: NDArray[np.float32],
        scores: str = "all",
        half: bool = False,
        look_from: NDArray[np.float32] | None = None,
    ) -> None:
        self.look_from = look_from
        self.classes, self.thresholds = [_text(name) for name in classes], thresholds
        self.names = np.array(self.classes, dtype=object)
        self.kind = np.float16 if half else np.float32
        self.scores = scores
        self.top = int(scores[3:]) if scores.startswith("top") else 0
        number = pa.list_(pa.float16() if half else pa.float32())
        texts = pa.list_(pa.string())
        fields = {"image": pa.string(), "labels": texts}
        if look_from is not None:
            fields["look"] = texts
        if scores == "all":
            fields["scores"] = number
        elif self.top:
            fields |= {"top": texts, "top_scores": number}
        fields["error"] = pa.string()
        metadata = {CLASSES: json.dumps(self.classes).encode()}
        self.schema = pa.schema(list(fields.items()), metadata)

    def table(
        self,
        images: Sequence[str],
        errors: Sequence[str | None],
        probabilities: NDArray[np.float32],
    ) -> pa.Table:
        """Return a row for each image; one that has an error has nothing else."""
        finite = [bool(np.isfinite(row).all()) for row in probabilities]
        errors = [
            _text(error) if error is not None else None if good else NO_NUMBER
            for error, good in zip(errors, finite, strict=True)
        ]
        good = np.array([error is None for error in errors], dtype=bool)
        columns: dict[str, pa.Array] = {
            "image": pa.array([_text(image) for image in images], pa.string()),
            "labels": self._names(probabilities >= self.thresholds, good),
        }
        if self.look_from is not None:
            between = (probabilities >= self.look_from) & (probabilities < self.thresholds)
            columns["look"] = self._names(between, good)
        if self.scores == "all":
            columns["scores"] = self._lists(probabilities, good)
        elif self.top:
            # Equal scores in the order of the classes, so that every machine agrees.
            order = np.argsort(-probabilities, 1, kind="stable")[:, : self.top]
            columns["top"] = _lists(self.names[order].ravel(), pa.string(), order.shape[1], good)
            columns["top_scores"] = self._lists(np.take_along_axis(probabilities, order, 1), good)
        columns["error"] = pa.array(errors, pa.string())
        return pa.table(columns, self.schema)

    def _names(self, decided: NDArray[np.bool_], good: NDArray[np.bool_]) -> pa.Array:
        labels = [
            [self.classes[number] for number in np.flatnonzero(row)] if fine else None
            for row, fine in zip(decided, good, strict=True)
        ]
        return pa.array(labels, pa.list_(pa.string()))

    def _lists(self, values: NDArray[np.float32], good: NDArray[np.bool_]) -> pa.Array:
        kept = values.astype(self.kind)
        return _lists(kept.ravel(), pa.from_numpy_dtype(self.kind), kept.shape[1], good)


def _lists(
    flat: NDArray[np.generic], kind: pa.DataType, length: int, good: NDArray[np.bool_]
) -> pa.Array:
    """Return lists of one length, and nothing for rows that are not good."""
    values = pa.array(flat.reshape(-1, length)[good].ravel(), kind)
    ends = np.concatenate([[0], np.cumsum(good * length)]).astype(np.int32)
    offsets = pa.array(ends, pa.int32(), mask=np.append(~good, False))
    return pa.ListArray.from_arrays(offsets, values)


def _text(name: str) -> str:
    """Make a name printable whose bytes are no text, or are text that the locale does not know."""
    with suppress(UnicodeEncodeError):  # of other surrogates than those that stand for bytes
        name = name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return name.encode("utf-8", "backslashreplace").decode()
