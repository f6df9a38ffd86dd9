"""A small healthy data set, and damage to plant in a copy of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tacit.check.decode import Look, look_at

CLASSES = ("boat", "house", "tree", "waterfall")
TRAINED, TESTED = 24, 8
ASIDE = 7  # a trained image that training itself sets aside for validation


def draw_image(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Return soft coloured blobs with some grain, different for every seed."""
    random = np.random.default_rng(seed)
    blobs = Image.fromarray(random.integers(0, 256, (6, 7, 3), dtype=np.uint8))
    pixels = np.asarray(blobs.resize(size, Image.Resampling.BICUBIC), dtype=np.int64)
    grain = random.integers(-20, 21, pixels.shape)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


@dataclass
class Photos:
    """A folder of images and the rows of its table."""

    folder: Path
    rows: list[dict[str, str]] = field(default_factory=list)
    classes: tuple[str, ...] = CLASSES
    options: dict[str, Any] = field(default_factory=dict)  # what training is told of the labels

    @property
    def images(self) -> Path:
        return self.folder / "photos"

    @property
    def table(self) -> Path:
        return self.folder / "labels.csv"

    def path(self, row: int) -> Path:
        return self.images / self.rows[row]["file"]

    def add(self, name: str, labels: str = "boat;house", split: str = "train") -> Path:
        """Add a row, and return where its image belongs."""
        self.rows.append({"file": name, "split": split, "labels": labels})
        return self.images / name

    def write(self, columns: Mapping[str, Iterable[Any]] | None = None) -> Path:
        """Write the table, with further columns if any."""
        for name, cells in (columns or {}).items():
            for row, cell in zip(self.rows, cells, strict=True):
                row[name] = str(cell)
        with self.table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return self.table


def healthy(folder: Path) -> Photos:
    """Write a data set that nothing is wrong with."""
    photos = Photos(folder)
    photos.images.mkdir(parents=True)
    for number in range(TRAINED + TESTED):
        one, two = CLASSES[number % 4], CLASSES[(number // 4 + number + 1) % 4]
        names = ";".join(dict.fromkeys((one, two)))
        split = "train" if number < TRAINED else "test"
        draw_image(number).save(photos.add(f"{number:03}.png", names, split))
    photos.write()
    return photos


def look_or_die(paths: Sequence[str]) -> list[Look]:
    """Look at files as always, but at one that takes the process down."""
    if any("deadly" in path for path in paths):
        os._exit(9)
    return look_at(paths)
