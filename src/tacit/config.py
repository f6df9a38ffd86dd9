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
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tacit.errors import UsageError, nearest_name
from tacit.schema import AUTO as AUTO
from tacit.schema import Batch as Batch
from tacit.schema import Config as Config
from tacit.schema import Count as Count
from tacit.schema import DataConfig as DataConfig
from tacit.schema import DecideConfig as DecideConfig
from tacit.schema import LabelKind as LabelKind
from tacit.schema import MethodConfig as MethodConfig
from tacit.schema import MethodTable as MethodTable
from tacit.schema import ModelConfig as ModelConfig
from tacit.schema import ModelTable as ModelTable
from tacit.schema import Phase as Phase
from tacit.schema import Phases as Phases
from tacit.schema import Positive as Positive
from tacit.schema import Recipe as Recipe
from tacit.schema import RunConfig as RunConfig
from tacit.schema import Section as Section


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


def lay_over(below: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    """Return tables that lie over others; a list takes the place of what was there."""
    laid = copy.deepcopy(below)
    _merge(laid, tables)
    return laid


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
    sections: dict[str, Any] = {
        name: Phase if name == "phases" else field.annotation
        for name, field in Config.model_fields.items()
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
