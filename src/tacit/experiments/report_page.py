"""The page about one run or several: what they reached, how training went, class by class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.errors import DataError
from tacit.registry import short_name
from tacit.report.charts import Line
from tacit.report.page import Chart, Page, Table
from tacit.runs.folder import Run

CLASSES = 60
"""So many classes are listed, those with the lowest scores first."""


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run says of itself."""

    name: str
    folder: Path
    record: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        """Its scores."""
        result: dict[str, Any] = self.record["result"]
        return result

    @property
    def method(self) -> str:
        """The name of its method."""
        return short_name(self.record["config"]["method"]["name"])


def read_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Read runs, each of which must have ended."""
    told = []
    for folder, name in zip(folders, _name_apart(folders), strict=True):
        run = Run(folder)
        record = run.record
        if not run.scores:
            raise DataError(
                f"The run in {folder} has not ended, so there is nothing to report yet; go on with "
                f"`tacit train --resume --out {folder}`."
            )
        if not all(isinstance(record.setdefault(key, {}), dict) for key in ("data", "versions")):
            raise DataError(f"{run.record_file} does not say what its run was made with.")
        told.append(
            FinishedRun(
                name,
                folder,
                {**record, "config": run.config.model_dump(mode="json")},
                run.log.read(),
            )
        )
    return told


def _name_apart(folders: Sequence[Path]) -> list[str]:
    """Name runs by their folders, with as many of the folders above as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise DataError("A run is named twice; name each once.")


def build_report(runs: Sequence[FinishedRun]) -> Page:
    """Build the page; the first run is the one that others are held against."""
    best = max(runs, key=lambda run: run.result["best"]["map"])
    first = runs[0]
    data = first.record["data"]
    facts = [(key, _write(value)) for key, value in data.items() if key != "name"]
    tables = (
        ("Class by class", _list_classes(runs)),
        *([("What differs", differing)] if (differing := _list_differences(runs)) else ()),
    )
    return Page(
        title=f"Report: {first.name}" if len(runs) == 1 else f"Report of {len(runs)} runs",
        lead=_sum_up(runs, best),
        facts=tuple(facts),
        table=_list_runs(runs, best),
        examples=(),
        charts=_draw(runs),
        notes=_note(runs),
        further=tables,
    )


def _write(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _sum_up(runs: Sequence[FinishedRun], best: FinishedRun) -> str:
    result = best.result
    images = f"{result['n_images']:,} {result['split']} images"
    said = (
        f"`{best.name}` ({best.method}) reached {result['map']:.1f} mAP on {images}; "
        f"the epoch was chosen on {result['selection']}."
    )
    if len(runs) > 1:
        first, last = runs[0].result["map"], runs[-1].result["map"]
        said = f"Best by validation: {said}\n\nFrom `{runs[0].name}` to `{runs[-1].name}`: "
        said += f"{first:.1f} to {last:.1f} mAP, {last - first:+.1f}."
        if len({run.record.get("fingerprint") for run in runs}) > 1:
            said += " Their training labels differ, which may be the point."
    return said


def _list_runs(runs: Sequence[FinishedRun], best: FinishedRun) -> Table:
    columns = ("run", "method", "test mAP", "OF1", "CF1", "validation mAP", "best epoch", "minutes")
    rows = tuple(
        (
            run.name,
            run.method,
            *(f"{run.result[key]:.1f}" for key in ("map", "of1", "cf1")),
            f"{run.result['best']['map']:.1f}",
            str(run.result["best"]["epoch"]),
            f"{sum(record.get('seconds', 0.0) for record in run.log) / 60:.1f}",
        )
        for run in runs
    )
    caption = (
        "Scores on the test images in percent; F1 is at a probability of one half. Minutes are "
        "training alone, on the machine that did it."
    )
    return Table(columns, rows, caption, emphasised_row=list(runs).index(best))


def _list_classes(runs: Sequence[FinishedRun]) -> Table:
    scores = [run.result["per_class"] for run in runs]
    names = sorted(scores[0], key=lambda name: scores[0][name])
    shown = names[:CLASSES]
    rows = tuple(
        (name, *(f"{each[name]:.1f}" if name in each else "–" for each in scores)) for name in shown
    )
    left = f" The {len(names) - len(shown):,} best are left out." if len(names) > len(shown) else ""
    caption = f"Average precision in percent, the hardest class of the first run first.{left}"
    return Table(("class", *(run.name for run in runs)), rows, caption)


def _list_differences(runs: Sequence[FinishedRun]) -> Table | None:
    """List the keys of the configuration in which runs differ."""
    flat = [dict(_flatten(run.record["config"])) for run in runs]
    keys = [key for key in dict.fromkeys(k for each in flat for k in each) if _differ(flat, key)]
    if len(runs) < 2 or not keys:
        return None
    rows = tuple((key, *(_short(each.get(key, "–")) for each in flat)) for key in keys)
    return Table(("key", *(run.name for run in runs)), rows, "Settings that are not the same.")


def _differ(flat: Sequence[dict[str, Any]], key: str) -> bool:
    return len({json.dumps(each.get(key), sort_keys=True) for each in flat}) > 1


def _flatten(table: Any, before: str = "") -> list[tuple[str, Any]]:
    if isinstance(table, dict):
        return [pair for key, value in table.items() for pair in _flatten(value, f"{before}{key}.")]
    if isinstance(table, list) and table and all(isinstance(each, dict) for each in table):
        return [p for n, each in enumerate(table) for p in _flatten(each, f"{before}{n}.")]
    return [(before[:-1], table)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"…{text[-39:]}"


def _draw(runs: Sequence[FinishedRun]) -> tuple[Chart, ...]:
    charts = [
        Chart(
            "Accuracy while training",
            "Mean average precision on the validation images, in percent.",
            "epoch",
            "mAP",
            tuple(draw_line(run.name, run.log, "validation_map") for run in runs),
        ),
        Chart(
            "Loss",
            "The sum of the loss terms, whose scale depends on the method.",
            "epoch",
            "loss",
            tuple(
                Line(
                    run.name,
                    tuple(range(1, len(run.log) + 1)),
                    tuple(sum(record.get("terms", {}).values()) for record in run.log),
                )
                for run in runs
            ),
        ),
    ]
    found = [run for run in runs if any(map(_suspects, run.log))]
    for key, what in (("precision", "right"), ("recall", "found")):
        if found:
            charts.append(
                Chart(
                    f"Suspects: {key}",
                    f"The share of {'suspects that are' if key == 'precision' else 'missed labels'}"
                    f" {what}, by the truth that these data have.",
                    "epoch",
                    "share",
                    tuple(draw_line(run.name, run.log, "identification", key) for run in found),
                )
            )
    return tuple(charts)


def _suspects(record: dict[str, Any]) -> bool:
    found = record.get("identification") or {}
    return bool(found.get("tp") or found.get("fp"))


def draw_line(name: str, log: Sequence[dict[str, Any]], *keys: str) -> Line:
    """Return a value of the log, found by its keys, over all epochs; None where there is none."""
    values: list[float | None] = []
    for record in log:
        value: Any = record
        for key in keys:
            value = (value or {}).get(key)
        values.append(value)
    return Line(name, tuple(float(n) for n in range(1, len(log) + 1)), tuple(values))


def _note(runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    notes = [
        f"`{run.name}`: data {run.record.get('fingerprint', 'unknown')}, seed "
        f"{run.record['config']['run']['seed']}, "
        + ", ".join(f"{name} {version}" for name, version in run.record["versions"].items())
        + "."
        for run in runs
    ]
    several = " ".join(str(run.folder) for run in runs)
    notes.append(
        f"`tacit evaluate {runs[0].folder}` scores a run again; `tacit report {several}` writes "
        f"this page again."
    )
    if len(runs) > 1:
        notes.append(
            "One run each: a difference of a point may be chance. `tacit compare` trains several "
            "seeds and gives intervals."
        )
    return tuple(notes)
