"""What the verbs that read labels of one's own let a user say about them, beside where they lie."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class LabelOptions:
    """Options of `read_listing`; a further one is a field here, and its help is a line below.

    Parameters
    ----------
    images
        The folder of the images, where it is not found.
    absent
        What it means that a class is not mentioned: unknown or negative.
    format
        The format, where it is not found out.
    separator
        What parts the names of classes in one cell of a table, such as ";", where it is not found
        out.
    other_columns
        A column of a table that is none of a class, whatever it holds; may be given several times.
    """

    images: Path | None = None
    absent: Literal["unknown", "negative"] | None = None
    format: str | None = None
    separator: str | None = None
    other_columns: tuple[str, ...] = ()

    def as_arguments(self) -> dict[str, Any]:
        """Return what `read_listing` takes; readers know the options of their own format alone."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


AS_FOUND = LabelOptions()
"""Nothing is said, and everything is found out."""
