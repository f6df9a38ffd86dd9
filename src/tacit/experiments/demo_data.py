"""The data of the demonstration: a folder of images, and a table with one tag for each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tacit.data.formats import write_listing
from tacit.data.listing import Listing
from tacit.data.source import Source, Splits
from tacit.labels import SparseLabels

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DrawnData:
    """What was written, and what only the demonstration knows.

    Attributes:
        labels: A table with one known label for each training image.
        full: The same table with nothing missing.
        truth: What is in the training images, to score and to answer questions with.
    """

    labels: Path
    full: Path
    truth: SparseLabels


def write_data(folder: Path, splits: Splits) -> DrawnData:
    """Write images as files, and their labels as a table, as a person might have them.

    Args:
        folder: Where they go.
        splits: Images with observed training labels and the truth.
    """
    truth = splits.train.require_truth("for the demonstration")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        source: Source = getattr(splits, name)
        for row in range(len(source)):
            source.open(row).save(folder / _name(source, row))
    listing = _list(folder, splits)
    drawn = DrawnData(folder / "labels.csv", folder / "all-labels.csv", truth)
    complete = replace(splits, train=splits.train.with_labels(truth))
    for path, each in ((drawn.labels, listing), (drawn.full, _list(folder, complete))):
        path.unlink(missing_ok=True)
        write_listing(each, path, "table", layout="columns")
    return drawn


def _name(source: Source, row: int) -> str:
    return f"images/{source.images[row]}.png"


def _list(folder: Path, splits: Splits) -> Listing:
    sources = [getattr(splits, name) for name in SPLITS]
    return Listing(
        folder.name,
        folder,
        [_name(source, row) for source in sources for row in range(len(source))],
        splits.train.classes,
        SparseLabels.of(np.concatenate([source.labels.dense() for source in sources])),
        [name for name, source in zip(SPLITS, sources, strict=True) for _ in range(len(source))],
    )
