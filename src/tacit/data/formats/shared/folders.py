"""Folders of pictures."""

from __future__ import annotations

import os
from pathlib import Path

from tacit.data.open_image import SUFFIXES
from tacit.errors import DataError


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture, and not hidden."""
    return name.lower().endswith(tuple(SUFFIXES)) and not name.startswith(".")


def folders_in(path: Path) -> list[Path]:
    """Return the folders directly inside, by name, without hidden ones."""
    try:
        inside = [Path(entry.path) for entry in os.scandir(path) if entry.is_dir()]
    except OSError as error:
        raise DataError(f"The folder {path} cannot be read: {error.strerror}.") from error
    return sorted(folder for folder in inside if not folder.name.startswith("."))


def has_pictures(path: Path) -> bool:
    """Whether a picture lies directly in a folder, or in a folder inside."""
    for level in (path, *folders_in(path)):
        with os.scandir(level) as entries:
            if any(is_picture(entry.name) for entry in entries):
                return True
    return False


def picture_files(path: Path) -> list[Path]:
    """Return all pictures in a folder and in the folders inside, by name."""
    found = []
    for folder, inside, names in os.walk(path):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [Path(folder, name) for name in names if is_picture(name)]
    return sorted(found)
