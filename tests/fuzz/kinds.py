"""Every kind of file that tacit reads: small ones that are whole, and what reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Read = Callable[[Random, Path], object]
"""Reads a copy of the folder, one file of which was changed."""


@dataclass(frozen=True)
class Kind:
    """Files that are read in one way.

    Attributes:
        make: Writes whole ones into an empty folder.
        read: Reads the folder; what it picks at random are options.
        files: Patterns of the files that are changed.
        documents: They are JSON.
    """

    make: Callable[[Path], object]
    read: Read
    files: tuple[str, ...] = ("**/*",)
    documents: bool = False


KINDS: dict[str, Kind] = {}


def kind(
    name: str, make: Callable[[Path], object], *files: str, documents: bool = False
) -> Callable[[Read], Read]:
    """Add what a function reads to the table of kinds."""

    def add(read: Read) -> Read:
        assert name not in KINDS
        KINDS[name] = Kind(make, read, files or ("**/*",), documents)
        return read

    return add


def all_kinds() -> dict[str, Kind]:
    """Return the table, filled by the modules that say what there is."""
    from fuzz import data_kinds, repair_kinds, review_kinds, run_kinds  # noqa: F401

    return KINDS
