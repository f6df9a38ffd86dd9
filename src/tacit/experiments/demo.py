"""The demonstration: four trainings on generated images, one table, one page."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from tacit.config import Config, resolve
from tacit.experiments.demo_page import Roles, Row, build_page
from tacit.experiments.jobs import Job, train_side_by_side
from tacit.files import write_text
from tacit.report.page import write_page
from tacit.runs.build import read_splits
from tacit.runs.folder import Run
from tacit.training.report import Reporter
from tacit.training.run import complete

MARKER = "demo.json"

# What is compared: name on the page -> method table of the recipe. All share every other setting.
ROLES = Roles("full labels", "assume negative", "IGNORE", "IGNORE, rejection off")
VARIANTS: dict[str, dict[str, Any]] = {
    ROLES.bound: {"name": "bce"},
    ROLES.plain: {"name": "an"},
    ROLES.shown: {"name": "ignore"},
    ROLES.without: {"name": "ignore", "reject": False},
}


def plan(seeds: int, settings: tuple[str, ...] = ()) -> dict[tuple[str, int], Config]:
    """Return the configuration of every training: by variant and seed."""
    return {
        (name, seed): complete(
            resolve(
                base={"method": method, "data": {"positives": 1}},
                settings=(*settings, f"run.seed={seed}"),
            )
        )
        for name, method in VARIANTS.items()
        for seed in range(seeds)
    }


def run_demo(
    folder: Path,
    *,
    seeds: int = 1,
    settings: tuple[str, ...] = (),
    jobs: int = 1,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> list[Row]:
    """Train every variant with every seed, write results.json and index.html, return the rows.

    Args:
        folder: Where everything goes.
        seeds: Trainings of each variant.
        settings: Further settings for all of them.
        jobs: Trainings at a time.
        resume: Go on with trainings that were begun, and repeat none that has ended.
        reporter: Receives the progress.
    """
    configs = plan(seeds, settings)
    folder.mkdir(parents=True, exist_ok=True)
    # Written first, so that an interrupted demo is recognised as one, too.
    write_text(folder / MARKER, json.dumps({"variants": VARIANTS, "seeds": seeds}) + "\n")
    # The variants that take longest come last in the table and first here, so that no core idles.
    planned = {
        (name if seeds == 1 else f"{name} · seed {seed}"): Job(
            config, _run_folder(folder, name, seed), resume
        )
        for (name, seed), config in reversed(configs.items())
        if not (resume and Run(_run_folder(folder, name, seed)).result)
    }
    train_side_by_side(planned, jobs, reporter)
    rows = [_row(folder, name, seeds) for name in VARIANTS]
    results = {"rows": [vars(row) for row in rows], "seeds": seeds, "report": "index.html"}
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    first = {name: _run_folder(folder, name, 0) for name in VARIANTS}
    shown = configs[ROLES.shown, 0]
    page = build_page(ROLES, first, rows, shown, read_splits(shown))
    write_page(folder / "index.html", page)
    return rows


def _run_folder(folder: Path, name: str, seed: int) -> Path:
    return folder / "runs" / f"{name.replace(', ', '-').replace(' ', '-').lower()}-{seed}"


def _row(folder: Path, name: str, seeds: int) -> Row:
    maps, last, seconds = [], [], []
    for seed in range(seeds):
        run = Run(_run_folder(folder, name, seed))
        log = run.log.read()
        maps.append(run.record["result"]["map"])
        last.append(log[-1]["identification"])
        seconds.append(sum(entry["seconds"] for entry in log))
    mean = statistics.fmean
    return Row(
        name,
        mean(maps),
        statistics.stdev(maps) if seeds > 1 else 0.0,
        mean(found["precision"] for found in last),
        mean(found["recall"] for found in last),
        mean(found["f1"] for found in last),
        mean(seconds),
        tuple(maps),
    )
