"""Labels of one's own, from a file or a folder or a table in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacit.data.formats import find_reader, read_listing, recognise
from tacit.data.formats.table.read import read as read_table
from tacit.data.knowledge.options import BESIDE, CompletedListing, SideOptions, add_side
from tacit.data.listing import Absent, Listing
from tacit.data.source import OfficialSplits, Source
from tacit.data.split_names import find_kind
from tacit.errors import DataError
from tacit.ranges import check_arguments
from tacit.registry import check_options


def load(
    labels: str | Path | Any,
    *,
    images: str | Path | None = None,
    absent: Absent | None = None,
    format: str | None = None,
    split: str | None = None,
    groups: str | Path | None = None,
    taxonomy: str | Path | None = None,
    catalogue: str | Path | None = None,
    at_most: int | None = None,
    merge_duplicates: bool = False,
    **options: Any,
) -> Source:
    """Read images and labels.

    Args:
        labels: A file or folder in any format of `tacit datasets`, or a table of pandas, polars
            or Arrow.
        images: The folder of the images; looked for beside the file if None.
        absent: What it means that a class is not mentioned: "unknown" or "negative".
        format: The format's name, or a place such as ``file.py:reader``; found out if None.
        split: Only this split, such as "train".
        groups: Column that says which product, video or place an image belongs to, or another
            table of file names and groups.
        taxonomy: File of classes that imply others, and of exclusive ones.
        catalogue: Table of what can, or cannot, be in the images of a group.
        at_most: The most labels that an annotator could give an image.
        merge_duplicates: Make one image of equal files, with the labels of all of them.
        options: Further options of the format's reader, such as ``label_column``.

    Returns:
        A `Source`: ``len``, ``classes``, ``labels``, ``open(row)`` and ``describe()``.

    Example:
        >>> import pyarrow, tacit
        >>> table = {"file": ["1.jpg", "2.jpg"], "labels": ["cat", "cat;dog"]}
        >>> source = tacit.load(pyarrow.table(table), images=".")
        >>> source.classes, source.labels[1].tolist()
        (('cat', 'dog'), [1, 1])
    """
    folder = None if images is None else Path(images)
    listing = _read_any(labels, {"images": folder, "absent": absent, **options}, format)
    beside = SideOptions(groups, taxonomy, catalogue, at_most, merge_duplicates)
    where = (labels, options.get("image_column"), folder)
    return CompletedListing(*add_side(listing, beside, *where)).source(split)


def read_official_splits(labels: Path | Any, options: dict[str, Any]) -> OfficialSplits:
    """Read all splits of a data set for training: a path, or a table in memory."""
    options = check_arguments("data.options", load, options)
    if options.get("images") is not None:
        options["images"] = Path(options["images"])
    beside = SideOptions(**{name: options.pop(name) for name in BESIDE if name in options})
    read = _read_any(labels, options, options.pop("format", None))
    where = (labels, options.get("image_column"), options.get("images"))
    whole = CompletedListing(*add_side(read, beside, *where))
    listing = whole.listing
    if not listing.splits:
        return OfficialSplits(whole.source(None))
    named: dict[str, str] = {}
    for split in listing.split_names():
        kind = find_kind(split)
        if kind is None or kind in named:
            raise DataError(
                f"'{listing.name}' has the splits {', '.join(listing.split_names())}; name them "
                f"train, validation and test, each once."
            )
        named[kind] = split
    if "train" not in named:
        raise DataError(f"'{listing.name}' has no split called train.")
    sources = {kind: whole.source(split) for kind, split in named.items()}
    return OfficialSplits(sources["train"], sources.get("validation"), sources.get("test"))


def _read_any(labels: str | Path | Any, options: dict[str, Any], format: str | None) -> Listing:
    if isinstance(labels, str | Path):
        return _read(Path(labels), options, format)
    check_options("a table in memory", options, read_table, BESIDE)
    return read_table(labels, **check_arguments("data.options", read_table, options))


def _read(path: Path, options: dict[str, Any], format: str | None) -> Listing:
    """Call a reader whose options came from a recipe and may be misspelt."""
    if not path.exists():
        raise DataError(f"There is nothing at {path}.")
    name = format or recognise(path)
    check_options(f"the format '{name}'", options, find_reader(name).read, BESIDE)
    options = check_arguments("data.options", find_reader(name).read, options)
    return read_listing(path, format=name, **options)
