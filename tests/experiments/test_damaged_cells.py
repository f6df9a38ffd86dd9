"""A comparison of which files were damaged: said, and never a fault of the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.errors import DataError
from tacit.experiments.cells import Grid
from tacit.experiments.grid import read_grid

SETTINGS = ("data.options.images=10", "model.size=16")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"reason": "it is full"}', "it is full"),
        ('{"reason": 3}', "does not say why it failed"),
        ("[]", "does not say why it failed"),
        ("{", "is not readable as JSON"),
    ],
)
def test_a_failure_that_was_damaged_stays_a_failure(text: str, reason: str, tmp_path: Path) -> None:
    (cell,) = read_grid(None, SETTINGS, {"seeds": 1})[1]
    grid = Grid(tmp_path)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / f"{grid.run(cell).folder.name}.json").write_text(text)
    (measured,) = grid.measure([cell])
    assert measured.state == "failed" and reason in measured.reason


def test_scores_that_were_damaged_are_named(tmp_path: Path) -> None:
    (cell,) = read_grid(None, SETTINGS, {"seeds": 1})[1]
    run = Grid(tmp_path).run(cell)
    run.folder.mkdir(parents=True)
    run.write({"format": 2, "result": {"map": 50.0}})
    with pytest.raises(DataError, match="does not hold the scores of a run"):
        Grid(tmp_path).measure([cell])
