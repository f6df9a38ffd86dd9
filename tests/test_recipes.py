"""The recipes: every table is a method that trains, on both models, as `tacit train` reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark_copies import coco2014 as coco2014
from benchmark_copies import cub as cub
from benchmark_copies import nuswide as nuswide
from benchmark_copies import voc2012 as voc2012
from tacit import cli
from tacit.config import Config, DataConfig, load_recipe, resolve
from tacit.data.splits import load_splits
from tacit.methods import METHODS, build_method, method_class
from tacit.models import MODELS
from tacit.teachers import save_scores

RECIPES = Path(__file__).parent.parent / "recipes"
FILES = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
BENCHMARKS = ("voc2012", "coco2014", "nuswide", "cub")
HEADS = ("cam", "query2label")
# The positives that a training image of each benchmark shows, from complete labels.
SHOWN = {"voc2012": 1.5, "coco2014": 2.9, "nuswide": 1.9, "cub": 31.4}
SMALL = ("model.trunk=tiny", "model.weights=none", "model.size=16", "run.device=cpu") + (
    "phases.epochs=1",
)


def rows(benchmark: str) -> list[str]:
    return list(load_recipe(FILES[benchmark])["methods"])


def chosen(benchmark: str, method: str, model: str | None = None) -> Config:
    asked = (f"method.name={method}", *((f"model.name={model}",) if model else ()))
    return resolve(FILES[benchmark], asked)


def test_every_data_set_has_one_recipe_and_every_benchmark_every_method() -> None:
    assert set(FILES) == {*BENCHMARKS, "scenes"}
    for benchmark in BENCHMARKS:
        named = [chosen(benchmark, row).method.name for row in rows(benchmark)]
        assert set(named) == set(METHODS)
        # Where several rows are one method, one of them bears its name.
        assert set(named) <= set(rows(benchmark))
        assert rows(benchmark) == rows("voc2012")


@pytest.mark.parametrize("name", FILES)
def test_every_cell_resolves_to_what_a_run_can_build(name: str) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    assert f"#   tacit train recipes/{name}.toml --method ignore --out runs/" in text
    for row in rows(name):
        for head in HEADS:
            config = chosen(name, row, head)
            assert config.model.name == head and head in MODELS
            assert config.data.positives == 1
            method = config.method
            build_method(method.name, preset=method.preset, **method.options)


def test_the_number_of_positives_is_that_of_the_data_set() -> None:
    for benchmark, shown in SHOWN.items():
        for row in ("epr", "role", "role_li", "aevlp"):
            assert chosen(benchmark, row).method.options["expected_positives"] == shown


def test_losses_are_those_of_the_authors_code() -> None:
    """But where the row is of another code, of our own settings, or mends what never worked."""
    otherwise = {"asl", "ll_r", "ll_ct", "ll_cp", "boostlu", "aevlp", "calr", "ignore"}
    for benchmark in BENCHMARKS:
        for row in set(rows(benchmark)) - otherwise:
            method = chosen(benchmark, row).method
            released = {each for each in method_class(method.name).presets if "released" in each}
            assert method.preset in (released or {None}), (benchmark, row)
        assert chosen(benchmark, "ignore").method.preset == "paper"


def test_the_models_differ_as_the_papers_say() -> None:
    for benchmark in BENCHMARKS:
        for row in rows(benchmark):
            for phase in chosen(benchmark, row, "cam").phases:
                assert (phase.optimiser, phase.batch % 4) == ("adam", 0)
            for phase in chosen(benchmark, row, "query2label").phases:
                assert (phase.optimiser, phase.schedule) == ("adamw", "onecycle")
                assert (phase.weight_decay, phase.head_lr) == (1e-2, 1.0)
                assert {"trunk.stem", "batch_norm", "batch_norm_affine"} < set(phase.freeze)
        for row in ("plc", "plc_lac"):  # published on one model alone
            assert chosen(benchmark, row).model.name == "query2label"
        assert chosen(benchmark, "an").model.name == "cam"


def test_calr_as_released_has_the_maps_of_its_release() -> None:
    for benchmark in BENCHMARKS:
        config = chosen(benchmark, "calr_released")
        assert config.model.options == {"bias_in_map": False}
        assert config.method.preset == "calr_released"
        again = chosen(benchmark, "calr_released", "query2label")
        assert again.model.options == {"cam_dropout": True}
        assert chosen(benchmark, "calr").model.options == {}


def read_grids() -> list[tuple[list[str], str, dict[str, list[Any]]]]:
    """Return the rows of the page on published numbers that say what was searched over."""
    page = (RECIPES.parent / "docs" / "results" / "published.md").read_text(encoding="utf-8")
    table = page.split("| rows | on |")[1].split("\n\n")[0]
    found = []
    for line in table.splitlines()[2:]:
        named, head, grid = (cell.strip() for cell in line.strip("|").split("|"))
        keys = dict(re.findall(r"`([\w.]+)`: ([^;]+)", grid))
        values = {key: [float(value) for value in said.split(", ")] for key, said in keys.items()}
        found.append((re.findall(r"`(\w+)`", named), head.strip("`"), values))
    return found


def test_what_a_recipe_says_is_a_point_of_the_published_grid() -> None:
    seen = set()
    for named, head, grid in read_grids():
        for row in named:
            seen.add(row)
            for key, values in grid.items():
                table, *place = key.split(".")
                for benchmark in BENCHMARKS:
                    config = chosen(benchmark, row, head)
                    built = build_method(
                        config.method.name, preset=config.method.preset, **config.method.options
                    )
                    here: Any = built if table == "method" else config.phases[-1]
                    assert getattr(here, place[-1]) in values, (benchmark, row, key)
                    for value in values:  # and every other point is a setting away
                        said = int(value) if place[-1] == "batch" else value
                        resolve(FILES[benchmark], (f"method.name={row}", f"{key}={said}"))
    assert seen > {"an", "role_li", "ll_r", "ignore"}


def numbers(benchmark: str, row: str, head: str) -> tuple[object, ...]:
    """Return what IGNORE's authors say of a run: threshold of maps, two weights, epochs, batch."""
    config = chosen(benchmark, row, head)
    method = config.method
    built: Any = build_method(method.name, preset=method.preset, **method.options)
    (phase,) = config.phases
    weights = (built.cam_threshold, built.spbc_weight, built.consistency_weight)
    return (*weights, phase.epochs, phase.batch)


def test_ignore_is_as_its_authors_print_it() -> None:
    for benchmark in BENCHMARKS:  # section 4.1 of the paper; epochs are the released code's
        spbc = 0.5 if benchmark == "cub" else 0.1
        assert numbers(benchmark, "ignore", "cam") == (0.4, spbc, 0.5, 25, 16)
        agreement = 0.1 if benchmark == "coco2014" else 0.5
        assert numbers(benchmark, "ignore", "query2label") == (0.8, 0.5, agreement, 25, 16)
    # Their two command lines, --spbc_weight, --reg_weight, --num_epochs, --bsize; the threshold of
    # both is the default.
    assert numbers("voc2012", "ignore_released", "cam") == (0.8, 0.1, 0.5, 25, 16)
    assert numbers("voc2012", "ignore_released", "query2label") == (0.8, 0.5, 0.5, 25, 16)


def test_runs_end_early_where_the_authors_end_them() -> None:
    """Points below the best epoch, and epochs without a better one, as their code has them."""
    stops = {"em": (0, None), "em_apl": (0, None), "gr": (None, 2.0), "calr": (None, 2.0)}
    stops |= dict.fromkeys(("ll_r", "ll_ct", "ll_cp"), (None, 3.0)) | {"aevlp": (1, 2.0)}
    stops |= {"calr_released": (None, 2.0)}
    for benchmark in BENCHMARKS:
        for row in rows(benchmark):
            for phase in chosen(benchmark, row, "cam").phases:
                assert (phase.patience, phase.max_drop) == stops.get(row, (None, None)), row
        first, second = chosen(benchmark, "plc_lac").phases
        assert (first.patience, first.own_best) == (8, False)
        assert (second.patience, second.own_best) == (8, True)
        assert [phase.own_best for phase in chosen(benchmark, "role_li").phases] == [False, True]


@pytest.mark.parametrize("row", rows("scenes"))
def test_every_method_of_the_scenes_trains(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("phases.epochs=1", "data.options.images=80", "data.options.test_images=20")
    flags = [f"--set={setting}" for setting in small]
    assert cli.run(["train", str(FILES["scenes"]), "--method", row, "--out=run", *flags]) == 0
    assert Path("run/model.safetensors").exists()


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_cell_trains_on_the_official_format(
    benchmark: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root: Path = request.getfixturevalue(benchmark)
    monkeypatch.chdir(tmp_path)
    prepare = ["prepare", benchmark, f"--root={root}", f"--out=data/{benchmark}"]
    assert cli.run(prepare) == 0
    part: dict[str, Any] = {"validation": 0.5 if benchmark == "cub" else 0.34}
    train = load_splits(DataConfig(name=f"data/{benchmark}", positives=1, **part)).train
    batch = min(2, len(train))
    shares = torch.rand(len(train), len(train.classes)).softmax(1)
    for teacher in ("vlpl.npz", "aevlp.npz"):
        save_scores(Path(teacher), train.images, shares)
    small = (*SMALL, f"phases.batch={batch}", f"data.validation={part['validation']}")
    for row in rows(benchmark):
        for head in HEADS:
            out = f"{row}-{head}"
            command = ["train", str(FILES[benchmark]), "--method", row, "--model", head]
            flags = ["--json", "--out", out, *(f"--set={setting}" for setting in small)]
            capsys.readouterr()
            status = cli.run([*command, *flags])
            said = capsys.readouterr()
            if (row, head) == ("boostlu", "query2label"):
                assert status == 2 and "no class-activation map to boost" in said.err
                continue
            assert status == 0, f"{out}: {said.err}"
            assert len(json.loads(said.out)["per_class"]) == len(train.classes), out
