"""Folders of images."""

from __future__ import annotations

import os
from pathlib import Path

from tacit.data.open_image import SUFFIXES
from tacit.errors import DataError


def is_image(name: str) -> bool:
    """Whether a file is called like an image, and not hidden."""
    return name.lower().endswith(tuple(SUFFIXES)) and not name.startswith(".")


def list_folders(path: Path) -> list[Path]:
    """Return the folders directly inside, by name, without hidden ones."""
    try:
        inside = [Path(entry.path) for entry in os.scandir(path) if entry.is_dir()]
    except OSError as error:
        raise DataError(f"The folder {path} cannot be read: {error.strerror}.") from error
    return sorted(folder for folder in inside if not folder.name.startswith("."))


def has_images(path: Path) -> bool:
    """Whether an image lies directly in a folder, or in a folder inside."""
    for level in (path, *list_folders(path)):
        with os.scandir(level) as entries:
            if any(is_image(entry.name) for entry in entries):
                return True
    return False


def list_image_files(path: Path) -> list[Path]:
    """Return all images in a folder and in the folders inside, by name."""
    found = []
    for folder, inside, names in os.walk(path):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [Path(folder, name) for name in names if is_image(name)]
    return sorted(found)
