"""Which settings a search tries: the same number for every method, spread evenly, and seeded.

The points are those of a scrambled Sobol sequence. A search that learns from its trials is random
for its first ten or so, and cannot be the same for all methods, whose trials differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from tacit.config import Config, Count, Section
from tacit.errors import UsageError
from tacit.ranges import schema

AROUND = 10.0
"""A hyperparameter without a range of its own is searched from a tenth of its default to ten times
of it, inside the range that it is declared with."""


class Range(Section):
    """Where a number is searched."""

    low: float = Field(description="the least that is tried")
    high: float = Field(description="the most that is tried")
    log: bool = Field(False, description="spread evenly by ratio, not by difference")

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self

    def place(self, share: float, whole: bool) -> float:
        """Return the value at a share of the way from the least to the most."""
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if whole else float(f"{value:.4g}")


class Tune(Section):
    """The table ``[compare.tune]``."""

    trials: Count = Field(8, description="trainings for each row; the first is what the grid says")
    seed: int = Field(0, description="of the search, and of its trainings")
    ranges: dict[str, Range] = Field(
        default_factory=dict, description="keys that are searched for every row"
    )
    methods: dict[str, dict[str, Range | None] | tuple[str, ...]] = Field(
        default_factory=dict,
        description="hyperparameters that are searched for one method; a list of names, or ranges",
    )

    def list_ranges(self, config: Config) -> dict[str, tuple[Range, bool]]:
        """Return what is searched for a row, and whether it is a whole number."""
        found = {key: (each, False) for key, each in self.ranges.items()}
        own = self.methods.get(config.method.name, {})
        named: Mapping[str, Range | None] = (
            own if isinstance(own, Mapping) else dict.fromkeys(own, None)
        )
        declared = _read_declared(config) if named else {}
        for name, given in named.items():
            if name not in config.method.options or name not in declared:
                raise UsageError(f"'{config.method.name}' has no number '{name}' to be tuned.")
            limits = declared[name]
            whole = limits["type"] == "integer"
            default = config.method.options[name]
            found[f"method.{name}"] = (given or _go_around(name, default, limits), whole)
        return found

    def list_trials(self, config: Config) -> list[tuple[str, ...]]:
        """Return the settings of each trial of a row."""
        from scipy.stats import qmc

        ranges = self.list_ranges(config)
        if not ranges:
            raise UsageError("[compare.tune] names nothing to search; give it ranges.")
        count = self.trials - 1
        sobol = qmc.Sobol(len(ranges), scramble=True, rng=self.seed)
        points = sobol.random_base2(max(1, math.ceil(math.log2(max(count, 2)))))[:count]
        trials: list[tuple[str, ...]] = [()]
        for point in points:
            trials.append(
                tuple(
                    f"{key}={json.dumps(limits.place(float(share), whole))}"
                    for (key, (limits, whole)), share in zip(ranges.items(), point, strict=True)
                )
            )
        return trials


def _read_declared(config: Config) -> dict[str, Any]:
    """Return the schema of each hyperparameter that is a number, by the method's own lines."""
    from tacit.methods import method_class
    from tacit.methods.base import annotations_of

    declared = {}
    for name, annotation in annotations_of(method_class(config.method.name)).items():
        allowed = schema(annotation)
        for each in allowed.get("anyOf", [allowed]):
            if each.get("type") in ("number", "integer"):
                declared[name] = each
    return declared


def _go_around(name: str, default: Any, limits: dict[str, Any]) -> Range:
    if not isinstance(default, int | float) or default <= 0:
        raise UsageError(
            f"'{name}' has no default above 0 to search around; give it a range, as in "
            f"{name} = {{ low = 0.0, high = 1.0 }}."
        )
    low, high = limits.get("minimum", -math.inf), limits.get("maximum", math.inf)
    return Range(low=max(default / AROUND, low), high=min(default * AROUND, high), log=True)
