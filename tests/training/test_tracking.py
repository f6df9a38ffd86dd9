"""Trackers: each gets what the log holds, also after a stop, and an own one is a short class."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tacit.config import Config, resolve
from tacit.errors import UsageError
from tacit.registry import find
from tacit.runs.folder import Run
from tacit.training.report import Silent
from tacit.training.run import train
from tacit.training.tracking import TRACKERS, tracking

SMALL = (
    "data.options.images=24", "data.options.test_images=8", "data.options.size=32", "model.size=32",
    "method.name=an", "phases.epochs=2", "phases.batch=8", "run.device=cpu",
)  # fmt: skip


class Stopped(Exception):
    """Somebody stopped the training."""


class StopsAfter(Silent):
    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def end_epoch(self, record: dict[str, Any]) -> None:
        self.left -= 1
        if not self.left:
            raise Stopped


def run_with(
    names: tuple[str, ...], folder: Path, reporter: Any = None, resume: bool = False
) -> Run:
    config: Config = resolve(None, SMALL)
    run = Run(folder)
    with tracking(names, config, run, reporter or Silent()) as tracked:
        train(config, folder, resume=resume, reporter=tracked)
    return run


def test_tensorboard_gets_what_the_log_holds_and_a_stop_doubles_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'tacit[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Stopped):
        run_with(("tensorboard",), tmp_path / "run", StopsAfter(1))
    run = run_with(("tensorboard",), tmp_path / "run", resume=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    log = run.log.read()
    (term,) = log[0]["terms"]
    for name in ("validation_map", f"terms/{term}"):
        first, *rest = name.split("/")
        expected = [record[first][rest[0]] if rest else record[first] for record in log]
        found = {each.step: each.value for each in events.Scalars(name)}
        assert sorted(found) == [1, 2]
        assert list(found.values()) == pytest.approx(expected, rel=1e-5)
    assert run.result is not None
    assert events.Scalars("test/map")[0].value == pytest.approx(run.result["map"], rel=1e-5)


def test_mlflow_goes_on_with_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking_module = pytest.importorskip("mlflow.tracking", reason="pip install 'tacit[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "kept").as_uri())
    with pytest.raises(Stopped):
        run_with(("mlflow",), tmp_path / "run", StopsAfter(1))
    client = tracking_module.MlflowClient()
    experiment = client.get_experiment_by_name("tacit").experiment_id
    assert [each.info.status for each in client.search_runs([experiment])] == ["KILLED"]
    run = run_with(("mlflow",), tmp_path / "run", resume=True)
    (only,) = client.search_runs([experiment])
    assert only.info.status == "FINISHED" and only.info.run_name == "run"
    assert only.data.params["method.name"] == "an" and only.data.params["phases.0.epochs"] == "2"
    history = client.get_metric_history(only.info.run_id, "validation_map")
    assert [each.step for each in history] == [1, 2]
    assert [each.value for each in history] == [each["validation_map"] for each in run.log.read()]
    assert run.result is not None and only.data.metrics["test.map"] == run.result["map"]


def test_a_tracker_of_your_own_is_three_methods(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "SEEN = []\n\n\nclass Mine:\n"
        "    def begin(self, folder, settings, step):\n        SEEN.append(step)\n\n"
        "    def log(self, step, values):\n"
        "        SEEN.append((step, 'validation_map' in values))\n\n"
        "    def end(self, scores):\n        SEEN.append('map' in scores)\n"
    )
    place = f"{tmp_path}/mine.py:Mine"
    run_with((place,), tmp_path / "run")
    seen = find("tracker", place, {}).begin.__globals__["SEEN"]
    assert seen == [0, (1, True), (2, True), True]
    (tmp_path / "none.py").write_text("class None_:\n    def begin(self, *_):\n        pass\n")
    with pytest.raises(UsageError, match=r"is no tracker: it has no log\(\)"):
        run_with((f"{tmp_path}/none.py:None_",), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tensorboard", "torch.utils.tensorboard.writer"),
        ("mlflow", "mlflow.tracking"),
        ("wandb", "wandb"),
    ],
)
def test_a_tracker_that_is_not_installed_says_how_to_get_it(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"--track {name} needs .*pip install 'tacit\[{name}\]'"):
        run_with((name,), tmp_path / "run")
    assert name in TRACKERS


def test_a_name_that_is_none_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tensorboard"):
        run_with(("tensorbord",), tmp_path / "run")
