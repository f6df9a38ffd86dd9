"""A folder for each class, with its pictures in it.

Somebody put a picture into a folder for what it shows; whether it shows anything else, nobody said.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tacit.data.formats import SHAPE, Match
from tacit.data.formats.shared.assemble import Cells, assemble
from tacit.data.formats.shared.folders import folders_in, has_pictures, is_picture, picture_files
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.writing import (
    Pictures,
    bring_picture,
    file_name,
    left_out,
    named_rows,
    positives_alone,
    whole_folder,
    write_classes,
)
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import is_part
from tacit.errors import DataError, UsageError

TABLES = ("csv", "tsv", "jsonl", "ndjson", "parquet", "arrow", "feather", "json", "xml", "yaml")
NOT_CLASSES = frozenset(("images", "labels", "annotations", "jpegimages", "imagesets"))


def recognise(path: Path) -> Match | None:
    """Say why a path looks like a folder of classes; labels in a file beside them come first."""
    if not path.is_dir() or any(next(path.glob(f"*.{suffix}"), None) for suffix in TABLES):
        return None
    folders = [folder for tops in _parts(path).values() for folder in folders_in(tops)]
    if len(folders) < 2 or {folder.name.lower() for folder in folders} & NOT_CLASSES:
        return None
    return Match("a folder for each class", SHAPE) if any(map(has_pictures, folders)) else None


def _parts(path: Path) -> dict[str, Path]:
    """Return the folders of train, test and the like, or the folder itself if there are none."""
    inside = folders_in(path)
    split = inside and all(is_part(folder.name) for folder in inside)
    return {folder.name: folder for folder in inside} if split else {"": path}


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    join: Literal["name"] | None = None,
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read folders of classes, or folders of parts that hold folders of classes.

    Args:
        path: The folder.
        images: Not to be given: the pictures are in the folders.
        absent: What it means that a picture is not in a class's folder.
        name: What the set is called; the folder's name if None.
        join: "name" takes pictures of the same name in several classes' folders for one picture of
            all these classes. Otherwise they are several pictures.
        classes: Class names in order.
    """
    if images is not None:
        raise UsageError("In folders of classes the pictures are where they are; leave images out.")
    if join not in (None, "name"):
        raise UsageError(f"join is name or left out, not {join}.")
    cells, objects = Cells(str(path), absent), Objects()
    rows: dict[tuple[str, ...], int] = {}
    files: list[str] = []
    parts: list[str] = []
    folders = set()
    for part, top in _parts(path).items():
        for folder in folders_in(top):
            folders.add(folder.name)
            for file in picture_files(folder):
                below = file.relative_to(folder).as_posix()
                key = (part, below) if join else (part, folder.name, below)
                if key not in rows:
                    rows[key] = len(files)
                    files.append(file.relative_to(path).as_posix())
                    parts.append(part)
                objects.add(rows[key], folder.name)
    if not files:
        raise DataError(f"{path} has no folders of classes with pictures in them.")
    if join:
        cells.notes.append(f"{len(objects) - len(files):,} pictures are in several folders")
    objects.put_into(cells)
    several = parts if any(parts) else None
    order = classes or ([] if (path / "classes.txt").is_file() else sorted(folders))
    return assemble(cells, name or path.name, (path, files), several, order, beside=path)


def write(listing: Listing, path: Path, *, pictures: Pictures = "link") -> list[str]:
    """Put each picture into the folder of every class that it shows; read with ``join = name``.

    Args:
        listing: Labels of which every image has one or more.
        path: A folder that is not there yet.
        pictures: "link" makes links to the pictures, "copy" copies them.
    """
    notes = [*left_out(listing), *positives_alone(listing, "A folder for each class")]
    bare = int((listing.labels.per_image(1) == 0).sum())
    if bare:
        raise DataError(
            f"A folder for each class has no place for {bare} images of '{listing.name}' without "
            f"a present class. Write a table."
        )
    hidden = [name for name in listing.images if not is_picture(Path(name).name)]
    if hidden or any(part.startswith(".") for name in listing.images for part in Path(name).parts):
        raise DataError(
            f"'{listing.name}' has images that would be passed over in a folder, because they are "
            f"hidden or have no suffix of a picture. Rename them."
        )
    for name in listing.classes:
        if not name.strip() or name.startswith(".") or set(name) & set("/\0\n\r"):
            raise DataError(f"The class {name!r} cannot be the name of a folder; rename it.")
    if listing.labels.count(1) > len(listing):
        notes.append('pictures of several classes are in several folders: read with join = "name"')
    with whole_folder(path) as folder:
        named = enumerate(named_rows(listing.labels, listing.classes, 1))
        for row, names in named:
            part = folder / file_name(listing.parts[row]) if listing.parts else folder
            below = _below_class(listing, row, names)
            for name in names:
                bring_picture(listing, row, part / name / below, pictures)
        notes += write_classes(folder, listing, (1,))
    return notes


def _below_class(listing: Listing, row: int, names: list[str]) -> str:
    """Return a picture's name without the folders of part and class that it may have already."""
    name = listing.images[row]
    if listing.parts:
        name = name.removeprefix(f"{listing.parts[row]}/")
    return next((name[len(n) + 1 :] for n in names if name.startswith(f"{n}/")), name)
