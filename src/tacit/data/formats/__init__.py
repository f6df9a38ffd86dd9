"""The table of formats: how labels may be written down, and which reader knows them.

Reading the table imports no reader. A new format is one file with ``recognise`` and ``read`` and
one row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError, UsageError, unknown_name

if TYPE_CHECKING:
    from tacit.data.listing import Absent, Listing


@dataclass(frozen=True)
class Format:
    """One row: what a format is, and the module that reads it.

    The module has ``recognise(path)``, which says in a sentence why a path looks like the format or
    returns None, and ``read(path, *, images, absent, **options)``, which returns a `Listing`. Where
    labels can be written, it also has ``write(listing, path, **options)``, which returns what a
    person should know about the result, a sentence each.

    Attributes:
        title: What it is, in a line.
        module: The module in this folder.
        writable: Whether labels can be written in this format.
        last: Whether it is thought of only where a path is in no other format.
    """

    title: str
    module: str
    writable: bool = False
    last: bool = False

    def load(self) -> Any:
        """Import the reader's module."""
        return import_module(f"tacit.data.formats.{self.module}")


FORMATS: dict[str, Format] = {
    "prepared": Format("A folder that `tacit prepare` or `tacit observe` wrote", "prepared"),
    "table": Format(
        "CSV, TSV, Parquet, Arrow or JSON lines, a row for each image", "table.read", True
    ),
    "imagefolder": Format("Hugging Face's imagefolder with metadata files", "imagefolder", True),
    "coco_json": Format("COCO's JSON, or a folder with a file for each part", "coco_json", True),
    "voc_xml": Format("PASCAL VOC's folders with Annotations/*.xml", "voc_xml"),
    "yolo": Format("YOLO's images and labels, with data.yaml or classes.txt", "yolo"),
    "openimages_csv": Format("Open Images' human labels, as CSV", "openimages_csv", True),
    "label_studio": Format("Label Studio's export as JSON", "label_studio"),
    "cvat": Format("CVAT for images 1.1, as XML", "cvat"),
    "folders": Format("A folder of pictures for each class", "folders", True, last=True),
}


def recognise(path: Path) -> str:
    """Return the name of the format that a file or folder is in."""
    if not path.exists():
        raise DataError(f"There is nothing at {path}.")
    found: dict[str, str] = {}
    for last in (False, True):
        if not found:
            asked = {name: entry for name, entry in FORMATS.items() if entry.last is last}
            reasons = {name: entry.load().recognise(path) for name, entry in asked.items()}
            found = {name: reason for name, reason in reasons.items() if reason}
    if len(found) == 1:
        return next(iter(found))
    if found:
        listed = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise DataError(f"{path} may be several things ({listed}). Choose one with --format.")
    raise DataError(
        f"{path} is in no known format (known: {', '.join(FORMATS)}). "
        f"A table with a column of file names and a column of labels always works."
    )


def read_listing(
    path: Path,
    *,
    format: str | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    **options: Any,
) -> Listing:
    """Read labels in any known format.

    Args:
        path: A file or a folder.
        format: A name from `FORMATS`; found out if None.
        images: The folder of the pictures, where the format does not say it.
        absent: What it means that a class is not mentioned; the format's custom if None.
        options: Further options of the format's reader.
    """
    if format is not None and format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if absent not in (None, "unknown", "negative"):
        raise UsageError(f"'{absent}' is no meaning of absence; use unknown or negative.")
    if not path.exists():
        raise DataError(f"There is nothing at {path}.")
    name = format or recognise(path)
    try:
        listing: Listing = FORMATS[name].load().read(path, images=images, absent=absent, **options)
    except (OSError, UnicodeError, RecursionError) as error:  # what files of any kind may hold
        raise DataError(f"{path} cannot be read as {name}: {error}.") from error
    return listing


def write_listing(listing: Listing, path: Path, format: str = "table", **options: Any) -> list[str]:
    """Write labels in a format, or refuse what it cannot say; nothing is ever written over.

    Args:
        listing: The labels.
        path: A file or folder that is not there yet.
        format: A name from `FORMATS` whose row is writable.
        options: Further options of the format's writer.

    Returns:
        What a person should know about the result, a sentence each.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if not FORMATS[format].writable:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.writable)
        raise UsageError(f"Labels are not written as {format}; choose one of {able}.")
    notes: list[str] = FORMATS[format].load().write(listing, path, **options)
    return notes
