"""Pages of results say what the figures beside them say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from tacit.methods import METHODS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"


def load_study(name: str) -> Any:
    found = importlib.util.spec_from_file_location(f"study_{name}", ROOT / f"studies/{name}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def without_date(page: Path) -> str:
    return page.read_text(encoding="utf-8").split("\nMeasured on ")[0]


def test_the_table_of_methods_is_that_of_its_figures(tmp_path: Path) -> None:
    figures = json.loads((RESULTS / "methods.json").read_text(encoding="utf-8"))
    load_study("methods").write(figures, tmp_path, seeds=3)
    assert without_date(tmp_path / "methods.md") == without_date(RESULTS / "methods.md")


def test_rows_at_chance_say_so() -> None:
    study = load_study("methods")
    figures = json.loads((RESULTS / "methods.json").read_text(encoding="utf-8"))
    page = (RESULTS / "methods.md").read_text(encoding="utf-8")
    measured = {figure["method"] for figure in figures}  # the study is older than some methods
    assert measured <= METHODS.keys() and len(measured) >= 26
    for name in measured:
        maps = [figure["map"] for figure in figures if figure["method"] == name]
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert ("chance" in row) == (sum(maps) / len(maps) < study.CHANCE + study.NEAR), row
