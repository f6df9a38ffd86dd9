"""The demonstration: train on incomplete labels, find what is missing, review, repair, train again.

It is the main job of this package in small, and does it as a person would: with a folder of images,
a table with one tag for each of them, and the files that lie beside them in the end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tacit.config import Config, parse_setting, resolve
from tacit.experiments.demo_data import DrawnData, write_data
from tacit.experiments.demo_page import Roles, Row, build_page
from tacit.experiments.demo_review import Repair, repair_labels
from tacit.experiments.jobs import Job, train_side_by_side
from tacit.files import write_text
from tacit.report.page import write_page
from tacit.runs.build import read_splits
from tacit.runs.folder import Run
from tacit.training.report import Reporter, Silent

MARKER = "demo.json"
LOOKS = 200
BUDGET: dict[str, Any] = {"epochs": 16}
SCENES: dict[str, Any] = {"images": 2000, "test_images": 1000}

ROLES = Roles("full labels", "assume negative", "IGNORE", "assume negative, repaired labels")


@dataclass(frozen=True)
class Plan:
    """What is trained: on which labels, by which method.

    Attributes:
        drawn: Draws the images; nothing trains by it.
        settings: What holds for every training.
    """

    drawn: Config
    settings: tuple[str, ...]

    def config(self, method: str, labels: Path, absent: str = "unknown") -> Config:
        """Return the configuration of one training.

        Args:
            method: How to learn.
            labels: What from.
            absent: What it means that a class is not mentioned.
        """
        base = {
            "data": {"name": str(labels), "options": {"absent": absent}},
            "model": {"trunk": "tiny"},
            "method": {"name": method},
            "phases": [dict(BUDGET)],
        }
        return resolve(base=base, settings=self.settings)


def plan(settings: tuple[str, ...] = ()) -> Plan:
    """Tell settings that draw the images from those that train."""
    drawing = tuple(each for each in settings if parse_setting(each)[0][0] == "data")
    base = {"data": {"name": "scenes", "positives": 1, "options": dict(SCENES)}}
    others = tuple(each for each in settings if each not in drawing)
    return Plan(resolve(base=base, settings=drawing), others)


def count_epochs(planned: Plan) -> int:
    """Return how many epochs there are over all trainings."""
    config = planned.config("an", Path("labels.csv"))
    return 4 * sum(phase.epochs for phase in config.phases)


@dataclass(frozen=True)
class Story:
    """What the demonstration found.

    Attributes:
        rows: The table.
        repair: What became of the labels.
    """

    rows: list[Row]
    repair: Repair


def run_demo(
    folder: Path,
    *,
    settings: tuple[str, ...] = (),
    jobs: int = 1,
    looks: int = LOOKS,
    reporter: Reporter | None = None,
) -> Story:
    """Tell the whole story, write results.json and index.html, and return what was found.

    Args:
        folder: Where everything goes.
        settings: Settings of the data and of all trainings.
        jobs: Trainings at a time.
        looks: Questions that are answered, by the truth.
        reporter: Receives the progress.
    """
    planned, reporter = plan(settings), reporter or Silent()
    folder.mkdir(parents=True, exist_ok=True)
    # Written first, so that an interrupted demo is recognised as one, too.
    write_text(folder / MARKER, json.dumps({"settings": settings}) + "\n")
    drawn = write_data(folder, read_splits(planned.drawn))
    runs = {name: folder / "runs" / run for name, run in RUNS.items()}
    # What takes longest comes first, so that no core idles.
    wanted = {
        ROLES.shown: planned.config("ignore", drawn.labels),
        ROLES.bound: planned.config("bce", drawn.full, "negative"),
        ROLES.plain: planned.config("an", drawn.labels),
    }
    first = {name: _job(config, runs[name], drawn, name) for name, config in wanted.items()}
    train_side_by_side(first, jobs, reporter)
    reporter.start_run("repair")
    repair = repair_labels(Run(runs[ROLES.shown]), drawn, folder / "repaired.csv", looks)
    reporter.note(repair.sentence)
    again = planned.config("an", repair.labels)
    train_side_by_side({ROLES.repaired: Job(again, runs[ROLES.repaired])}, 1, reporter)
    rows = [_row(name, Run(runs[name])) for name in RUNS]
    results = {
        "rows": [asdict(row) for row in rows],
        "repair": repair.to_dict(),
        "report": "index.html",
    }
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    page = build_page(ROLES, runs, rows, repair, _read_with_truth(runs[ROLES.shown], drawn))
    write_page(folder / "index.html", page)
    return Story(rows, repair)


# In the order of the table.
RUNS = {
    ROLES.bound: "full-labels",
    ROLES.plain: "assume-negative",
    ROLES.shown: "ignore",
    ROLES.repaired: "repaired",
}


def _job(config: Config, folder: Path, drawn: DrawnData, name: str) -> Job:
    # What is trained on all labels knows the truth already.
    return Job(config, folder, truth=None if name == ROLES.bound else drawn.truth)


def _read_with_truth(run: Path, drawn: DrawnData) -> Any:
    from dataclasses import replace

    splits = Run(run).splits()
    return replace(splits, train=splits.train.with_truth(drawn.truth))


def _row(name: str, run: Run) -> Row:
    log, result = run.log.read(), run.record["result"]
    found = log[-1].get("identification") or {}
    shares = (float(found.get(key, 0.0)) for key in ("precision", "recall", "f1"))
    seconds = sum(entry["seconds"] for entry in log)
    precision, recall, f1 = shares
    return Row(name, result["map"], precision, recall, f1, seconds)
