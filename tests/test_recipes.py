"""The recipes of the literature's benchmarks: written by their script, complete, and sound."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tacit.benchmarks import BENCHMARKS
from tacit.config import resolve
from tacit.methods import METHODS, build_method
from tacit.models import MODELS

RECIPES = Path(__file__).parent.parent / "recipes"
FILES = sorted(path for path in RECIPES.glob("*/*.toml"))


def test_they_are_what_their_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("benchmarks", RECIPES / "benchmarks.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = {path.relative_to(RECIPES).as_posix(): path.read_text("utf-8") for path in FILES}
    assert written == script.recipes(), "run python recipes/benchmarks.py"


def test_every_benchmark_has_every_method() -> None:
    found = {(path.parent.name, path.stem) for path in FILES}
    benchmarks = {benchmark for benchmark, _ in found}
    assert benchmarks <= set(BENCHMARKS)
    # Only positives are drawn there, and without a known negative `iu` learns nothing.
    expected = set(METHODS) - {"iu"}
    assert found == {(benchmark, name) for benchmark in benchmarks for name in expected}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recipe_is_sound(path: Path) -> None:
    config = resolve(path)
    assert config.data.name == f"data/{path.parent.name}"
    assert config.method.name == path.stem and config.model.name in MODELS
    build_method(config.method.name, **config.method.options)
    assert f"tacit train recipes/{path.parent.name}/{path.name} --out" in path.read_text("utf-8")
