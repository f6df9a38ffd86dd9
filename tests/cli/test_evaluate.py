"""`tacit evaluate`: the contract of its numbers, and folders that hold no model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tacit.data.scenes.drawing import CLASSES

Call = Callable[..., Any]


@pytest.mark.parametrize(("split", "images"), [("test", 40), ("validation", 24)])
def test_programs_get_the_promised_keys(call: Call, trained: Path, split: str, images: int) -> None:
    answer = call("evaluate", trained, "--json", "--split", split)
    assert (answer.status, answer.err) == (0, "")
    result = answer.json()
    assert {"map", "per_class", "n_images", "classes_scored", "split", "selection"} <= set(result)
    assert tuple(result["per_class"]) == CLASSES
    assert (result["split"], result["n_images"]) == (split, images)
    assert result["selection"] == "validation, clean labels"
    assert 1 <= result["classes_scored"] <= 12
    assert result["map"] == pytest.approx(sum(result["per_class"].values()) / 12)
    assert 5 < result["map"] <= 100  # in percent


def test_the_score_is_that_of_the_training(call: Call, trained: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    result = call("evaluate", trained, "--json").json()
    assert result == {key: record["result"][key] for key in record["result"] if key != "best"}


def test_people_get_a_table_and_a_summary(call: Call, trained: Path) -> None:
    result = call("evaluate", trained, "--json").json()
    answer = call("evaluate", trained)
    assert (answer.status, answer.err) == (0, "")
    header, *rows, summary, known, decided = answer.out.splitlines()
    assert header.split() == ["class", "AP"]
    assert [row.split() for row in rows] == [
        [name, f"{value:.2f}"] for name, value in result["per_class"].items()
    ]
    assert summary.startswith(f"mAP {result['map']:.2f} on 40 test images")
    assert summary.endswith("epoch chosen on validation, clean labels")
    assert known.startswith("known cells: mAP ") and known.endswith(" as decided")
    said, low, high = re.match(r"known cells: mAP (\S+) \[(\S+), (\S+)\]", known).groups()  # type: ignore[union-attr]
    assert float(low) < float(said) < float(high)
    assert decided.startswith("decided: ") and "for f1" in decided
    assert decided.endswith("rests on clean labels of 24 validation images")


def test_nothing_is_written(call: Call, trained: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        files = (path for path in trained.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = state()
    call("evaluate", trained)
    assert state() == before


def refused(call: Call, folder: Path) -> str:
    answer = call("evaluate", folder)
    assert (answer.status, answer.out) == (3, "")
    assert answer.err.startswith("tacit: ") and answer.err.count("\n") == 1
    return str(answer.err)


def test_a_folder_without_a_run_ends_with_3(call: Call, tmp_path: Path) -> None:
    assert "There is no run in" in refused(call, tmp_path / "none")
    assert "run.json is missing" in refused(call, tmp_path)


def test_a_run_without_a_model_ends_with_3(call: Call, copied: Path) -> None:
    (copied / "config.json").unlink()
    assert "holds no trained model (config.json is missing)" in refused(call, copied)


@pytest.mark.parametrize("content", ["", "{", '{"format": 99, "model": {}}', '{"format": 1}'])
def test_a_damaged_description_ends_with_3(call: Call, copied: Path, content: str) -> None:
    (copied / "config.json").write_text(content)
    assert str(copied / "config.json") in refused(call, copied)


def test_damaged_weights_end_with_3(call: Call, copied: Path) -> None:
    weights = copied / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert "model.safetensors cannot be read" in refused(call, copied)
    weights.unlink()
    assert "model.safetensors cannot be read" in refused(call, copied)


def test_a_damaged_record_ends_with_3(call: Call, copied: Path) -> None:
    (copied / "run.json").write_text('{"config": {"data": {"nmae": "scenes"}}}')
    assert "run.json does not hold the configuration of a run" in refused(call, copied)


def test_a_model_of_other_classes_ends_with_3(call: Call, copied: Path) -> None:
    saved = json.loads((copied / "config.json").read_text())
    saved["model"]["classes"][0] = "teapot"
    (copied / "config.json").write_text(json.dumps(saved))
    assert "knows 12 classes, but 'scenes-test' has 12 or others" in refused(call, copied)
