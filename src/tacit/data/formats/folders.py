"""A folder for each class, with its images in it.

Somebody put an image into a folder for what it shows; whether it shows anything else, nobody said.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tacit.data.formats import SHAPE, Match
from tacit.data.formats.shared.assemble import Cells, assemble
from tacit.data.formats.shared.folders import has_images, is_image, list_folders, list_image_files
from tacit.data.formats.shared.objects import Objects
from tacit.data.formats.shared.writing import (
    Transfer,
    bring_image,
    describe_left_out,
    file_name,
    name_rows,
    require_positives_alone,
    write_classes,
    writing_folder,
)
from tacit.data.listing import Absent, Listing
from tacit.data.split_names import is_split_name
from tacit.errors import DataError, UsageError

TABLES = ("csv", "tsv", "jsonl", "ndjson", "parquet", "arrow", "feather", "json", "xml", "yaml")
NOT_CLASSES = frozenset(("images", "labels", "annotations", "jpegimages", "imagesets"))


def recognise(path: Path) -> Match | None:
    """Say why a path looks like a folder of classes; labels in a file beside them come first."""
    if not path.is_dir() or any(next(path.glob(f"*.{suffix}"), None) for suffix in TABLES):
        return None
    folders = [folder for tops in _split_folders(path).values() for folder in list_folders(tops)]
    if len(folders) < 2 or {folder.name.lower() for folder in folders} & NOT_CLASSES:
        return None
    return Match("a folder for each class", SHAPE) if any(map(has_images, folders)) else None


def _split_folders(path: Path) -> dict[str, Path]:
    """Return the folders of train, test and the like, or the folder itself if there are none."""
    inside = list_folders(path)
    divided = inside and all(is_split_name(folder.name) for folder in inside)
    return {folder.name: folder for folder in inside} if divided else {"": path}


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    name: str | None = None,
    join: Literal["name"] | None = None,
    classes: Sequence[str] | None = None,
) -> Listing:
    """Read folders of classes, or folders of splits that hold folders of classes.

    Args:
        path: The folder.
        images: Not to be given: the images are in the folders.
        absent: What it means that an image is not in a class's folder.
        name: What the set is called; the folder's name if None.
        join: "name" takes images of the same name in several classes' folders for one image of
            all these classes. Otherwise they are several images.
        classes: Class names in order.
    """
    if images is not None:
        raise UsageError("In folders of classes the images are where they are; leave images out.")
    if join not in (None, "name"):
        raise UsageError(f"join is name or left out, not {join}.")
    cells, objects = Cells(str(path), absent), Objects()
    rows: dict[tuple[str, ...], int] = {}
    files: list[str] = []
    splits: list[str] = []
    folders = set()
    for split, top in _split_folders(path).items():
        for folder in list_folders(top):
            folders.add(folder.name)
            for file in list_image_files(folder):
                below = file.relative_to(folder).as_posix()
                key = (split, below) if join else (split, folder.name, below)
                if key not in rows:
                    rows[key] = len(files)
                    files.append(file.relative_to(path).as_posix())
                    splits.append(split)
                objects.add(rows[key], folder.name)
    if not files:
        raise DataError(f"{path} has no folders of classes with images in them.")
    if join:
        cells.notes.append(f"{len(objects) - len(files):,} images are in several folders")
    objects.put_into(cells)
    several = splits if any(splits) else None
    order = classes or ([] if (path / "classes.txt").is_file() else sorted(folders))
    return assemble(cells, name or path.name, (path, files), several, order, beside=path)


def write(listing: Listing, path: Path, *, transfer: Transfer = "link") -> list[str]:
    """Put each image into the folder of every class that it shows; read with ``join = name``.

    Args:
        listing: Labels of which every image has one or more.
        path: A folder that is not there yet.
        transfer: "link" makes links to the images, "copy" copies them.
    """
    notes = [
        *describe_left_out(listing),
        *require_positives_alone(listing, "A folder for each class"),
    ]
    bare = int((listing.labels.per_image(1) == 0).sum())
    if bare:
        raise DataError(
            f"A folder for each class has no place for {bare} images of '{listing.name}' without "
            f"a present class. Write a table."
        )
    hidden = [name for name in listing.images if not is_image(Path(name).name)]
    if hidden or any(
        below_split.startswith(".") for name in listing.images for below_split in Path(name).parts
    ):
        raise DataError(
            f"'{listing.name}' has images that would be passed over in a folder, because they are "
            f"hidden or have no suffix of an image. Rename them."
        )
    for name in listing.classes:
        if not name.strip() or name.startswith(".") or set(name) & set("/\0\n\r"):
            raise DataError(f"The class {name!r} cannot be the name of a folder; rename it.")
    if listing.labels.count(1) > len(listing):
        notes.append('images of several classes are in several folders: read with join = "name"')
    with writing_folder(path) as folder:
        named = enumerate(name_rows(listing.labels, listing.classes, 1))
        for row, names in named:
            below_split = folder / file_name(listing.splits[row]) if listing.splits else folder
            below = _below_class(listing, row, names)
            for name in names:
                bring_image(listing, row, below_split / name / below, transfer)
        notes += write_classes(folder, listing, (1,))
    return notes


def _below_class(listing: Listing, row: int, names: list[str]) -> str:
    """Return an image's name without the folders of split and class that it may have already."""
    name = listing.images[row]
    if listing.splits:
        name = name.removeprefix(f"{listing.splits[row]}/")
    return next((name[len(n) + 1 :] for n in names if name.startswith(f"{n}/")), name)
