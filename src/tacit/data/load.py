"""Labels of one's own, from a file or a folder or a table in memory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from tacit.data.formats import find_reader, read_listing, recognise
from tacit.data.formats.table.read import read as read_table
from tacit.data.knowledge.options import BESIDE, CompletedListing, SideOptions, add_side
from tacit.data.listing import Absent, Listing, find_missing
from tacit.data.source import OfficialSplits, Source
from tacit.data.split_names import find_kind
from tacit.errors import DataError, UsageError
from tacit.files import is_there
from tacit.ranges import check_arguments, checked
from tacit.registry import check_options


@checked
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
    if isinstance(labels, str) and not labels.strip():
        raise UsageError("labels are a path or a table, and this path is blank.")
    folder = None if images is None else Path(images)
    listing = _read_any(labels, {"images": folder, "absent": absent, **options}, format)
    beside = SideOptions(groups, taxonomy, catalogue, at_most, merge_duplicates)
    where = (labels, options.get("image_column"), folder)
    return CompletedListing(*add_side(listing, beside, *where)).source(split)


def read_official_splits(labels: Path | Any, options: dict[str, Any]) -> OfficialSplits:
    """Read all splits of a data set for training: a path, or a table in memory."""
    try:
        whole = read_completed(labels, options)
    except DataError as error:
        raise DataError(_add_advice(str(error), labels, options)) from error
    listing = whole.listing
    _refuse_missing(listing, labels, options)
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


def read_completed(labels: Path | Any, options: Mapping[str, Any]) -> CompletedListing:
    """Read labels with the options of a recipe, and what lies beside them."""
    told, beside = divide_options(options)
    return complete_listing(read_told(labels, told), labels, told, beside)


def divide_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], SideOptions]:
    """Return the options of a reader, and what is said beside the labels."""
    told = check_arguments("data.options", load, options)
    if told.get("images") is not None:
        told["images"] = Path(told["images"])
    return told, SideOptions(**{name: told.pop(name) for name in BESIDE if name in told})


def read_told(labels: Path | Any, told: Mapping[str, Any]) -> Listing:
    """Read labels with the options of a reader and, among them, their format."""
    options = {name: value for name, value in told.items() if name != "format"}
    return _read_any(labels, options, told.get("format"))


def complete_listing(
    listing: Listing, labels: Path | Any, told: Mapping[str, Any], beside: SideOptions
) -> CompletedListing:
    """Read what lies beside labels, which were read from a path or a table in memory."""
    where = (labels, told.get("image_column"), told.get("images"))
    return CompletedListing(*add_side(listing, beside, *where))


def write_flags(options: Mapping[str, Any]) -> list[str]:
    """Return how options are said on the command line, the same for all verbs that read labels.

    Tables and what lies beside labels have flags; options of other formats are settings.
    """
    named = {*signature(load).parameters, *signature(read_table).parameters}
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name not in named:
            text = json.dumps(value, default=str, ensure_ascii=False)
            words += ["--set", f"data.options.{name}={text}"]
        elif value is True:
            words.append(flag)
        elif value is not False:
            for each in value if isinstance(value, list | tuple) else (value,):
                # A value that begins with a hyphen would be taken for a flag.
                words += [f"{flag}={each}"] if str(each).startswith("-") else [flag, str(each)]
    return words


def _refuse_missing(listing: Listing, labels: Path | Any, options: Mapping[str, Any]) -> None:
    """Refuse labels whose images are not all there, before hours are spent on the others."""
    missing = find_missing(listing)
    if not missing:
        return
    where = labels if isinstance(labels, str | Path) else f"'{listing.name}'"
    if len(missing) == len(listing):
        raise DataError(
            f"None of the {len(listing):,} images of {where} is in {listing.root}, first "
            f"'{missing[0]}'; say where they are with --images FOLDER."
        )
    names = ", ".join(missing[:5])
    more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    raise DataError(
        _add_advice(
            f"{len(missing):,} of the {len(listing):,} images of {where} are not in "
            f"{listing.root}: {names}{more}.",
            labels,
            options,
        )
    )


def _add_advice(problem: str, labels: Path | Any, options: Mapping[str, Any]) -> str:
    """Say how to see whatever else is wrong with a file of labels, and how to mend it."""
    if not isinstance(labels, str | Path) or not Path(labels).exists():
        return problem
    command = shlex.join(["tacit", "check", str(labels), *write_flags(options)])
    return (
        f"{problem} To see what else is wrong, and to write labels without it: {command} --clean "
        f"cleaned/labels.csv"
    )


def _read_any(labels: str | Path | Any, options: dict[str, Any], format: str | None) -> Listing:
    if isinstance(labels, str | Path):
        return _read(Path(labels), options, format)
    check_options("a table in memory", options, read_table, BESIDE)
    return read_table(labels, **check_arguments("data.options", read_table, options))


def _read(path: Path, options: dict[str, Any], format: str | None) -> Listing:
    """Call a reader whose options came from a recipe and may be misspelt."""
    if not is_there(path):
        raise DataError(f"There is nothing at {path}.")
    name = format or recognise(path)
    check_options(f"the format '{name}'", options, find_reader(name).read, BESIDE)
    options = check_arguments("data.options", find_reader(name).read, options)
    return read_listing(path, format=name, **options)
