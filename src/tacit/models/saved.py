"""What a saved model's configuration may say, checked when it is written and when it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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


Share = Annotated[float, Field(ge=0, le=1)]
Several = Annotated[list[Real], Field(max_length=10_000)]


class Number(BaseModel):
    """How many labels an image has on average, and who says so."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    source: Literal["counted", "stated", "estimated", "verdicts"]


class Expected(BaseModel):
    """What is to be expected of decided labels."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    labels: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    precision: Share
    recall: Share
    f1: Share


class SavedCalibration(BaseModel):
    """The logit of a calibrated probability is slope times the model's, plus the class's shift."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    slope: Positive
    shifts: dict[Name, Real]


class SavedCurve(BaseModel):
    """What to expect at thresholds of the calibrated probability, from the highest down."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    threshold: Annotated[list[Share], Field(min_length=1, max_length=10_000)]
    labels: Several
    precision: Several
    missed: Several
    present: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    images: Annotated[int, Field(ge=0)]
    least: Several | None = None

    @model_validator(mode="after")
    def _are_of_one_length(self) -> SavedCurve:
        lists = (self.threshold, self.labels, self.precision, self.missed, self.least)
        if len({len(each) for each in lists if each is not None}) > 1:
            raise ValueError("its lists are of different lengths")
        return self


class SavedDecisions(BaseModel):
    """Why the thresholds are what they are."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    goal: Name
    met: bool
    rests_on: Name
    evidence: Literal["clean", "positives", "verdicts"]
    images: Annotated[int, Field(ge=1)]
    labels_per_image: Number
    expected: Expected
    undecided: list[Name]
    calibration: SavedCalibration
    curve: SavedCurve
    look_from: dict[Name, Real] | None = None


class SavedConfig(BaseModel):
    """The whole of config.json; what else a run says of its model stands beside."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    format: Literal[1]
    model: Recipe
    thresholds: dict[str, Real] | None = None
    decisions: SavedDecisions | None = None
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
