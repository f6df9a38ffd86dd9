"""The table of formats: how labels may be written down, and which reader knows them.

Reading the table imports no reader. A new format is one file with ``recognise`` and ``read``, one
row here and one in ``docs/formats.md``. From outside, ``FORMATS["mine"] = MyReader`` is all it
takes, or a place instead of a name: ``package.module:reader``, or ``path/to/file.py:reader``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from tacit.errors import DataError, UsageError, unknown_name
from tacit.files import is_there
from tacit.ranges import checked
from tacit.registry import Row, check_options, find

if TYPE_CHECKING:
    from tacit.data.listing import Absent, Listing


# How sure a reader is of a path; the surest reads it. Beyond these, any number will do.
SHAPE = 0  # anything of this shape would do
KIND = 1  # a file of a kind that may hold anything, such as CSV
CONTENT = 2  # keys, columns or files that only this format has


class Match(NamedTuple):
    """What a reader saw in a path: a reason in words, and how much it says."""

    reason: str
    strength: int = CONTENT


@dataclass(frozen=True)
class Format(Row):
    """One row: what a format is, and the module that reads it.

    The module has ``recognise(path)``, which returns a `Match` where a path looks like the format
    and None elsewhere, and ``read(path, *, images, absent, **options)``, which returns a `Listing`.
    Where labels can be written, it also has ``write(listing, path, **options)``, which returns what
    a person should know about the result, a sentence each.

    Instead of a row there may be anything that has these functions, or ``read`` alone; then the
    format has to be asked for by its name.

    Attributes:
        writable: Whether labels can be written in this format.
    """

    writable: bool = False


FORMATS: dict[str, Any] = {
    "prepared": Format(
        "tacit.data.formats.prepared", "A folder that `tacit prepare` or `tacit observe` wrote"
    ),
    "table": Format(
        "tacit.data.formats.table.read",
        "CSV, TSV, Parquet, Arrow or JSON lines, a row for each image",
        True,
    ),
    "imagefolder": Format(
        "tacit.data.formats.imagefolder", "Hugging Face's imagefolder with metadata files", True
    ),
    "coco_json": Format(
        "tacit.data.formats.coco_json", "COCO's JSON, or a folder with a file for each split", True
    ),
    "voc_xml": Format("tacit.data.formats.voc_xml", "PASCAL VOC's folders with Annotations/*.xml"),
    "yolo": Format(
        "tacit.data.formats.yolo", "YOLO's images and labels, with data.yaml or classes.txt"
    ),
    "openimages_csv": Format(
        "tacit.data.formats.openimages_csv", "Open Images' human labels, as CSV", True
    ),
    "label_studio": Format("tacit.data.formats.label_studio", "Label Studio's export as JSON"),
    "cvat": Format("tacit.data.formats.cvat", "CVAT for images 1.1, as XML"),
    "xmp": Format(
        "tacit.data.formats.xmp", "Images with keywords, in XMP sidecars or in themselves"
    ),
    "folders": Format("tacit.data.formats.folders", "A folder of images for each class", True),
}


def find_reader(name: str) -> Any:
    """Return what has the functions of a format, or of a place such as ``file.py:reader``."""
    found = find("format", name, FORMATS)
    reader = found if hasattr(found, "read") else SimpleNamespace(read=found)
    if not callable(reader.read):
        raise UsageError(
            f"'{name}' is no reader: it must be a function of a path that returns a Listing, or "
            f"have one called read."
        )
    return reader


def is_writable(name: str) -> bool:
    """Whether labels can be written in a format."""
    entry = FORMATS[name]
    return entry.writable if isinstance(entry, Format) else hasattr(entry, "write")


def recognise(path: Path) -> str:
    """Return the name of the format that a file or folder is in."""
    if not is_there(path):
        raise DataError(f"There is nothing at {path}.")
    found: dict[str, Match] = {}
    for name in FORMATS:
        look = getattr(find_reader(name), "recognise", None)
        match = look(path) if look else None
        if match:
            found[name] = match
    surest = max((match.strength for match in found.values()), default=0)
    found = {name: match for name, match in found.items() if match.strength == surest}
    if len(found) == 1:
        return next(iter(found))
    if found:
        listed = "; ".join(f"{name}: {match.reason}" for name, match in found.items())
        raise DataError(f"{path} may be several things ({listed}). Choose one with --format NAME.")
    raise DataError(
        f"{path} is in no known format (known: {', '.join(FORMATS)}). "
        f"A table with a column of file names and a column of labels always works."
    )


@checked
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
        format: A name from `FORMATS`, or a place such as ``file.py:reader``; found out if None.
        images: The folder of the images, where the format does not say it.
        absent: What it means that a class is not mentioned; the format's custom if None.
        options: Further options of the format's reader.
    """
    reader = find_reader(format) if format else None
    if absent not in (None, "unknown", "negative"):
        raise UsageError(f"'{absent}' is no meaning of absence; use unknown or negative.")
    if not is_there(path):
        raise DataError(f"There is nothing at {path}.")
    name = format or recognise(path)
    reader = reader or find_reader(name)
    check_options(f"the format '{name}'", options, reader.read)
    try:
        listing: Listing = reader.read(path, images=images, absent=absent, **options)
    except (OSError, UnicodeError, RecursionError) as error:  # what files of any kind may hold
        raise DataError(f"{path} cannot be read as {name}: {error}.") from error
    except Exception as error:
        if not type(error).__module__.startswith("pyarrow"):
            raise
        first = str(error).partition("\n")[0]  # Arrow looks into columns only when they are used
        raise DataError(f"{path} is damaged, and cannot be read as {name}: {first}.") from error
    return listing


@checked
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
    if not hasattr(listing, "split_names"):
        raise UsageError(
            f"A listing is written, as `read_listing` returns it, not a {type(listing).__name__}."
        )
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if not is_writable(format):
        able = ", ".join(filter(is_writable, FORMATS))
        raise UsageError(f"Labels are not written as {format}; choose one of {able}.")
    notes: list[str] = find_reader(format).write(listing, path, **options)
    return notes
