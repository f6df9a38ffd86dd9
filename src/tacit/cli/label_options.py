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
    """

    images: Path | None = None
    absent: Literal["unknown", "negative"] | None = None
    format: str | None = None

    def as_arguments(self) -> dict[str, Any]:
        """Return what `read_listing` takes."""
        return asdict(self)


AS_FOUND = LabelOptions()
"""Nothing is said, and everything is found out."""
