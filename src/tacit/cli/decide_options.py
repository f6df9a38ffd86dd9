"""What the verbs that decide let a user say about decided labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class DecideOptions:
    """Keys of ``[decide]`` in a recipe.

    Parameters
    ----------
    goal
        What labels are decided for: f1, precision=0.9, labels=3, coverage=0.9 or looks=0.5.
    labels_per_image
        How many labels an image has on average, where you know; otherwise it is estimated.
    """

    goal: str | None = None
    labels_per_image: float | None = None

    def as_settings(self) -> tuple[str, ...]:
        """Return what is said as settings of a recipe."""
        return tuple(f"decide.{key}={value}" for key, value in self.as_changes().items())

    def as_changes(self) -> dict[str, Any]:
        """Return what is said, by its key."""
        return {key: value for key, value in asdict(self).items() if value is not None}


AS_RECORDED = DecideOptions()
"""Nothing is said: the recipe's values hold."""
