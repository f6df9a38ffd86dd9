"""The configuration of a run: typed, closed, and the same in Python, recipes and flags.

Precedence in one sentence: defaults, then the recipe, then its table of the method, then its table
of the model, then flags. An unknown key is an error that names the nearest valid one.
"""

from __future__ import annotations

import copy
import inspect
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tacit.errors import UsageError, nearest_name

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
LabelKind = Literal["observed", "full", "true_negatives"]


class Section(BaseModel):
    """A table of a recipe; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """What to learn from."""

    name: str = Field("scenes", description="data set, see `tacit datasets`, or a path to labels")
    options: dict[str, Any] = Field({}, description="passed on to the reader of the data set")
    labels: LabelKind | None = Field(
        None, description="labels to train on; left out, the method says what it is meant for"
    )
    positives: int | None = Field(
        None,
        ge=-1,
        description="known positives drawn per image, -1 for all; left out, 1 for a named data "
        "set, and no draw for files",
    )
    negatives: int | None = Field(
        None, ge=-1, description="known negatives drawn per image, -1 for all"
    )
    draw_seed: int = Field(1200, ge=0, lt=2**32, description="seed of the draw of observed labels")
    split_seed: int = Field(1200, ge=0, lt=2**32, description="seed of the validation split")
    validation: float = Field(
        0.2, gt=0, lt=1, description="share set aside for validation, where there is no such split"
    )
    test: float = Field(
        0.1, gt=0, lt=1, description="share set aside for the test, where there is no such split"
    )
    validation_labels: Literal["clean", "observed"] | None = Field(
        None,
        description="labels that choose the best epoch; left out, clean ones where they are known, "
        "as in the literature",
    )
    mix: Literal["none", "logicmix"] = Field(
        "none", description="mix pairs of images; plain mixup means nothing for unknown labels"
    )
    cache: str | None = Field(
        None, description="folder for images scaled once, which every run then reads"
    )
    store: str | None = Field(
        None,
        description="folder where features of frozen trunks are kept for every run to come; "
        '"shared" is one for all runs of this user',
    )
    hold: Literal["disk", "memory", "device"] = Field(
        "disk", description="where cached images wait to be read"
    )
    reading: Literal["exact", "fast"] = Field(
        "exact", description="fast scales images by torch, within one level of 255"
    )
    strong: Literal["host", "device"] = Field(
        "host", description="where strong views are made: image by image, or by batches"
    )
    strong_operations: int = Field(3, ge=1, description="changes that make a view a strong one")
    strong_magnitude: int = Field(5, ge=0, le=30, description="how large they are, of 30")
    workers: int = Field(0, ge=0, description="processes that prepare batches")


class ModelConfig(Section):
    """What to train."""

    name: str = Field("cam", description="model, see `tacit models`")
    trunk: str = Field("tiny", description="tiny, or any timm network with spatial maps")
    trunk_options: dict[str, Any] = Field({}, description="passed on to timm")
    weights: str = Field("none", description="none, hub, package, or a weights file")
    size: int = Field(48, ge=8, description="side of the images in pixels")
    mean: tuple[float, float, float] | None = Field(
        None, description="left out, what timm notes of the weights"
    )
    std: tuple[float, float, float] | None = Field(
        None, description="left out, what timm notes of the weights"
    )
    boost: float = Field(1.0, gt=0, description="factor of the positive part of activation maps")
    embedding_dim: int = Field(0, ge=0, description="length of class embeddings, 0 for none")
    options: dict[str, Any] = Field({}, description="further options of the model")


class MethodConfig(BaseModel):
    """How to learn; further keys are the method's own hyperparameters."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field("ignore", description="method, see `tacit methods`")
    preset: str | None = Field(None, description="a named set of the method's hyperparameters")

    @property
    def options(self) -> dict[str, Any]:
        """The method's own hyperparameters."""
        return dict(self.model_extra or {})


class Phase(Section):
    """A stretch of epochs with one optimiser."""

    epochs: Count = Field(24, description="passes over the training images")
    batch: Count = Field(32, description="images per step, over all processes")
    accumulate: Count = Field(1, description="parts a batch is computed in, to save memory")
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = Field(3e-3, description="learning rate; the peak, under onecycle")
    head_lr: Positive = Field(1.0, description="learning rate of the head, relative to lr")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="learning rate of each layer of the trunk, relative to the next",
    )
    weight_decay: float = Field(1e-2, ge=0)
    decay_norms: bool = Field(True, description="let norms and biases decay as well")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    clip: Positive | None = Field(None, description="largest norm of the model's gradient")
    schedule: Literal["constant", "onecycle"] = "onecycle"
    warmup_share: float = Field(0.2, gt=0, lt=1, description="share of steps onecycle rises for")
    patience: int | None = Field(
        None, ge=0, description="epochs without a better one before the phase ends early"
    )
    max_drop: Positive | None = Field(
        None, description="points below the best epoch at which the phase ends early"
    )
    own_best: bool = Field(
        False, description="judge the phase by its own best epoch, not by those before it"
    )
    freeze: tuple[str, ...] = Field((), description="modules of the model that do not learn")
    features: Literal["fresh", "maps", "pooled"] = Field(
        "fresh", description="how often a frozen trunk reads an image"
    )


class RunConfig(Section):
    """Where and how precisely to compute."""

    seed: int = Field(0, ge=0, lt=2**63)
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, mps")
    precision: Literal["fp32", "bf16"] = "fp32"
    sync_batch_norm: bool = Field(False, description="batch statistics over all processes, on CUDA")
    shard: bool = Field(False, description="divide the trunk's weights among the processes")
    fuse_views: bool = Field(False, description="let the trunk read all views of a batch in one go")
    checkpointing: bool = Field(
        False, description="compute the trunk's activations twice instead of keeping them"
    )
    channels_last: bool = Field(True, description="memory layout that convolutions run faster in")
    compile: bool = Field(
        False, description="compile the trunk: slow to begin with, then faster steps"
    )
    average: float | None = Field(
        None, gt=0, lt=1, description="decay of a running average of the weights, if wanted"
    )


class DecideConfig(Section):
    """What decided labels are for."""

    goal: str = Field(
        "f1", description="f1, precision=0.9, labels=3, coverage=0.9 or looks=0.5, see evaluation"
    )
    labels_per_image: Positive | None = Field(
        None,
        description="how many labels an image has on average, where you know; left out, counted "
        "on clean validation labels, or estimated from known positives",
    )


class Config(Section):
    """One run, whole."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    phases: tuple[Phase, ...] = Field((Phase(),), min_length=1)
    decide: DecideConfig = DecideConfig()
    run: RunConfig = RunConfig()


# In a table of a method or a model, one table of phases is laid over every phase of the recipe; a
# list of them takes the place of the recipe's.
Phases = Annotated[
    tuple[Phase, ...], BeforeValidator(lambda said: (said,) if isinstance(said, dict) else said)
]


class MethodTable(MethodConfig):
    """``[methods.NAME]``: the keys of ``[method]``, and what else is different for it."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    phases: Phases = ()
    run: RunConfig = RunConfig()


class ModelTable(ModelConfig):
    """``[models.NAME]``: the keys of ``[model]``, and what else is different on it."""

    data: DataConfig = DataConfig()
    methods: dict[str, MethodTable] = {}
    phases: Phases = ()
    run: RunConfig = RunConfig()


class Recipe(Config):
    """What a recipe may say: a run, and tables of which one method and one model are chosen."""

    methods: dict[str, MethodTable] = {}
    models: dict[str, ModelTable] = {}


def load_recipe(path: Path) -> dict[str, Any]:
    """Read a TOML recipe into plain tables."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The recipe {path} cannot be read: {reason}.") from error
    except ValueError as error:
        raise UsageError(f"The recipe {path} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise UsageError(f"The recipe {path} is nested too deeply.") from error


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """Read ``table.key=value``; the value is TOML, or a plain word."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"'{setting}' is no setting; write table.key=value, e.g. run.seed=1.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    return key.strip().split("."), value


def apply_setting(tables: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put one value into nested tables; ``phases`` without a number means every phase."""
    if keys[0] == "phases" and len(keys) == 2:
        phases = tables.setdefault("phases", [{}])
        if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
            raise UsageError("'phases' must be a list of tables.")
        for phase in phases:
            phase[keys[1]] = value
        return
    table: Any = tables
    for position, key in enumerate(keys[:-1]):
        default: Any = [{}] if key == "phases" else {}
        table = table[int(key)] if isinstance(table, list) else table.setdefault(key, default)
        last = position == len(keys) - 2
        if not isinstance(table, dict if last else dict | list):
            raise UsageError(f"'{'.'.join(keys[: position + 1])}' is a value, not a table.")
    table[keys[-1]] = value


def resolve(
    recipe: Path | None = None,
    settings: Sequence[str | tuple[str, Any]] = (),
    base: dict[str, Any] | None = None,
) -> Config:
    """Build a configuration from defaults, a recipe and settings, in this order.

    Where the recipe has tables of methods and models, the settings ``method.name`` and
    ``model.name`` choose among them.

    Args:
        recipe: A file of TOML.
        settings: Written as ``table.key=value``, or pairs of a key and its value.
        base: Tables that are laid under the settings where there is no recipe.
    """
    tables = load_recipe(recipe) if recipe else copy.deepcopy(base or {})
    where = f"the recipe {recipe}" if recipe else "the recipe"
    if recipe or {"methods", "models"} & set(tables):
        _validate(Recipe, tables, where)
    parsed = [_parse(setting) for setting in settings]
    asked = {keys[0]: value for keys, value in parsed if keys in NAMES}
    _choose(tables, asked, where)
    for setting, (keys, value) in zip(settings, parsed, strict=True):
        if keys in NAMES:
            value = tables[keys[0]]["name"]  # a table may stand for another name than its own
        try:
            apply_setting(tables, keys, value)
        except (IndexError, ValueError) as error:
            said = setting if isinstance(setting, str) else setting[0]
            raise UsageError(f"'{said}' names a phase that does not exist.") from error
    return _validate(Config, tables, "the settings")


def _parse(setting: str | tuple[str, Any]) -> tuple[list[str], Any]:
    return (
        parse_setting(setting) if isinstance(setting, str) else (setting[0].split("."), setting[1])
    )


NAMES = (["method", "name"], ["model", "name"])


def _choose(tables: dict[str, Any], asked: dict[str, Any], where: str) -> None:
    """Lay the tables of one method and one model over those that hold for all."""
    methods, models = tables.pop("methods", {}), tables.pop("models", {})
    method = asked.get("method", tables.get("method", {}).get("name"))
    if methods and method is None:
        listed = ", ".join(methods)
        raise UsageError(f"Choose one of the methods of {where} with --method: {listed}.")
    if method is not None:
        tables.setdefault("method", {})["name"] = method
    _lay(tables, "method", methods, method)
    if "model" in asked:
        tables.setdefault("model", {})["name"] = asked["model"]
    model = tables.get("model", {}).get("name", ModelConfig().name)
    further = models.get(model, {}).pop("methods", {}) if isinstance(model, str) else {}
    _lay(tables, "model", models, model)
    _lay(tables, "method", further, method)


def _lay(tables: dict[str, Any], section: str, rows: dict[str, Any], name: Any) -> None:
    """Lay the row of this name, if there is one, over the tables; its own keys are a section's."""
    row = rows.get(name, {}) if isinstance(name, str) else {}
    for key, value in row.items():
        if key == "phases" and isinstance(value, dict):
            for each, said in value.items():
                apply_setting(tables, ["phases", each], said)
        elif key in Config.model_fields and key != section:
            _merge(tables, {key: value})
        else:
            _merge(tables, {section: {key: value}})


def _merge(tables: dict[str, Any], over: dict[str, Any]) -> None:
    """Put values into nested tables; a list takes the place of what was there."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tables.get(key), dict):
            _merge(tables[key], value)
        else:
            tables[key] = copy.deepcopy(value)


def _validate(shape: type[Config], tables: dict[str, Any], where: str) -> Config:
    try:
        return shape.model_validate(tables)
    except ValidationError as error:
        raise UsageError(explain(error, where, shape)) from error


def explain(error: ValidationError, where: str, shape: type[BaseModel]) -> str:
    """Describe in one sentence what is wrong with a configuration."""
    # A list whose only entry is wrong is reported as too short as well.
    problems = [each for each in error.errors() if each["type"] != "too_short"] or error.errors()
    problem, more = problems[0], len(problems) - 1
    location = ".".join(str(part) for part in problem["loc"])
    known = _places_of(location)
    tail = f" ({more} more problem{'s' if more > 1 else ''} after this one)" if more else ""
    if problem["type"] == "extra_forbidden":
        near = nearest_name(str(problem["loc"][-1]), _keys_beside(problem["loc"], shape))
        meant = " or ".join(f"'{each}'" for each in known or filter(None, [near]))
        hint = f"did you mean {meant}?" if meant else "there is no such key."
        return f"Unknown key '{location}' in {where}; {hint}{tail}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"'{location}' in {where} is {problem['input']!r}, but {message}.{tail}"


def _places_of(key: str) -> list[str]:
    """Return the whole names of keys that are called so in a section."""
    sections: dict[str, type[BaseModel]] = {
        "data": DataConfig,
        "model": ModelConfig,
        "method": MethodConfig,
        "phases": Phase,
        "decide": DecideConfig,
        "run": RunConfig,
    }
    return [f"{name}.{key}" for name, section in sections.items() if key in section.model_fields]


def _keys_beside(location: tuple[int | str, ...], shape: type[BaseModel]) -> list[str]:
    parts, section = iter(location[:-1]), shape
    for part in parts:
        kind = section.model_fields[str(part)].annotation
        inside = [each for each in get_args(kind) if inspect.isclass(each)]
        several = [each for each in inside if issubclass(each, BaseModel)]
        if several:
            next(parts)  # which of the phases, or whose table
        section = several[0] if several else kind  # type: ignore[assignment]
    return list(section.model_fields)
