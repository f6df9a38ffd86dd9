"""A grid: lists become axes, and every cell is known again by what decides its outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.errors import UsageError
from tacit.experiments.grid import Cell, read_grid


def write(folder: Path, text: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return path


def rows(cells: list[Cell]) -> list[tuple[str, int]]:
    return [(cell.row, cell.seed) for cell in cells]


def test_a_recipe_with_lists_is_a_grid(tmp_path: Path) -> None:
    grid = write(
        tmp_path,
        """
        [data]
        positives = [1, 2]
        [method]
        name = ["an", "em"]
        [[phases]]
        lr = [1e-3, 1e-2]
        freeze = ["trunk"]
        [run]
        seed = [4, 7]
        """,
    )
    _, cells = read_grid(grid)
    assert len(cells) == 2 * 2 * 2 * 2
    assert rows(cells)[:3] == [
        ("positives 1 · an · lr 0.001", 4),
        ("positives 1 · an · lr 0.001", 7),
        ("positives 1 · an · lr 0.01", 4),
    ]
    config = cells[-1].config
    assert config is not None
    assert (config.data.positives, config.method.name, config.run.seed) == (2, "em", 7)
    # What a run has as a list is a value.
    assert config.phases[0].lr == 0.01 and config.phases[0].freeze == ("trunk",)


def test_a_list_of_lists_is_an_axis_of_what_a_run_has_as_a_list() -> None:
    _, cells = read_grid(None, ('phases.freeze=[[], ["trunk"]]',), {"seeds": 1})
    assert [cell.config.phases[0].freeze for cell in cells if cell.config] == [(), ("trunk",)]


def test_flags_make_axes_too() -> None:
    said = {"methods": ["an", "ignore"], "seeds": [5]}
    _, cells = read_grid(None, ("data.positives=[1,3]", "phases.epochs=2"), said)
    assert rows(cells) == [
        ("positives 1 · an", 5),
        ("positives 1 · ignore", 5),
        ("positives 3 · an", 5),
        ("positives 3 · ignore", 5),
    ]
    assert all(cell.config and cell.config.phases[0].epochs == 2 for cell in cells)


def test_rows_name_settings_that_belong_together(tmp_path: Path) -> None:
    grid = write(
        tmp_path,
        """
        [compare]
        seeds = 1
        [rows.whole]
        method = { name = "ignore" }
        [rows."rejection off"]
        method = { name = "ignore", reject = false }
        phases = { epochs = 3 }
        """,
    )
    _, (whole, off) = read_grid(grid)
    assert (whole.row, off.row) == ("whole", "rejection off")
    assert whole.config and whole.config.method.options["reject"] is True
    assert off.config and off.config.method.options["reject"] is False
    assert off.config.phases[0].epochs == 3 != whole.config.phases[0].epochs


def test_a_method_brings_its_table_of_the_recipe(tmp_path: Path) -> None:
    grid = write(
        tmp_path,
        """
        [[phases]]
        lr = 1e-3
        [methods.an]
        [methods.em]
        phases = { lr = 5e-4 }
        """,
    )
    _, cells = read_grid(grid, said={"methods": ["an", "em"], "seeds": 1})
    assert [cell.config.phases[0].lr for cell in cells if cell.config] == [1e-3, 5e-4]


def test_each_seed_may_draw_other_labels() -> None:
    _, cells = read_grid(None, said={"methods": ["an"], "seeds": 2, "redraw": True})
    draws = {cell.config.data.draw_seed for cell in cells if cell.config}
    assert len(draws) == 2


def identity(*settings: str) -> str:
    _, cells = read_grid(None, settings, {"seeds": [0]})
    return cells[0].identity


def test_identity_is_of_what_decides_the_outcome_alone(tmp_path: Path) -> None:
    assert identity() == identity()
    same = ("data.workers=1", "data.cache=here", "data.store=there", "run.device=cpu")
    assert all(identity(setting) == identity() for setting in same)
    others = ("phases.lr=0.1", "data.positives=2", "method.name=em", "run.precision=bf16")
    assert len({identity(), *(identity(setting) for setting in others)}) == 1 + len(others)


def test_another_table_under_the_same_name_is_another_experiment(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("image,labels\na.png,cat\n", encoding="utf-8")
    settings = (f"data.name={table}", "model.trunk=tiny")
    before = identity(*settings)
    assert identity(*settings) == before
    table.write_text("image,labels\na.png,dog\n", encoding="utf-8")
    assert identity(*settings) != before


def test_what_cannot_be_done_is_kept_with_its_reason() -> None:
    said = {"methods": ["an", "role"], "seeds": 1}
    _, cells = read_grid(None, ("data.mix=logicmix",), said)
    assert [bool(cell.config) for cell in cells] == [True, False]
    assert "remembers every single image" in cells[1].refusal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[compare]\nmethod = ['an']", r"Unknown key 'method' in \[compare\].*'methods'"),
        ("[compare]\nseeds = 0", "seeds"),
        ("[rows]\nplain = 1", "must hold a table for each row"),
        ("[data]\nnaem = 'x'", "Unknown key 'data.naem'"),
        (
            "[rows.a]\nmethod = {name = 'an'}\n[rows.b]\nmethod = {name = 'an'}",
            "are the same training under two names",
        ),
        ("[method]\nname = ['an', 'an']", "are the same training under two names"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_grid(write(tmp_path, text))
