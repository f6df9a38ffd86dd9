"""The table of data sets that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tacit.errors import DataError, unknown_name
from tacit.files import is_there
from tacit.registry import Row

if TYPE_CHECKING:
    from tacit.data.source import Source


# A row stands for a function that returns the training and the test split.
SOURCES: dict[str, Row | Callable[..., tuple[Source, Source]]] = {
    "scenes": Row(
        "tacit.data.scenes:load_scenes", "Generated images of 12 classes, nothing to download"
    ),
}


IN_MEMORY = "<memory>"
"""What the data of a run are called whose images or labels nobody wrote to a file."""


def check_data_name(name: str) -> None:
    """Refuse what is neither in the table nor a path to something."""
    if name == IN_MEMORY:
        raise DataError(
            "The labels of this run came from memory, and no file holds them: ask the model that "
            "`tacit.fit` returned, or write the labels to a table and train from it."
        )
    if name in SOURCES or is_there(Path(name)):
        return
    if any(sign in name for sign in "/\\."):
        raise DataError(f"There is nothing at {name}.")
    raise unknown_name("data set", name, SOURCES)
