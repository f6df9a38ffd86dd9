"""`tacit.fit` and the model it returns: three lines from labels to decisions."""

from __future__ import annotations

import doctest
import gc
import inspect
import json
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import tacit
from tacit.config import resolve
from tacit.errors import DataError, UsageError
from tacit.runs.build import build_learner, read_splits
from tacit.runs.folder import Run
from tacit.training.run import train

SMALL: dict[str, Any] = {"epochs": 1, "device": "cpu"}
SCENES: dict[str, Any] = {**SMALL, "images": 40, "test_images": 12, "method": "an"}
TINY = {"model.trunk": "tiny", "model.size": 16, "phases.batch": 8}
COLOURS = {"warm": "red", "cold": "blue", "calm": "green"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of thirty images of one colour each, labelled by it."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for number in range(30):
        name, colour = list(COLOURS.items())[number % 3]
        Image.new("RGB", (20, 16), colour).save(folder / f"{number:02}.png")
        rows.append(f"{number:02}.png,{name}")
    (folder / "photos.csv").write_text("\n".join(["file,labels", *rows]) + "\n")
    return folder / "photos.csv"


@pytest.fixture(scope="module")
def model(photos: Path) -> tacit.TrainedModel:
    return tacit.fit(photos, method="gr", settings=TINY, **SMALL)


def everything_global() -> dict[str, Any]:
    """Return what a library has no business to change."""
    tacit_log = logging.getLogger("tacit")
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "random": random.getstate(),
        "threads": torch.get_num_threads(),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "benchmark": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "warnings": list(warnings.filters),
        "log": (tacit_log.level, tacit_log.handlers[:], logging.getLogger().handlers[:]),
        "environment": dict(os.environ),
        "signals": (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
        "folder": os.getcwd(),
        "errors": np.geterr(),
    }


def assert_nothing_changed(before: dict[str, Any]) -> None:
    after = everything_global()
    for name, value in before.items():
        assert after[name] == value, name


def test_three_lines(
    photos: Path, model: tacit.TrainedModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = model.predict(photos.parent, device="cpu")
    assert found.images == tuple(str(path) for path in sorted(photos.parent.glob("*.png")))
    assert found.scores.shape == (30, 3) and found.classes == model.classes
    for split, count in (("test", 3), ("validation", 5)):
        result = model.evaluate(split=split)
        assert (result["split"], result["n_images"]) == (split, count)
    assert model.evaluate()["map"] == model.run.result["map"]  # type: ignore[index]
    model.save(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        *("config.json", "metrics.jsonl", "model.safetensors", "run.json", "suspects.parquet")
    ]
    again = tacit.from_pretrained(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(photos.parent, device="cpu").scores, found.scores)
    assert again.evaluate() == model.evaluate()
    assert again.suspects().num_rows == model.suspects().num_rows
    assert isinstance(again.model, torch.nn.Module) and not again.model.training
    assert capfd.readouterr() == ("", "")


def test_it_is_the_model_of_the_command_line(
    photos: Path, model: tacit.TrainedModel, tmp_path: Path
) -> None:
    settings = ["model.trunk=tiny", "model.size=16", "phases.batch=8", "phases.epochs=1"]
    settings += [f"data.name={photos}", "method.name=gr", "run.device=cpu"]
    record = train(resolve(settings=settings), tmp_path / "run")
    ours = model.run.record
    assert record["config"] == ours["config"] and record["result"] == ours["result"]
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (model.folder / name).read_bytes()


def test_the_folder_lives_as_long_as_the_model(photos: Path) -> None:
    model = tacit.fit(photos, method="an", settings=TINY, **SMALL)
    folder = model.folder
    assert folder.is_dir()
    del model
    gc.collect()
    assert not folder.exists()


def test_what_fails_leaves_no_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UsageError, match="no module 'nose' to freeze"):
        tacit.fit(photos, method="an", settings={**TINY, "phases.freeze": ["nose"]}, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_stays_and_is_resumed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = tacit.fit(photos, method="an", settings=TINY, out=out, **SMALL)
    with pytest.raises(UsageError, match="is not empty"):
        tacit.fit(photos, method="an", settings=TINY, out=out, **SMALL)
    again = tacit.fit(photos, method="an", settings=TINY, out=out, resume=True, **SMALL)
    assert again.run.result == first.run.result
    del first, again
    gc.collect()
    assert out.is_dir()


def test_tables_and_sources_in_memory_learn_the_same(
    photos: Path, model: tacit.TrainedModel
) -> None:
    rows = [line.split(",") for line in photos.read_text().split()[1:]]
    table = pa.table({"file": [row[0] for row in rows], "labels": [row[1] for row in rows]})
    for labels, options in (
        (table, {"images": photos.parent}),
        (tacit.load(photos), {}),
    ):
        same = tacit.fit(labels, method="gr", settings=TINY, **SMALL, **options)
        assert same.run.result == model.run.result
        assert same.evaluate()["map"] == model.evaluate()["map"]
        with pytest.raises(DataError, match="labels of this run came from memory"):
            Run(same.folder).splits()


def test_a_table_in_memory_has_splits(photos: Path) -> None:
    rows = [line.split(",") for line in photos.read_text().split()[1:]]
    parts = ["train"] * 18 + ["val"] * 6 + ["test"] * 6
    table = pa.table(
        {"file": [row[0] for row in rows], "labels": [row[1] for row in rows], "split": parts}
    )
    model = tacit.fit(table, images=photos.parent, method="an", settings=TINY, **SMALL)
    sizes = [len(split) for split in vars(model.splits).values()]
    assert sizes == [18, 6, 6]


def test_nothing_global_changes(photos: Path, tmp_path: Path) -> None:
    config = resolve(settings=[f"data.name={photos}", "model.size=16", "method.name=role"])
    torch.manual_seed(7)
    before = everything_global()
    model = tacit.fit(photos, method="plc", settings=TINY, out=tmp_path / "run", **SMALL)
    assert_nothing_changed(before)
    build_learner(config, read_splits(config))
    assert_nothing_changed(before)
    tacit.load(photos)
    loaded = tacit.from_pretrained(tmp_path / "run")
    assert_nothing_changed(before)
    loaded.predict(photos.parent, device="cpu")
    model.evaluate()
    model.report()
    model.suspects()
    model.save(tmp_path / "saved")
    assert_nothing_changed(before)
    with pytest.raises(UsageError):
        tacit.fit(photos, method="an", settings={**TINY, "phases.freeze": ["nose"]}, **SMALL)
    assert_nothing_changed(before)


def test_what_the_caller_drew_before_changes_nothing(
    photos: Path, model: tacit.TrainedModel
) -> None:
    torch.manual_seed(99)
    torch.rand(17)
    same = tacit.fit(photos, method="gr", settings=TINY, **SMALL)
    assert same.run.result == model.run.result


def test_progress_is_logged(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tacit"):
        tacit.fit(photos, method="ignore", settings={**TINY, "model.size": 8}, **SMALL)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert said[0][1].startswith("ignore: At 8 pixels the map of this model is 1 x 1")
    assert "ignore: phase 0, epoch 1, loss " in said[1][1]


def test_a_reporter_takes_the_place_of_the_log(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tacit.training.report import Silent

    class Counting(Silent):
        steps = 0

        def step(self, images: int) -> None:
            self.steps += 1

    reporter = Counting()
    with caplog.at_level(logging.INFO, logger="tacit"):
        tacit.fit(photos, method="an", settings=TINY, reporter=reporter, **SMALL)
    assert reporter.steps == 2 and not caplog.records


def test_ctrl_c_is_what_it_is_to_python(photos: Path, tmp_path: Path) -> None:
    from tacit.training.report import Silent

    class Stop(Silent):
        def __init__(self, number: int) -> None:
            self.number = number

        def step(self, images: int) -> None:
            os.kill(os.getpid(), self.number)

    for number, error in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)):
        with pytest.raises(error):
            tacit.fit(photos, method="an", settings=TINY, reporter=Stop(number), **SMALL)


def test_a_report_says_what_was_trained(photos: Path, model: tacit.TrainedModel) -> None:
    result = model.run.result
    assert result is not None
    text = model.report()
    assert text.startswith("gr, cam on tiny at 16 pixels\ntrained on 22 images, 3 classes: 22 ")
    assert f"mAP {result['map']:.2f} on 3 test images, scored against labels with gaps" in text
    assert "chosen on validation, observed labels" in text
    full = tacit.fit("scenes", **SCENES)
    assert "12 test images; " in full.report()
    full.report(full.folder / "report.html")
    assert "<html" in (full.folder / "report.html").read_text(encoding="utf-8")[:200]


def test_other_labels_are_scored_by_the_names_of_classes(
    photos: Path, model: tacit.TrainedModel, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("file,labels\n00.png,warm;new\n01.png,cold\n")
    found = model.evaluate(tmp_path / "other.csv", images=photos.parent)
    assert (found["n_images"], found["extra_classes"]) == (2, ["new"])
    model.save(tmp_path / "m")
    (tmp_path / "m" / "run.json").unlink()
    alone = tacit.from_pretrained(tmp_path / "m")
    assert alone.evaluate(tacit.load(tmp_path / "other.csv", images=photos.parent)) == found
    with pytest.raises(UsageError, match="images belong to other labels"):
        model.evaluate(images=photos.parent)


def test_a_model_without_its_run_says_so(model: tacit.TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    for path in (tmp_path / "m").iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    alone = tacit.from_pretrained(tmp_path / "m")
    for ask in (alone.evaluate, alone.report, alone.suspects):
        with pytest.raises(DataError, match="nothing of the run that trained it"):
            ask()
    alone.save(tmp_path / "copy")
    assert len(list((tmp_path / "copy").iterdir())) == 2
    with pytest.raises(UsageError, match="there already, and not empty"):
        alone.save(tmp_path / "m")


def test_a_recipe_a_preset_and_settings(photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        '[model]\ntrunk = "tiny"\nsize = 16\n[[phases]]\nbatch = 8\n[methods.ignore]\nreject = 0\n'
        "[methods.em]\nphases = { lr = 0.5 }\n"
    )
    model = tacit.fit(
        photos,
        recipe=recipe,
        method="em",
        settings={"run.seed": 3, "model.mean": (0.5,) * 3},
        **SMALL,
    )
    config = model.run.config
    assert (config.phases[0].lr, config.phases[0].batch, config.run.seed) == (0.5, 8, 3)
    assert config.model.mean == (0.5, 0.5, 0.5)
    with pytest.raises(UsageError, match="A preset is a recipe"):
        tacit.fit(photos, recipe=recipe, preset="quick")
    with pytest.raises(UsageError, match="no preset called 'quik'; did you mean 'quick'"):
        tacit.fit(photos, preset="quik")


PUBLIC = ["fit", "from_pretrained", "load", "predict"]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_takes_options_by_name_and_shows_an_example(name: str) -> None:
    function = getattr(tacit, name)
    positional = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    assert len(positional) <= 2 and all(each.default is each.empty for each in positional)
    examples = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.tries >= 2 and not runner.failures


def test_names_are_listed_and_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, tacit; names = dir(tacit); assert set(tacit.__all__) <= set(names);"
        "print([name for name in ('torch', 'numpy', 'sklearn', 'PIL') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
    assert json.dumps(tacit.__all__)
    for name in tacit.__all__:
        assert getattr(tacit, name).__module__ if name != "__version__" else tacit.__version__
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        tacit.fitt  # noqa: B018


@pytest.mark.parametrize("installed", [True, False])
def test_photographs_without_a_trunk_are_learned_as_on_the_command_line(
    photos: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a trunk, a recipe or generated images means it."""
    from tacit.presets import find_preset
    from tacit.trained_model import _configure

    monkeypatch.setattr("tacit.models.has_package", lambda trunk: installed)
    given = [("data.name", str(photos)), ("method.name", "an")]
    found = _configure(photos, None, None, given)
    assert found == resolve(find_preset("quick") if installed else None, given)
    for labels, settings in ((photos, [("model.trunk", "tiny")]), ("scenes", [])):
        named = _configure(labels, None, None, [("data.name", str(labels)), *settings])
        assert named.model.trunk == "tiny"
