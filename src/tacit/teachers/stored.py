"""Scores as a file: written whole or not at all, read back by the names of their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.errors import DataError, UsageError
from tacit.files import read_arrays, write_atomically
from tacit.labels import fingerprint as fingerprint_of
from tacit.teachers.shares import compute_class_shares
from tacit.types import Annotations


def save_scores(
    path: Path,
    names: Sequence[str],
    scores: Tensor | NDArray[Any],
    classes: Sequence[str] = (),
    fingerprint: str = "",
) -> None:
    """Store scores with the names of their images, and of their classes if they are given.

    Args:
        path: The file to write, at this very name; a crash leaves the old file or the new one.
        names: N names of images, each once.
        scores: (N, C), a tensor or an array.
        classes: C names of columns, which are then compared with those of the data.
        fingerprint: That of the data, `Source.fingerprint`, if the scores depend on its labels;
            they are then read with these labels alone.
    """
    values = to_array(scores)
    if values.ndim != 2:
        raise UsageError(f"Scores must be a table, (N, C), and not {values.shape}.")
    if len(names) != len(values):
        raise UsageError(f"There are {len(values)} rows of scores for {len(names)} names.")
    if classes and len(classes) != values.shape[1]:
        raise UsageError(f"There are {values.shape[1]} columns for {len(classes)} classes.")
    _check_numbers(values, names, "The table")
    stored: dict[str, NDArray[Any]] = {"names": np.array(names), "scores": values}
    if classes:
        stored["classes"] = np.array(classes)
    if fingerprint:
        stored["fingerprint"] = np.array(fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, writing(lambda file: np.savez(file, allow_pickle=False, **stored)))


def to_array(scores: Tensor | NDArray[Any]) -> NDArray[np.float32]:
    """Return what a program computed, wherever it lies, as an array of this machine's memory."""
    if isinstance(scores, Tensor):
        scores = scores.detach().float().cpu().numpy()
    return np.asarray(scores, dtype=np.float32)


def writing(write: Callable[[Any], None]) -> Callable[[Path], None]:
    """Let numpy write to an open file; to a path it would add a suffix."""

    def write_to(path: Path) -> None:
        with path.open("wb") as file:
            write(file)

    return write_to


def read_scores(file: Path, annotations: Annotations) -> Tensor:
    """Read the scores of the training images, in their order.

    A ``.npz`` file holds ``names`` and either ``scores`` (N, C) or embeddings, ``images`` (N, D)
    and ``texts`` (C, D); and perhaps ``classes`` and a ``fingerprint``, which must then be those of
    the data. A ``.npy`` file holds one row per training image and nothing else.
    """
    if not file.is_file():
        raise DataError(
            f"There are no teacher scores at '{file}'; write them with `tacit teacher-scores`, or "
            f"with "
            f"tacit.teachers.save_scores, and name the file as the method's `scores`."
        )
    scores = _scores(read_arrays(file), annotations, file)
    check_scores(scores, annotations, str(file))
    return scores


def _scores(arrays: dict[str, NDArray[Any]], annotations: Annotations, file: Path) -> Tensor:
    if "" in arrays:
        return _floats(arrays[""], file)
    if "names" not in arrays or not ("scores" in arrays or {"images", "texts"} <= arrays.keys()):
        raise DataError(
            f"{file} holds {', '.join(arrays) or 'nothing'}, but it needs 'names' and either "
            f"'scores', or 'images' and 'texts'."
        )
    if "classes" in arrays:
        _check_classes([str(name) for name in arrays["classes"]], annotations.classes, file)
    tables = {name: _floats(arrays[name], file) for name in ("scores",) if name in arrays}
    if not tables:
        tables = {name: _floats(arrays[name], file) for name in ("images", "texts")}
        if tables["images"].shape[1] != tables["texts"].shape[1]:
            raise DataError(
                f"{file} has image embeddings of {tables['images'].shape[1]} numbers and text "
                f"embeddings of {tables['texts'].shape[1]}; they must come from one pair of towers."
            )
    first = next(iter(tables.values()))
    if "fingerprint" in arrays:
        _check_fingerprint(str(arrays["fingerprint"]), annotations, file)
    kept = _rows(arrays["names"], len(first), annotations, file)
    return first[kept] if "scores" in tables else compute_class_shares(first[kept], tables["texts"])


def _floats(values: NDArray[Any], file: Path) -> Tensor:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(f"{file} holds {values.dtype} of shape {values.shape}, and no table.")
    return torch.from_numpy(values.astype(np.float32))


def _check_classes(found: list[str], classes: Sequence[str], file: Path) -> None:
    if found == list(classes):
        return
    if sorted(found) == sorted(classes):
        column = next(n for n, name in enumerate(classes) if name != found[n])
        raise DataError(
            f"{file} has the classes of the data in another order: column {column} is "
            f"'{found[column]}' there and '{classes[column]}' here. Write the scores anew."
        )
    strange = [name for name in found if name not in classes]
    said = (
        f"'{strange[0]}' is not among the data's" if strange else "some of the data's are missing"
    )
    raise DataError(
        f"{file} scores {len(found)} classes that are not the {len(classes)} of the data: {said}."
    )


def _check_fingerprint(found: str, annotations: Annotations, file: Path) -> None:
    """Refuse scores that were made with a look at other known labels than these."""
    here = fingerprint_of(annotations.classes, annotations.images, annotations.known)
    if found != here:
        raise DataError(
            f"{file} was made from other images or other known labels: the fingerprint of its data "
            f"is {found}, and that of these is {here}. Its teacher looked at the known labels, so "
            f"write the scores again with the same data settings (data.draw_seed and the like)."
        )


def _rows(names: NDArray[Any], rows: int, annotations: Annotations, file: Path) -> NDArray[np.intp]:
    """Find the row of each training image."""
    found = [str(name) for name in names.ravel()]
    if len(found) != rows:
        raise DataError(f"{file} holds {rows:,} rows for {len(found):,} names.")
    if len(annotations.images) != annotations.shape[0]:
        raise DataError(
            f"{file} knows images by their names, but the training set came without any; give "
            f"Annotations their names, or give the method the table itself."
        )
    places = {name: row for row, name in enumerate(found)}
    if len(places) != rows:
        raise DataError(
            f"{file} names {rows:,} rows but only {len(places):,} images, so that one of them has "
            f"two rows; write each once."
        )
    missing = [name for name in annotations.images if name not in places]
    if missing:
        raise DataError(
            f"{file} lacks {len(missing):,} of {len(annotations.images):,} training images, "
            f"beginning with '{missing[0]}'; score the images of the same data settings."
        )
    return np.array([places[name] for name in annotations.images], dtype=np.intp)


def check_scores(scores: Tensor, annotations: Annotations, where: str) -> None:
    """Refuse scores that are not one finite number for each image and class."""
    if tuple(scores.shape) != annotations.shape:
        raise DataError(
            f"{where} scores {tuple(scores.shape)} images and classes, but the training split has "
            f"{annotations.shape}."
        )
    _check_numbers(to_array(scores), annotations.images, where)


def _check_numbers(values: NDArray[np.float32], names: Sequence[str], where: str) -> None:
    strange = np.flatnonzero(~np.isfinite(values).all(1))
    if len(strange):
        first = f", beginning with '{names[strange[0]]}'" if len(names) else ""
        raise DataError(
            f"{where} holds scores that are no numbers, for {len(strange):,} images{first}."
        )
