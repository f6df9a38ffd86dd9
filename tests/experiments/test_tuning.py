"""Equal tuning: so many trials for every row, the same points, decided by validation alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tacit.cli import run
from tacit.config import resolve
from tacit.errors import UsageError
from tacit.experiments.cells import Grid
from tacit.experiments.grid import read_grid
from tacit.experiments.search import Range, Tune
from tacit.experiments.tuning import TRIAL_SEEDS, Search

LR = {"phases.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
GRID = """
[compare]
methods = ["an", "ll_r"]
seeds = 2
[compare.tune]
trials = 3
ranges = { "phases.lr" = { low = 1e-4, high = 1e-2, log = true } }
methods = { ll_r = ["rate"] }
[data]
name = "scenes"
options = { images = 60, test_images = 20 }
[[phases]]
epochs = 1
batch = 16
"""


def make(tune: dict[str, object], method: str = "an") -> list[tuple[str, ...]]:
    return Tune.model_validate(tune).list_trials(resolve(None, (f"method.name={method}",)))


def test_trials_are_so_many_seeded_and_inside_their_ranges() -> None:
    trials = make({"trials": 9, "ranges": LR})
    assert len(trials) == 9 == len(set(trials)) and trials[0] == ()
    rates = [float(each.removeprefix("phases.lr=")) for (each,) in trials[1:]]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert sum(rate < 1e-3 for rate in rates) == 4  # even by ratio
    assert (
        make({"trials": 9, "ranges": LR}) == trials != make({"trials": 9, "ranges": LR, "seed": 1})
    )
    assert len(make({"trials": 1, "ranges": LR})) == 1


def test_a_hyperparameter_is_searched_around_its_default_inside_what_it_may_be() -> None:
    tune = Tune.model_validate({"methods": {"ll_r": ["rate"], "splc": ["threshold"]}})
    (rate, whole) = tune.list_ranges(resolve(None, ("method.name=ll_r", "method.rate=0.2")))[
        "method.rate"
    ]
    assert (rate.low, rate.high, rate.log, whole) == (0.02, 1.0, True, False)  # a share
    assert tune.list_ranges(resolve(None, ("method.name=an",))) == {}


def test_whole_numbers_stay_whole() -> None:
    assert Range(low=1, high=5).place(0.6, whole=True) == 3
    assert Range(low=1e-4, high=1e-2, log=True).place(0.5, whole=False) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({}, "names nothing to search"),
        ({"methods": {"an": ["rat"]}}, "has no number 'rat'"),
    ],
)
def test_what_cannot_be_searched_is_said(tune: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(tune)


def test_the_best_trial_by_validation_is_trained_with_every_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "grid.toml", tmp_path / "out"
    file.write_text(GRID, encoding="utf-8")
    command = ["compare", str(file), "--out", str(out), "--jobs", "1"]
    assert run([*command, "--status"]) == 0
    assert "The search has not ended" in capsys.readouterr().out
    assert run(command) == 0
    said = capsys.readouterr().out
    comparison, cells = read_grid(file)
    assert comparison.tune is not None
    search, grid = Search(comparison.tune, cells), Grid(out)
    assert len(search.list_cells()) == 6 and search.is_done(grid)
    assert {cell.seed for cell in search.list_cells()} == {TRIAL_SEEDS}
    assert "Equal tuning: 3 trials of each row" in said
    for values, found in search.choose(grid).items():
        trials = [cell for _, cell in search.trials[values]]
        best = max(each.figures["validation mAP"] for each in grid.measure(trials))
        assert found.score == best and ", ".join(found.settings) in said
    for cell in search.tuned(grid):
        settings = search.choose(grid)[cell.values].settings
        assert cell.config and grid.state(cell) == "done"
        for setting in settings:
            key, value = setting.split("=")
            options = cell.config.method.options
            held = cell.config.phases[0].lr if key == "phases.lr" else options["rate"]
            assert held == json.loads(value)
    table = (out / "results.md").read_bytes()
    assert run(command) == 0 and (out / "results.md").read_bytes() == table
