"""Predictions wait for processes that live, and for no others."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tacit.errors import TacitError, UsageError
from tacit.locks import hold_lock
from tacit.prediction import in_memory, run, waiting
from tacit.prediction.plan import PLAN, Settings
from tacit.prediction.run import Work, choose_output, predict_to
from tacit.prediction.waiting import Signs, show_life

SOON = Work(device="cpu", workers=0, wait=0.5)


def predict(model: Path, images: Path, out: Path, work: Work = SOON) -> Any:
    place, format = choose_output(out, None)
    settings = Settings(str(model), format, batch=4, shard_rows=5, threads=1)
    return predict_to([str(images)], place, settings, work)


def test_parts_that_nobody_makes_are_given_up_and_one_process_goes_on(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    with monkeypatch.context() as several:
        several.setenv("WORLD_SIZE", "2")
        several.setenv("RANK", "0")
        with pytest.raises(TacitError, match=r"Process 1 has shown no sign .*3 of 6 parts are"):
            predict(model_folder, images, out)
    assert predict(model_folder, images, out).images == 30
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_plan_that_nobody_writes_is_given_up(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(TacitError, match=r"Process 0 has shown no sign .* no plan in"):
        predict(model_folder, images, tmp_path / "out")


def test_a_process_that_lives_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BEAT", 0.05)
    signs, started = Signs(tmp_path, 0.6), time.monotonic()
    with show_life(1, tmp_path):
        while time.monotonic() - started < 1.5:
            signs.pause(1, "it is slow")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TacitError, match="Process 1"):
        for _ in range(50):
            signs.pause(1, "it is gone")


def test_two_predictions_into_one_output_at_once_are_one_too_many(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("out.csv", "out"):
        place, _ = choose_output(tmp_path / name, None)
        place.lock.parent.mkdir(exist_ok=True)
        with hold_lock(place.lock, "it"):
            monkeypatch.setattr("tacit.locks._held", {})  # as another process sees it
            with pytest.raises(UsageError, match="is at work on the prediction"):
                predict(model_folder, images, tmp_path / name)
            monkeypatch.undo()
        assert predict(model_folder, images, tmp_path / name).images == 30


def test_killed_between_joining_and_clearing_up_the_same_command_ends_well(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, parts = tmp_path / "out.csv", tmp_path / "out.csv.parts"
    for left in (["part-000003.csv", PLAN], [PLAN]):
        with monkeypatch.context() as killed:
            killed.setattr(run, "_clear_up", lambda plan: None)
            assert predict(model_folder, images, out).images == 30
        for path in parts.iterdir():
            if path.name not in left:
                path.unlink()
        content = out.read_bytes()
        assert predict(model_folder, images, out).images == 30
        assert out.read_bytes() == content and not parts.exists()
        with pytest.raises(UsageError, match="is there already"):
            predict(model_folder, images, out)
        out.unlink()


@pytest.mark.parametrize("threshold", [2, -0.1, float("nan"), float("inf")])
def test_a_threshold_is_a_probability(model_folder: Path, threshold: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        Settings("model", threshold=threshold)
    with pytest.raises(UsageError, match="from 0 to 1|threshold must be a number"):
        in_memory.predict(model_folder, [], threshold=threshold)


@pytest.mark.parametrize(
    "silly", [{"threads": 10**9}, {"scores": "top" + "9" * 5000}, {"batch": 0}]
)
def test_numbers_that_make_no_sense_are_refused(silly: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings("model", **silly)


@pytest.mark.parametrize("wait", [0, -1, float("nan"), float("inf")])
def test_waiting_has_an_end(wait: float) -> None:
    with pytest.raises(UsageError, match="--wait"):
        Work(wait=wait)


def test_a_plan_of_other_things_is_refused(
    model_folder: Path, images: Path, tmp_path: Path
) -> None:
    predict(model_folder, images, tmp_path / "out")
    plan = json.loads((tmp_path / "out" / PLAN).read_text())
    for key, value in (("shards", [["a", 0, 1]]), ("tables", [{"path": 3}]), ("settings", [])):
        (tmp_path / "out" / PLAN).write_text(json.dumps({**plan, key: value}))
        with pytest.raises(TacitError, match="no plan that this tacit can follow"):
            predict(model_folder, images, tmp_path / "out")
