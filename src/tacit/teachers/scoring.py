"""Letting a teacher score many pictures, once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.errors import DataError, UsageError
from tacit.files import write_atomically
from tacit.teachers.stored import as_array, save_scores, writing

# What a teacher says of some pictures, (n, C), given them and their known positives, (n, C) bool.
Teacher = Callable[[list[Any], Tensor], Tensor | NDArray[Any]]
# Told how many of all pictures are done.
Watch = Callable[[int, int], None]
# Pictures that are stored together; what is unfinished is scored again after a stop.
PART = 1024


class Pictures(Protocol):
    """What can be scored; every `tacit.data.source.Source` is such a thing."""

    classes: tuple[str, ...]
    images: Sequence[str]

    @property
    def labels(self) -> Any:
        """What is known about them: rows are arrays of 1, 0 and -1."""

    @property
    def open(self) -> Callable[[int], Any]:
        """Read a picture by its row."""

    def fingerprint(self) -> str:
        """Return the same for the same names and labels."""


def score(
    pictures: Pictures,
    teacher: Teacher,
    file: Path,
    *,
    batch: int = 64,
    about: str = "",
    watch: Watch = lambda done, total: None,
) -> NDArray[np.float32]:
    """Let a teacher score pictures, and store what it says. After a stop, the same call goes on.

    Args:
        pictures: For instance the training part, ``load_splits(...).train``.
        teacher: Called with a list of pictures and their known positives, (n, C) bool; returns
            scores, (n, C), as a tensor or an array. The scores then belong to these labels and are
            read with no others, unless it has an attribute ``uses_known`` that is False.
        file: Where the scores will be, with the names of images and classes.
        batch: Pictures per call.
        about: Says which teacher this is; what another one left unfinished is thrown away.
        watch: Told how many of all pictures are done.

    Returns:
        The scores, (N, C).
    """
    if batch < 1:
        raise UsageError(f"batch must be 1 or more, not {batch}.")
    parts = file.with_name(f".{file.name}.parts")
    identity = hashlib.sha256(f"{pictures.fingerprint()} {PART} {about}".encode()).hexdigest()
    if parts.exists() and not (parts / identity).exists():
        shutil.rmtree(parts)
    parts.mkdir(parents=True, exist_ok=True)
    (parts / identity).touch()
    total, stored = len(pictures.images), []
    for first in range(0, total, PART):
        rows = range(first, min(first + PART, total))
        stored.append(parts / f"{first:09d}.npy")
        if not stored[-1].exists():
            scores = _score_part(pictures, teacher, rows, batch, watch)
            write_atomically(stored[-1], writing(partial(_save, scores)))
        watch(rows.stop, total)
    whole = np.concatenate([np.load(path) for path in stored])
    mark = pictures.fingerprint() if getattr(teacher, "uses_known", True) else ""
    save_scores(file, pictures.images, whole, pictures.classes, mark)
    shutil.rmtree(parts)
    return whole


def _save(scores: NDArray[np.float32], file: Any) -> None:
    np.save(file, scores)


@torch.inference_mode()
def _score_part(
    pictures: Pictures, teacher: Teacher, rows: range, batch: int, watch: Watch
) -> NDArray[np.float32]:
    found = []
    with ThreadPoolExecutor(4) as pool:  # decoding a picture leaves Python to others
        for first in range(rows.start, rows.stop, batch):
            some = list(range(first, min(first + batch, rows.stop)))
            known = torch.from_numpy(np.asarray(pictures.labels[some]) == 1)
            scores = as_array(teacher(list(pool.map(pictures.open, some)), known))
            _check(scores, tuple(known.shape), pictures.images[first])
            found.append(scores)
            watch(some[-1] + 1, len(pictures.images))
    return np.concatenate(found)


def _check(scores: NDArray[np.float32], shape: tuple[int, ...], first: str) -> None:
    if scores.shape != shape:
        raise DataError(
            f"The teacher gave scores of shape {scores.shape} for the {shape[0]} pictures from "
            f"'{first}' on, which have {shape[1]} classes."
        )
    if not np.isfinite(scores).all():
        raise DataError(
            f"The teacher gave scores that are no numbers for some of the {shape[0]} pictures from "
            f"'{first}' on."
        )


def agreement(scores: NDArray[np.float32], known: NDArray[np.bool_], most: int) -> float:
    """Return the share of known positives that are among the highest scores of their picture.

    It needs no truth, and shows at once when columns or rows have been mixed up.
    """
    count = int(known.sum())
    order = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return float((order[known] < most).mean()) if count else 0.0
