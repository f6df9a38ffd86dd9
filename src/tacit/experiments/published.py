"""Numbers that papers print, beside our own where the data set is one of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tacit.config import load_recipe
from tacit.experiments.cells import Measured
from tacit.registry import short_name

FILE = Path(__file__).with_suffix(".toml")
HEADS = {"query2label": "Query2Label", "cam": "linear"}
"""What the page calls a head; all of these papers put it on ResNet-50."""
USUAL = "one positive"
SETS = ("voc2012", "coco2014", "nuswide", "cub")


@dataclass(frozen=True)
class Published:
    """A number that a paper prints.

    Attributes:
        score: Test mAP in percent.
        called: What the paper calls the row.
        head: The head on ResNet-50.
        information: What the method learns from.
        table: In which table it stands.
        source: Whose it is.
    """

    score: float
    called: str
    head: str
    information: str
    table: str
    source: str


@cache
def read_tables() -> dict[str, Any]:
    """Read the file of published numbers."""
    return load_recipe(FILE)


def find_published(measured: Sequence[Measured]) -> dict[tuple[str, ...], Published]:
    """Return the published number of each row of a grid that a paper has trained as well.

    Papers print more than one number for the same row. The table that has most rows of the grid
    comes first.
    """
    asked = {
        each.cell.values: (data, names, options, head)
        for each in measured
        if each.cell.config is not None and (data := _find_set(each.data))
        for names, options, head in [_describe(each)]
    }
    best: list[dict[tuple[str, ...], Published]] = []
    for table in read_tables()["tables"]:
        found = {}
        for values, (data, names, options, head) in asked.items():
            row = _find_row(table, names, options, head)
            if row is not None:
                found[values] = _publish(table, row, data)
        best.append(found)
    merged: dict[tuple[str, ...], Published] = {}
    for found in sorted(best, key=len, reverse=True):
        merged = {**found, **merged}
    return merged


def _find_set(name: str) -> str | None:
    """Return which of the published data sets is meant; a split of it adds a word of its own."""
    return next((each for each in SETS if name == each or name.startswith(f"{each}-")), None)


def _describe(measured: Measured) -> tuple[list[str], dict[str, Any], str]:
    """Return what a row may be called, the options of its method, and its head."""
    config = measured.cell.config
    assert config is not None
    names = [*measured.cell.values, short_name(config.method.name)]
    return names, config.method.options, config.model.name


def _find_row(
    table: dict[str, Any], names: Sequence[str], options: Mapping[str, Any], head: str
) -> dict[str, Any] | None:
    if head != table["head"]:
        return None
    known = {row["method"] for row in table["rows"]}
    name = next((each for each in names if each in known), None)
    parts = read_tables()["parts"].get(name, ())
    off = {part for part in parts if part in options and not options[part]}
    rows = [
        row for row in table["rows"] if row["method"] == name and set(row.get("off", ())) == off
    ]
    return rows[0] if rows else None


def _publish(table: dict[str, Any], row: dict[str, Any], data: str) -> Published:
    return Published(
        float(row[data]),
        row["called"],
        HEADS[table["head"]],
        row.get("information", USUAL),
        table["title"],
        table["source"],
    )
