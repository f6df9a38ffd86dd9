"""Training the cells of a grid: what is done is skipped, what was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tacit.errors import DataError
from tacit.experiments.grid import Cell
from tacit.experiments.jobs import Job, count_threads, train_side_by_side
from tacit.files import read_json, write_text
from tacit.runs.folder import Run
from tacit.training.report import Reporter

Engine = Literal["local", "ray"]
State = Literal["not launched", "incomplete", "done", "failed"]


@dataclass(frozen=True)
class Measured:
    """A cell and what became of it.

    Attributes:
        cell: The cell.
        state: Whether it is done.
        figures: Its scores in percent, by name, if it is done.
        reason: Why it failed, if it did.
        rising: Validation still gained a point or more over the last fifth of its epochs, so that
            its score says more of the budget than of the method.
        near_chance: Its best validation is hardly above that of scores by chance.
        data: What its data are called.
        folder: Its run, below the folder of the comparison.
    """

    cell: Cell
    state: State
    figures: dict[str, float]
    reason: str = ""
    rising: bool = False
    near_chance: bool = False
    data: str = ""
    folder: str = ""


class Grid:
    """The folder of a comparison: a run for each cell, found again by what decides its outcome.

    Args:
        folder: Where the runs are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, cell: Cell) -> Run:
        """Return the run of a cell; what another grid calls otherwise is the same training."""
        runs = self.folder / "runs"
        there = sorted(runs.glob(f"*-{cell.seed}-{cell.identity}")) if cell.config else []
        name = "".join(letter if letter.isalnum() else "-" for letter in cell.row)[:60]
        return Run(there[0] if there else runs / f"{name}-{cell.seed}-{cell.identity}")

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "failed" / f"{self.run(cell).folder.name}.json"

    def state(self, cell: Cell) -> State:
        """Say how far a cell is."""
        run = self.run(cell)
        if cell.config is None or self._failure(cell).exists():
            return "failed"
        if run.result is not None:
            return "done"
        return "incomplete" if run.exists else "not launched"

    def train(
        self,
        cells: Sequence[Cell],
        jobs: int = 1,
        reporter: Reporter | None = None,
        engine: Engine = "local",
    ) -> None:
        """Train what is not done, and once more what failed; a failure does not end the others.

        Of cells that share what is computed once, such as features of a frozen trunk, the first
        one comes before the others.

        Args:
            cells: What to train.
            jobs: How many of them share the cores of a machine.
            reporter: Receives the progress.
            engine: Processes of this machine, or tasks of Ray.
        """
        waiting = [cell for cell in cells if cell.config and self.state(cell) != "done"]
        for cell in waiting:
            self._failure(cell).unlink(missing_ok=True)
        first = list({cell.shares: cell for cell in reversed(waiting) if cell.shares}.values())
        rest = [cell for cell in waiting if cell not in first]
        for several in (first[::-1], rest):
            planned = {
                cell.title: Job(cell.config, self.run(cell).folder)
                for cell in several
                if cell.config
            }
            failed = _train_with(engine, planned, jobs, reporter)
            for cell in several:
                if cell.title in failed:
                    reason = json.dumps({"cell": cell.title, "reason": failed[cell.title]})
                    self._failure(cell).parent.mkdir(parents=True, exist_ok=True)
                    write_text(self._failure(cell), reason + "\n")

    def measure(self, cells: Sequence[Cell]) -> list[Measured]:
        """Read what became of cells."""
        return [self._measure(cell) for cell in cells]

    def _measure(self, cell: Cell) -> Measured:
        state = self.state(cell)
        if state == "failed":
            return Measured(cell, state, {}, cell.refusal or _read_reason(self._failure(cell)))
        if state != "done":
            return Measured(cell, state, {})
        run = self.run(cell)
        result, log = run.scores or {}, run.log.read()
        figures = {
            "test mAP": result["map"],
            "validation mAP": result["best"]["map"],
            "OF1": result["of1"],
            "CF1": result["cf1"],
        }
        found = log[-1].get("identification") if log else None
        if found and found.get("tp", 0) + found.get("fp", 0):
            figures |= {
                f"suspects' {key}": 100 * found.get(key, 0.0) for key in ("precision", "recall")
            }
        return Measured(
            cell,
            state,
            figures,
            rising=_is_rising(log),
            near_chance=_is_near_chance(log),
            data=_read_name(run.record.get("data")),
            folder=run.folder.relative_to(self.folder).as_posix(),
        )


def _train_with(
    engine: Engine, planned: Mapping[str, Job], jobs: int, reporter: Reporter | None
) -> dict[str, str]:
    if engine == "local" or not planned:
        return train_side_by_side(planned, jobs, reporter, go_on=True)
    from tacit.experiments.ray_engine import train_by_ray

    return train_by_ray(planned, count_threads(jobs, len(planned)), reporter)


def _read_name(data: Any) -> str:
    return str(data.get("name", "")) if isinstance(data, dict) else ""


def _read_reason(file: Path) -> str:
    """Return why a cell failed; what was written down of it may be damaged."""
    try:
        told = read_json(file)
    except DataError as error:
        return str(error)
    reason = told.get("reason") if isinstance(told, dict) else None
    return reason if isinstance(reason, str) else f"{file} does not say why it failed."


LEAST_GAIN = 1.0
ABOVE_CHANCE = 5.0


def _is_rising(log: Sequence[dict[str, Any]]) -> bool:
    scores = [record.get("validation_map", 0.0) for record in log]
    last = max(1, len(scores) // 5)
    return len(scores) > last and max(scores[-last:]) - max(scores[:-last]) >= LEAST_GAIN


def _is_near_chance(log: Sequence[dict[str, Any]]) -> bool:
    best = max(log, key=lambda record: record.get("validation_map", 0.0), default={})
    chance = best.get("validation_chance")
    return chance is not None and bool(best.get("validation_map", 0.0) < chance + ABOVE_CHANCE)
