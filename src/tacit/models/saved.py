"""What a saved model's configuration may say, checked when it is written and when it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

FORMAT = 1

Real = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class Recipe(BaseModel):
    """How to build a model again: the arguments of `build_model`, and where its weights are from.

    A trunk is named as timm's own tables name it. Other names, such as ``hf-hub:...``, would have
    timm ask somebody's server for what to build.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    trunk: Annotated[str, Field(pattern=r"^\w+(\.\w+)?$")]
    trunk_options: dict[str, Any]
    classes: Annotated[list[Name], Field(min_length=2)]
    size: Annotated[int, Field(ge=1, le=1 << 14)]
    mean: Annotated[list[Real], Field(min_length=3, max_length=3)]
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    boost: Positive
    embedding_dim: Annotated[int, Field(ge=0, le=1 << 16)]
    options: dict[str, Any]
    weights: dict[str, Any]

    @field_validator("classes")
    @classmethod
    def _are_told_apart(cls, names: list[str]) -> list[str]:
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise ValueError(f"the class '{twice}' is named twice")
        return names


class SavedConfig(BaseModel):
    """The whole of config.json; what else a run says of its model stands beside."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    format: Literal[1]
    model: Recipe
    thresholds: dict[str, Real] | None = None
    best: dict[str, Any] | None = None


def find_fault(config: Any) -> str | None:
    """Say what is wrong with a configuration, first of all; None if nothing is."""
    try:
        SavedConfig.model_validate(config)
    except ValidationError as error:
        faults = error.errors()
        where = ".".join(str(step) for step in faults[0]["loc"])
        said = faults[0]["msg"].removeprefix("Value error, ")
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        return f"{where}: {said}{more}"
    return None
