"""A grid: which trainings a comparison consists of, and what each of them is called."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from pydantic import Field, ValidationError

from tacit.config import (
    Config,
    Count,
    DataConfig,
    ModelConfig,
    Phase,
    RunConfig,
    Section,
    explain,
    lay_over,
    load_recipe,
    parse_setting,
    resolve,
)
from tacit.errors import TacitError, UsageError
from tacit.experiments.search import Tune
from tacit.training.run import complete

SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "phases": Phase,
    "run": RunConfig,
}
# Where things are kept and how many work on them; the outcome is the same.
IRRELEVANT = {"data": ("cache", "store", "hold", "workers"), "run": ("device",)}
SEED = "run.seed"


class Comparison(Section):
    """The table ``[compare]`` of a grid."""

    methods: tuple[str, ...] = Field((), description="methods, or their tables in the recipe")
    models: tuple[str, ...] = Field((), description="models, or their tables in the recipe")
    seeds: Count | tuple[int, ...] = Field(3, description="how many seeds, or which")
    redraw: bool = Field(False, description="let each seed draw other observed labels, too")
    baseline: tuple[str, ...] = Field(
        (), description="rows or methods that others are held against"
    )
    recipe: str = Field("", description="a recipe that lies under the grid, found beside it")
    ablates: str = Field("", description="the method whose parts `--ablate` finds here")
    tune: Tune | None = Field(None, description="a search of the same size for every row")

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one by one."""
        return list(range(self.seeds) if isinstance(self.seeds, int) else self.seeds)


@dataclass(frozen=True)
class Cell:
    """One training of a comparison.

    Attributes:
        values: Where it stands on each axis but that of the seeds.
        seed: Its seed.
        config: What it does, with every default; None if it cannot be done.
        refusal: Why it cannot.
        tables: The recipe that it comes from.
        settings: What was set over it.
    """

    values: tuple[str, ...]
    seed: int
    config: Config | None
    refusal: str = ""
    tables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    settings: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def vary(self, settings: Sequence[str]) -> Cell:
        """Return the same cell with further settings over its own."""
        return _make_cell(self.values, self.seed, self.tables, (*self.settings, *settings))

    @property
    def row(self) -> str:
        """What the table calls it."""
        return " · ".join(self.values)

    @property
    def title(self) -> str:
        """What progress calls it."""
        return f"{self.row} · seed {self.seed}"

    @property
    def identity(self) -> str:
        """A short hash of all that decides its outcome: equal cells, equal outcome."""
        if self.config is None:
            return "refused"
        tables = self.config.model_dump(mode="json")
        for table, keys in IRRELEVANT.items():
            for key in keys:
                del tables[table][key]
        digest = hashlib.sha256(json.dumps(tables, sort_keys=True).encode())
        labels = Path(self.config.data.name)
        if labels.is_file():  # another table under the same name is another experiment
            digest.update(labels.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def shares(self) -> str | None:
        """What is computed once and kept for all cells that say the same here."""
        if self.config is None or not (self.config.data.store or self.config.data.cache):
            return None
        data, model = self.config.data, self.config.model
        return repr((data.name, data.options, model.trunk, model.weights, model.size))


def read_grid(
    file: Path | None,
    settings: Sequence[str] = (),
    said: Mapping[str, Any] | None = None,
    recipe: Path | None = None,
) -> tuple[Comparison, list[Cell]]:
    """Read which trainings are compared.

    A grid is a recipe in which a key may have a list of values where a run has one; where a run has
    a list, a grid may have a list of lists. ``[rows.NAME]`` tables name settings that belong
    together, and ``[compare]`` says the rest.

    Args:
        file: The grid; None for the defaults of a run.
        settings: Further ``table.key=value``, with lists as well.
        said: Keys of ``[compare]`` that come before those of the file.
        recipe: What lies under the grid, in place of the recipe that it names.
    """
    tables = load_recipe(file) if file else {}
    where = f"the grid {file}" if file else "the grid"
    rows = tables.pop("rows", {})
    comparison = _read_comparison({**tables.pop("compare", {}), **(said or {})}, where)
    if recipe is None and comparison.recipe and file is not None:
        recipe = file.parent / comparison.recipe
    if recipe is not None:
        below = load_recipe(recipe)
        if any(setting.startswith("data.name=") for setting in settings):
            below.pop("data", None)  # which is about other data
        tables = lay_over(below, tables)
    axes = {keys: values for keys, values in _take_axes(tables)}
    fixed = []
    for setting in settings:
        keys, value = parse_setting(setting)
        if _is_axis(keys, value):
            axes[".".join(keys)] = value
        else:
            fixed.append(setting)
    if comparison.methods:
        axes["method.name"] = list(comparison.methods)
    if comparison.models:
        axes["model.name"] = list(comparison.models)
    seeds = axes.pop(SEED, None) or comparison.seed_list
    named = _read_rows(rows, where) if rows else {"": ()}
    cells = []
    for name, row in named.items():
        for values in itertools.product(*axes.values()):
            own = dict(zip(axes, values, strict=True))
            for seed in seeds:
                further = _write_settings({**own, SEED: seed})
                if comparison.redraw:
                    further += (f"data.draw_seed={1200 + seed}",)
                label = _label(name, own)
                cells.append(_make_cell(label, seed, tables, (*fixed, *row, *further)))
    _check(cells, where)
    return comparison, cells


def _read_comparison(table: dict[str, Any], where: str) -> Comparison:
    try:
        return Comparison.model_validate(table)
    except ValidationError as error:
        raise UsageError(explain(error, f"[compare] of {where}", Comparison)) from error


def _take_axes(tables: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Take the keys that have several values out of a recipe."""
    for section in ("data", "model", "method", "run"):
        table = tables.get(section)
        if isinstance(table, dict):
            for key in [key for key, value in table.items() if _is_axis([section, key], value)]:
                yield f"{section}.{key}", table.pop(key)
    phases = tables.get("phases")
    for number, phase in enumerate(phases if isinstance(phases, list) else ()):
        if isinstance(phase, dict):
            for key in [key for key, value in phase.items() if _is_axis(["phases", key], value)]:
                yield f"phases.{number}.{key}", phase.pop(key)


def _is_axis(keys: list[str], value: Any) -> bool:
    """Whether a key has several values, of which a run has one."""
    if not isinstance(value, list) or not value or len(keys) < 2:
        return False
    if all(isinstance(each, list) for each in value):
        return True
    section = SECTIONS.get(keys[0])
    field = section.model_fields.get(keys[-1]) if section and keys[1] != "options" else None
    if section is not None and field is None:
        return False
    return field is None or get_origin(field.annotation) is not tuple


def _read_rows(rows: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise UsageError(f"[rows] of {where} must hold a table for each row, as in [rows.plain].")
    return {name: _write_settings(dict(_flatten(row))) for name, row in rows.items()}


def _flatten(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _write_settings(values: Mapping[str, Any]) -> tuple[str, ...]:
    # The name of a method comes first: it chooses a table, which other settings lie over.
    return tuple(
        f"{key}={json.dumps(value)}" for key, value in sorted(values.items(), key=_name_first)
    )


def _name_first(item: tuple[str, Any]) -> bool:
    return item[0] not in ("method.name", "model.name")


def _label(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    said = [
        str(value)
        if key in ("method.name", "model.name")
        else f"{key.split('.')[-1]} {_text(value)}"
        for key, value in values.items()
    ]
    return tuple(filter(None, (name, *said))) or ("all",)


def _text(value: Any) -> str:
    return Path(value).stem if isinstance(value, str) and "/" in value else str(value)


def _make_cell(
    values: tuple[str, ...], seed: int, tables: Mapping[str, Any], settings: tuple[str, ...]
) -> Cell:
    try:
        config = complete(resolve(base=dict(tables), settings=settings))
    except TacitError as error:
        return Cell(values, seed, None, str(error), tables, settings)
    if values == ("all",):
        values = (config.method.name,)
    return Cell(values, seed, config, "", tables, settings)


def _check(cells: list[Cell], where: str) -> None:
    refused = [cell for cell in cells if cell.config is None]
    if len(refused) == len(cells):
        raise UsageError(refused[0].refusal if refused else f"There is nothing in {where}.")
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.config is None:
            continue
        twin = seen.setdefault(cell.identity, cell)
        if twin is not cell:
            raise UsageError(
                f"'{cell.title}' and '{twin.title}' of {where} are the same training under two "
                f"names; leave one of them out."
            )
