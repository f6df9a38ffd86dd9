"""Inputs: images, folders and tables of names, all turned into tables of names."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath

from tacit.data.formats.shared.assemble import find_folder
from tacit.data.formats.shared.folders import is_image
from tacit.data.listing import image_path
from tacit.errors import DataError
from tacit.files import write_atomically
from tacit.prediction.name_tables import SUFFIXES, NameTable, open_names

SAMPLE = 1024  # rows by which the folder of the images is found


@dataclass(frozen=True)
class Names:
    """A table of names, and where the images are.

    Attributes:
        path: The table.
        root: The folder that names are relative to.
        column: The column of file names.
        listed: The names were found by looking at folders, not written down by anybody.
        stamp: The table's size and time when the prediction was begun.
    """

    path: str
    root: str
    column: str
    listed: bool = False
    stamp: str = ""

    def open(self) -> NameTable:
        """Open the table."""
        return open_names(Path(self.path), self.column)

    def image(self, name: str) -> Path:
        """Return where an image is, or refuse a name that leads out of the folder."""
        if self.listed:
            return Path(self.root, name)
        if not name.strip():
            raise DataError("This row names no image.")
        if PurePath(name).is_absolute() and PurePath(name).is_relative_to(self.root):
            name = PurePath(name).relative_to(self.root).as_posix()
        return image_path(Path(self.root), name)


def find_names(
    inputs: Iterable[str], folder: Path, images: Path | None, column: str | None
) -> list[Names]:
    """Turn the inputs into tables of names, in the order given.

    Args:
        inputs: Images; folders of images or of tables; tables; patterns such as ``*.parquet``.
        folder: Where the names of images that are in no table are written.
        images: The folder that names in tables are relative to; found as training finds it if None.
        column: The column of file names; found by its name if None.
    """
    found: list[Names] = []
    paths = (path for name in inputs for path in _expand(name))
    for is_table, group in groupby(paths, lambda path: path.suffix.lower() in SUFFIXES):
        if not is_table:
            found.append(_list_images(group, folder / f"_names-{len(found)}.jsonl"))
            continue
        for path in group:
            table = open_names(path, column)
            root = _find_root(table, path, images)
            place, stamp = str(path.absolute()), read_stamp(path)
            found.append(Names(place, str(root), table.column, stamp=stamp))
    return found


def _find_root(table: NameTable, path: Path, images: Path | None) -> Path:
    """Return the folder of a table's images: beside it, or in a folder that is called like one."""
    place = next(table.cut(SAMPLE), None)
    names = table.read(place) if place else []
    return find_folder(names, path.parent, images).absolute()


def read_stamp(path: Path) -> str:
    """Return what changes with a file, or nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _expand(name: str) -> Iterator[Path]:
    """Return what one input stands for: tables, and single images."""
    path = Path(name)
    if not path.exists():
        matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []
        if not matches:
            raise DataError(f"There is nothing at {name}.")
        for match in matches:
            yield from _expand(match)
    elif not path.is_dir():
        yield path
    else:
        empty = True
        for image in find_images(path):
            empty = False
            yield image
        if empty:
            yield from _tables_in(path)


def _tables_in(folder: Path) -> list[Path]:
    inside = (path for path in folder.iterdir() if not path.name.startswith(("_", ".")))
    tables = sorted(path for path in inside if path.suffix.lower() in SUFFIXES)
    if not tables:
        raise DataError(f"{folder} holds no images, and no tables ({', '.join(SUFFIXES)}).")
    return tables


def find_images(folder: Path) -> Iterator[Path]:
    """Find all images in a folder and in the folders inside, each folder by name."""
    for here, inside, names in os.walk(folder, onerror=_refuse):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if is_image(name))


def _refuse(error: OSError) -> None:
    raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _list_images(images: Iterable[Path], path: Path) -> Names:
    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8") as file:
            for image in images:
                file.write(json.dumps({"image": image.as_posix()}) + "\n")

    write_atomically(path, write)
    return Names(str(path.absolute()), str(Path.cwd()), "image", listed=True)
