"""The page about one run or several: what they reached, how training went, class by class."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tacit.experiments.commands import write_command
from tacit.experiments.figures import draw_figures
from tacit.experiments.finished import FinishedRun, Series, flatten, read_runs
from tacit.report.page import Gallery, Page, Table, write_page

CLASSES = 60
"""So many classes are listed, those with the lowest scores first."""


def write_report(path: Path, folders: Sequence[Path]) -> None:
    """Write the page about some finished runs."""
    write_page(path, build_report(read_runs(folders)))


def build_report(runs: Sequence[FinishedRun], galleries: Sequence[Gallery] = ()) -> Page:
    """Build the page; the first run is the one that others are held against."""
    best = max(runs, key=lambda run: run.result["best"]["map"])
    first = runs[0]
    data = first.record["data"]
    facts = [(key, _write(value)) for key, value in data.items() if key != "name"]
    tables = (
        ("Class by class", list_classes(runs)),
        *([("What differs", differing)] if (differing := list_differences(runs)) else ()),
    )
    return Page(
        title=f"Report: {first.name}" if len(runs) == 1 else f"Report of {len(runs)} runs",
        lead=_sum_up(runs, best),
        facts=tuple(facts),
        table=_list_runs(runs, best),
        examples=(),
        charts=tuple(draw_figures([Series(run.name, (run,)) for run in runs])),
        notes=_note(runs),
        further=tables,
        galleries=tuple(galleries),
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


def list_classes(runs: Sequence[FinishedRun]) -> Table:
    scores = [run.result["per_class"] for run in runs]
    names = sorted(scores[0], key=lambda name: scores[0][name])
    shown = names[:CLASSES]
    rows = tuple(
        (name, *(f"{each[name]:.1f}" if name in each else "–" for each in scores)) for name in shown
    )
    left = f" The {len(names) - len(shown):,} best are left out." if len(names) > len(shown) else ""
    caption = f"Average precision in percent, the hardest class of the first run first.{left}"
    return Table(("class", *(run.name for run in runs)), rows, caption)


def list_differences(runs: Sequence[FinishedRun]) -> Table | None:
    """List the keys of the configuration in which runs differ."""
    flat = [dict(flatten(run.record["config"])) for run in runs]
    keys = [key for key in dict.fromkeys(k for each in flat for k in each) if _differ(flat, key)]
    if len(runs) < 2 or not keys:
        return None
    rows = tuple((key, *(_short(each.get(key, "–")) for each in flat)) for key in keys)
    return Table(("key", *(run.name for run in runs)), rows, "Settings that are not the same.")


def _differ(flat: Sequence[dict[str, Any]], key: str) -> bool:
    return len({json.dumps(each.get(key), sort_keys=True) for each in flat}) > 1


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"…{text[-39:]}"


def _note(runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    notes = [
        f"`{run.name}`: data {run.record.get('fingerprint', 'unknown')}, seed "
        f"{run.record['config']['run']['seed']}, "
        + ", ".join(f"{name} {version}" for name, version in run.record["versions"].items())
        + "."
        for run in runs
    ]
    several = shlex.join(str(run.folder) for run in runs)
    first = shlex.quote(str(runs[0].folder))
    notes += [f"`{run.name}` again: `{write_command(run)}`" for run in runs]
    notes.append(
        f"`tacit evaluate {first}` scores a run again; `tacit report {several}` writes this page "
        f"again."
    )
    if len(runs) > 1:
        notes.append(
            "One run each: a difference of a point may be chance. `tacit compare` trains several "
            "seeds and gives intervals."
        )
    return tuple(notes)
