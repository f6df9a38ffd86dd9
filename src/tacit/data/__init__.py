"""The table of data sets that come with the package."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError, unknown_name

if TYPE_CHECKING:
    from tacit.data.source import Source


@dataclass(frozen=True)
class Entry:
    """One row: what a data set is and how its training and test parts are read."""

    title: str
    load: Callable[..., tuple[Source, Source]]


def _read(
    name: str, load: Callable[..., tuple[Source, Source]], options: dict[str, Any]
) -> tuple[Source, Source]:
    """Call a reader whose options came from a recipe and may be misspelt."""
    known = inspect.signature(load).parameters
    for option in options:
        if option not in known:
            raise unknown_name(f"option of data set '{name}'", option, known)
    return load(**options)


def _scenes(**options: Any) -> tuple[Source, Source]:
    from tacit.data.scenes import load_scenes

    return _read("scenes", load_scenes, options)


SOURCES: dict[str, Entry] = {
    "scenes": Entry("Generated pictures of 12 classes, nothing to download", _scenes),
}


def check_data_name(name: str) -> None:
    """Refuse what is neither in the table nor a path to something."""
    if name in SOURCES or Path(name).exists():
        return
    if any(sign in name for sign in "/\\."):
        raise DataError(f"There is nothing at {name}.")
    raise unknown_name("data set", name, SOURCES)
