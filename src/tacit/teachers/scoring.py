"""Scoring many images with a teacher, once."""

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
from tacit.teachers.stored import save_scores, to_array, writing

# What a teacher says of some images, (n, C), given them and their known positives, (n, C) bool.
Teacher = Callable[[list[Any], Tensor], Tensor | NDArray[Any]]
# Called with how many of all images are done.
Watch = Callable[[int, int], None]
# Images that are stored together; what is unfinished is scored again after a stop.
PART = 1024


class Images(Protocol):
    """What can be scored; every `tacit.data.source.Source` is such a thing."""

    classes: tuple[str, ...]
    images: Sequence[str]

    @property
    def labels(self) -> Any:
        """What is known about them: rows are arrays of 1, 0 and -1."""

    @property
    def open(self) -> Callable[[int], Any]:
        """Read an image by its row."""

    def fingerprint(self) -> str:
        """Return the same for the same names and labels."""


def score(
    images: Images,
    teacher: Teacher,
    file: Path,
    *,
    batch: int = 64,
    about: str = "",
    watch: Watch = lambda done, total: None,
) -> NDArray[np.float32]:
    """Score images with a teacher and store the scores. After a stop, the same call continues.

    Args:
        images: For instance the training split, ``load_splits(...).train``.
        teacher: Called with a list of images and their known positives, (n, C) bool; returns
            scores, (n, C), as a tensor or an array. The scores then belong to these labels and are
            read with no others, unless it has an attribute ``uses_known`` that is False.
        file: Where the scores will be, with the names of images and classes.
        batch: Images per call.
        about: Says which teacher this is; what another one left unfinished is thrown away.
        watch: Called with how many of all images are done.

    Returns:
        The scores, (N, C).
    """
    if batch < 1:
        raise UsageError(f"batch must be 1 or more, not {batch}.")
    parts = file.with_name(f".{file.name}.parts")
    identity = hashlib.sha256(f"{images.fingerprint()} {PART} {about}".encode()).hexdigest()
    if parts.exists() and not (parts / identity).exists():
        shutil.rmtree(parts)
    parts.mkdir(parents=True, exist_ok=True)
    (parts / identity).touch()
    total, stored = len(images.images), []
    for first in range(0, total, PART):
        rows = range(first, min(first + PART, total))
        stored.append(parts / f"{first:09d}.npy")
        if not stored[-1].exists():
            scores = _score_part(images, teacher, rows, batch, watch)
            write_atomically(stored[-1], writing(partial(_save, scores)))
        watch(rows.stop, total)
    whole = np.concatenate([np.load(path) for path in stored])
    mark = images.fingerprint() if getattr(teacher, "uses_known", True) else ""
    save_scores(file, images.images, whole, images.classes, mark)
    shutil.rmtree(parts)
    return whole


def _save(scores: NDArray[np.float32], file: Any) -> None:
    np.save(file, scores)


@torch.inference_mode()
def _score_part(
    images: Images, teacher: Teacher, rows: range, batch: int, watch: Watch
) -> NDArray[np.float32]:
    found = []
    with ThreadPoolExecutor(4) as pool:  # decoding an image leaves Python to others
        for first in range(rows.start, rows.stop, batch):
            some = list(range(first, min(first + batch, rows.stop)))
            known = torch.from_numpy(np.asarray(images.labels[some]) == 1)
            scores = to_array(teacher(list(pool.map(images.open, some)), known))
            _check(scores, tuple(known.shape), images.images[first])
            found.append(scores)
            watch(some[-1] + 1, len(images.images))
    return np.concatenate(found)


def _check(scores: NDArray[np.float32], shape: tuple[int, ...], first: str) -> None:
    if scores.shape != shape:
        raise DataError(
            f"The teacher gave scores of shape {scores.shape} for the {shape[0]} images from "
            f"'{first}' on, which have {shape[1]} classes."
        )
    if not np.isfinite(scores).all():
        raise DataError(
            f"The teacher gave scores that are no numbers for some of the {shape[0]} images from "
            f"'{first}' on."
        )


def measure_agreement(scores: NDArray[np.float32], known: NDArray[np.bool_], most: int) -> float:
    """Return the share of known positives that are among the highest scores of their image.

    It needs no truth, and shows at once when columns or rows have been mixed up.
    """
    count = int(known.sum())
    order = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return float((order[known] < most).mean()) if count else 0.0
