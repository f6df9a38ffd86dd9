"""`tacit evaluate`: the contract of its numbers, and folders that hold no model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tacit.data.scenes.drawing import CLASSES
from tacit.runs.folder import Run

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
    other = {"best", "test_labels", "test_chance"}  # of the training, not of the score
    assert result == {key: value for key, value in record["result"].items() if key not in other}


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


def write_table(trained: Path, folder: Path, rename: dict[str, str] | None = None) -> Path:
    """Write the run's test images and their truth as a table beside a folder of images."""
    source = Run(trained).splits().test
    truth = (source.truth or source.labels).dense()
    classes = [(rename or {}).get(name, name) for name in source.classes]
    (folder / "shots").mkdir()
    lines = ["file," + ",".join(classes)]
    for row in range(len(source)):
        source.open(row).save(folder / "shots" / f"{row}.png")
        lines.append(f"{row}.png," + ",".join("1" if cell == 1 else "0" for cell in truth[row]))
    table = folder / "other.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_other_labels_score_as_the_same_images_do(
    call: Call, trained: Path, tmp_path: Path
) -> None:
    table = write_table(trained, tmp_path)
    options = ("--data", table, "--images", tmp_path / "shots", "--absent", "negative")
    answer = call("evaluate", trained, *options, "--json")
    assert (answer.status, answer.err) == (0, "")
    found, own = answer.json(), call("evaluate", trained, "--json").json()
    assert found["missing_classes"] == found["extra_classes"] == []
    assert found["data"] == "other" and "split" not in found
    for key in ("map", "of1", "per_class", "known", "decided"):
        assert found[key] == own[key], key


def test_classes_are_matched_by_name(call: Call, trained: Path, tmp_path: Path) -> None:
    table = write_table(trained, tmp_path, {"sun": "dawn", CLASSES[0]: "shrub"})
    options = ("--data", table, "--images", tmp_path / "shots", "--absent", "negative")
    answer = call("evaluate", trained, *options, "--json")
    assert answer.err == ""
    found = answer.json()
    assert found["missing_classes"] == [CLASSES[0], "sun"]
    assert set(found["extra_classes"]) == {"shrub", "dawn"}
    own = call("evaluate", trained, "--json").json()["per_class"]
    shared = [name for name in CLASSES if name not in (CLASSES[0], "sun")]
    assert found["per_class"] == {name: own[name] for name in shared}
    said = call("evaluate", trained, *options).err
    assert f"not in these labels, and not scored: {CLASSES[0]}, sun" in said
    assert "unknown to the model, and not scored: " in said


def test_unknown_cells_of_other_labels_count_nowhere(
    call: Call, trained: Path, tmp_path: Path
) -> None:
    table = write_table(trained, tmp_path)
    header, *rows = table.read_text().splitlines()
    # The last class is known of half of the images, the first of none that is without it.
    half = [row if place % 2 else f"{row.rpartition(',')[0]}," for place, row in enumerate(rows)]
    half = [re.sub(r"^([^,]+),0,", r"\1,,", row) for row in half]
    table.write_text("\n".join([header, *half]) + "\n")
    options = ("--data", table, "--images", tmp_path / "shots")
    known = call("evaluate", trained, *options, "--json").json()["known"]
    assert known["without_negative"] == [CLASSES[0]]
    assert known["classes_scored"] == 11 and known["unknown"] > 20
    out = call("evaluate", trained, *options).out
    assert f"{known['unknown']:,} of 480 cells are unknown" in out
    assert f"no known negative, and so in no mean: {CLASSES[0]}" in out


def test_what_cannot_be_scored_is_said(call: Call, trained: Path, tmp_path: Path) -> None:
    table = write_table(trained, tmp_path, {name: name.upper() for name in CLASSES})
    answer = call("evaluate", trained, "--data", table, "--images", tmp_path / "shots")
    assert answer.status == 3
    assert "has none of the 12 classes" in answer.err and "TREE" in answer.err
    assert call("evaluate", trained, "--data", table, "--split", "test").status == 2
    assert call("evaluate", trained, "--images", tmp_path).status == 2


def test_what_is_scored_is_what_is_predicted(call: Call, trained: Path, tmp_path: Path) -> None:
    """The decided labels of `tacit predict`, counted by hand, give the numbers of evaluate."""
    write_table(trained, tmp_path)
    written = call("predict", trained, tmp_path / "shots", "--out", "said.jsonl", "--device=cpu")
    assert written.status == 0
    lines = (tmp_path / "said.jsonl").read_text().splitlines()
    said = {Path(row["image"]).stem: set(row["labels"]) for row in map(json.loads, lines)}
    source = Run(trained).splits().test
    truth = (source.truth or source.labels).dense()
    right = decided = present = 0
    for row in range(len(source)):
        there = {name for name, cell in zip(CLASSES, truth[row], strict=True) if cell == 1}
        right += len(said[str(row)] & there)
        decided, present = decided + len(said[str(row)]), present + len(there)
    result = call("evaluate", trained, "--json").json()
    assert result["decided"]["labels_per_image"] == pytest.approx(decided / len(source))
    assert result["known"]["of1_decided"] == pytest.approx(200 * right / (decided + present))
    assert result["decided"]["goal"] == "f1" and decided > 0
    record = json.loads((trained / "run.json").read_text())
    assert record["result"]["decided"] == result["decided"]


def test_a_model_from_before_there_were_decisions_is_scored(call: Call, copied: Path) -> None:
    saved = json.loads((copied / "config.json").read_text())
    del saved["decisions"]
    (copied / "config.json").write_text(json.dumps(saved))
    answer = call("evaluate", copied)
    assert answer.status == 0 and answer.out.endswith("nothing is stored of why.\n")
