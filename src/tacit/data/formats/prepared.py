"""A folder that `tacit prepare` or `tacit observe` wrote."""

from __future__ import annotations

from pathlib import Path

from tacit.data.formats import Match
from tacit.data.listing import Absent, Listing
from tacit.data.prepared import RECORD, is_prepared, read_prepared
from tacit.errors import UsageError


def recognise(path: Path) -> Match | None:
    """Say why a path looks like a prepared data set."""
    return Match(f"a folder with {RECORD}") if path.is_dir() and is_prepared(path) else None


def read(
    path: Path,
    *,
    images: Path | None = None,
    absent: Absent | None = None,
    observed: str | None = None,
) -> Listing:
    """Read a prepared data set.

    Args:
        path: The folder.
        images: The folder of the images, if they were moved.
        absent: Not to be given: the folder says it.
        observed: Name of other observed labels in the folder.
    """
    if absent is not None:
        raise UsageError("A prepared data set says itself what absence means; leave absent out.")
    return read_prepared(path, root=images, observed=observed)
