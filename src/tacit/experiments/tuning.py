"""Equal tuning: the same search for every row of a grid, decided by validation alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tacit.config import Config
from tacit.experiments.cells import Grid
from tacit.experiments.grid import SEED, Cell
from tacit.experiments.search import Tune

TRIAL_SEEDS = 1_000_000
"""Trials have a seed apart from those of the table, which so did not choose its own settings."""


@dataclass(frozen=True)
class Chosen:
    """What a search came to for one row.

    Attributes:
        settings: The best trial's, none if that is what the grid says.
        score: Its validation mAP in percent; None if no trial ended.
        trials: How many trials there were.
        failed: How many of them failed.
    """

    settings: tuple[str, ...]
    score: float | None
    trials: int
    failed: int


class Search:
    """A search over the rows of a grid; each trial is a cell as others are.

    Args:
        tune: What is searched.
        cells: The cells of the grid.
    """

    def __init__(self, tune: Tune, cells: Sequence[Cell]) -> None:
        self.tune, self.cells = tune, list(cells)
        self.trials = {
            values: [(settings, self._make(first, settings, n)) for n, settings in enumerate(tried)]
            for values, first in self._first_cells().items()
            if (tried := self._list(first.config)) is not None
        }

    def _first_cells(self) -> dict[tuple[str, ...], Cell]:
        return {cell.values: cell for cell in reversed(self.cells)}

    def _list(self, config: Config | None) -> list[tuple[str, ...]] | None:
        return None if config is None else self.tune.list_trials(config)

    def _make(self, cell: Cell, settings: tuple[str, ...], number: int) -> Cell:
        seed = TRIAL_SEEDS + self.tune.seed
        trial = cell.vary((*settings, f"{SEED}={seed}"))
        return replace(trial, values=(*cell.values, f"trial {number}"), seed=seed)

    def list_cells(self) -> list[Cell]:
        """Return all trials, without those that are the same training."""
        cells = [trial for trials in self.trials.values() for _, trial in trials]
        return list({cell.identity if cell.config else cell.title: cell for cell in cells}.values())

    def choose(self, grid: Grid) -> dict[tuple[str, ...], Chosen]:
        """Return the trial with the best validation of each row; the first of equal ones."""
        chosen = {}
        for values, trials in self.trials.items():
            measured = grid.measure([trial for _, trial in trials])
            scores = [each.figures.get("validation mAP") for each in measured]
            done = [(score, -n) for n, score in enumerate(scores) if score is not None]
            failed = sum(each.state == "failed" for each in measured)
            best = -max(done)[1] if done else 0
            settings = trials[best][0]
            chosen[values] = Chosen(settings, scores[best], len(trials), failed)
        return chosen

    def is_done(self, grid: Grid) -> bool:
        """Whether nothing of it is left to be trained."""
        return all(grid.state(cell) in ("done", "failed") for cell in self.list_cells())

    def tuned(self, grid: Grid) -> list[Cell]:
        """Return the cells of the grid, each with what was chosen for its row."""
        chosen = self.choose(grid)
        return [
            cell.vary(chosen[cell.values].settings) if cell.values in chosen else cell
            for cell in self.cells
        ]

    def list_notes(self, grid: Grid) -> list[str]:
        """Say what was searched, and what was chosen."""
        seed = TRIAL_SEEDS + self.tune.seed
        notes = [
            f"Equal tuning: {self.tune.trials} trials of each row with seed {seed}, the first as "
            f"the grid says and the others at points of a scrambled Sobol sequence (seed "
            f"{self.tune.seed}); chosen by validation mAP, test scores were not looked at."
        ]
        for values, found in self.choose(grid).items():
            first = self._first_cells()[values].config
            assert first is not None
            over = ", ".join(
                f"{key} {limits.low:g} to {limits.high:g}{' (log)' if limits.log else ''}"
                for key, (limits, _) in self.tune.list_ranges(first).items()
            )
            what = ", ".join(found.settings) or "what the grid says"
            score = f" ({found.score:.1f})" if found.score is not None else ""
            failed = f"; {found.failed} of {found.trials} trials failed" if found.failed else ""
            notes.append(f"{' · '.join(values)}: over {over}; chosen: {what}{score}{failed}.")
        return notes
