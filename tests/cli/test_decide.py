"""`tacit decide`, and the goals of `tacit predict`: the same thresholds by two ways."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacit.data.scenes.drawing import CLASSES
from tacit.models.artefact import read_config, read_thresholds
from tacit.runs.folder import Run

Call = Callable[..., Any]


@pytest.fixture
def shots(trained: Path, tmp_path: Path) -> Path:
    """Return a folder of the run's validation images, by their rows."""
    source = Run(trained).splits().validation
    (tmp_path / "shots").mkdir()
    for row in range(len(source)):
        source.open(row).save(tmp_path / "shots" / f"{row:02}.png")
    return tmp_path / "shots"


def predict(call: Call, model: Path, shots: Path, *flags: str) -> list[dict[str, Any]]:
    place = shots.parent / f"said-{len(list(shots.parent.iterdir()))}.jsonl"
    answer = call("predict", model, shots, "--out", place, "--device=cpu", *flags)
    assert answer.status == 0, answer.err
    return [json.loads(line) for line in place.read_text().splitlines()]


def test_another_goal_is_stored_and_said(call: Call, copied: Path) -> None:
    before = read_config(copied)
    answer = call("decide", copied, "--goal=labels=1")
    assert answer.status == 0
    assert "for labels=1: " in answer.out
    assert "rests on clean labels of 24 validation images" in answer.out
    after = read_config(copied)
    assert after["decisions"]["goal"] == "labels=1"
    assert after["decisions"]["expected"]["labels"] <= 1
    assert all(after["thresholds"][n] > before["thresholds"][n] for n in before["thresholds"])
    assert {k: v for k, v in after.items() if k not in ("decisions", "thresholds")} == {
        k: v for k, v in before.items() if k not in ("decisions", "thresholds")
    }
    assert call("evaluate", copied, "--json").json()["decided"]["goal"] == "labels=1"


def test_nothing_said_decides_as_the_training_did(call: Call, copied: Path) -> None:
    before = read_config(copied)
    found = call("decide", copied, "--dry-run", "--json").json()
    assert found["thresholds"] == pytest.approx(before["thresholds"], abs=1e-5)
    assert found["decisions"]["rests_on"] == before["decisions"]["rests_on"]
    call("decide", copied, "--goal=precision=0.5", "--dry-run")
    assert read_config(copied) == before


def test_the_goal_of_a_prediction_is_that_of_a_decision(
    call: Call, trained: Path, copied: Path, shots: Path
) -> None:
    """A goal given to predict cuts between the same images as the goal that decide stores."""
    for goal in ("labels=1.5", "coverage=0.5"):
        assert call("decide", copied, f"--goal={goal}").status == 0
        stored = predict(call, copied, shots)
        given = predict(call, trained, shots, f"--goal={goal}")
        assert [row["labels"] for row in given] == [row["labels"] for row in stored]
    mean = np.mean(
        [len(row["labels"]) for row in predict(call, trained, shots, "--goal=labels=1.5")]
    )
    assert mean == pytest.approx(1.5, abs=0.05)


def test_goals_that_cannot_be_served_are_refused(call: Call, copied: Path, shots: Path) -> None:
    def say(*flags: str) -> tuple[int, str]:
        answer = call("predict", copied, shots, "--out", "none.csv", "--device=cpu", *flags)
        return answer.status, answer.err

    status, said = say("--goal=precision=0.9999")
    assert status == 2 and "at its strictest it expects precision" in said
    assert not Path("none.csv.parts").exists()  # so that the next try is not taken for this one
    status, said = say("--goal=f1", "--threshold=0.4")
    assert status == 2 and "leave one of them out" in said
    status, said = say("--goal=looks=1")
    assert status == 2 and "tacit decide" in said
    assert say("--goal=most")[0] == 2
    saved = read_config(copied)
    del saved["decisions"]
    (copied / "config.json").write_text(json.dumps(saved))
    status, said = say("--goal=f1")
    assert status == 3 and "does not store" in said
    assert call("decide", copied).status == 0  # which mends it
    assert say("--goal=f1")[0] == 0


def test_looks_are_a_column_of_their_own(call: Call, copied: Path, shots: Path) -> None:
    assert call("decide", copied, "--goal=looks=0.5").status == 0
    upper = read_thresholds(copied)
    stored = read_config(copied)["decisions"]["look_from"]
    lower = np.array([stored[name] for name in CLASSES], dtype=np.float32)
    rows = predict(call, copied, shots)
    for row in rows:
        scores = np.array([row["scores"][name] for name in CLASSES], dtype=np.float32)
        between = (scores >= lower) & (scores < upper)
        assert row["look"] == [n for n, yes in zip(CLASSES, between, strict=True) if yes]
        assert not set(row["look"]) & set(row["labels"])
    assert sum(len(row["look"]) for row in rows) == 12  # half a look for each of 24 images
    call("predict", copied, shots, "--out", "said.csv", "--device=cpu")
    with open("said.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0])[:4] == ["image", "labels", "look", f"score {CLASSES[0]}"]
    assert [row["look"] for row in written] == ["|".join(row["look"]) for row in rows]
    assert float(written[0][f"score {CLASSES[0]}"]) == pytest.approx(rows[0]["scores"][CLASSES[0]])
    assert "look" not in predict(call, copied, shots, "--goal=f1")[0]


def test_verdicts_on_validation_images_correct(
    call: Call, small: tuple[str, ...], tmp_path: Path
) -> None:
    """From observed labels alone and a number that is wrong, then with what a person saw."""
    flags = ("--method=an", "--out", "run", "--labels-per-image=9")
    assert call("train", *flags, "--set=data.validation_labels=observed", *small).status == 0
    before = read_config(tmp_path / "run")["decisions"]
    source = Run(tmp_path / "run").splits().validation
    assert source.truth is not None
    truth, lines = source.truth.dense(), ["image,class,answer,who,at"]
    for row, name in enumerate(source.images[:20]):
        for column, label in enumerate(CLASSES):
            answer = "present" if truth[row, column] == 1 else "absent"
            lines.append(f"{name},{label},{answer},ada,2026-01-01T00:00:00Z")
    lines.append("elsewhere,sun,present,ada,2026-01-01T00:00:00Z")
    (tmp_path / "seen.csv").write_text("\n".join(lines) + "\n")
    answer = call("decide", "run", "--verdicts=seen.csv", "--json")
    assert answer.status == 0 and "1 verdicts are of other images" in answer.err
    after = answer.json()["decisions"]
    assert (before["evidence"], after["evidence"]) == ("positives", "verdicts")
    seen = (truth[:20] == 1).any(0) | (source.labels.dense() == 1).any(0)
    assert after["rests_on"].startswith(f"{20 * seen.sum()} verdicts, and 24 known")
    mean = float((truth == 1).sum(1).mean())  # of all images, seen or not
    assert before["labels_per_image"]["value"] == pytest.approx(
        9, abs=0.2
    )  # of nine classes that are known
    assert after["labels_per_image"]["value"] == pytest.approx(mean, rel=0.15)


def test_labels_of_other_images_decide(call: Call, copied: Path, shots: Path) -> None:
    source = Run(copied).splits().validation
    truth = source.labels.dense()
    lines = ["file," + ",".join(CLASSES[1:])]
    for row in range(len(source)):
        lines.append(f"{row:02}.png," + ",".join(str(int(c == 1)) for c in truth[row, 1:]))
    (shots.parent / "full.csv").write_text("\n".join(lines) + "\n")
    own = call("decide", copied, "--dry-run", "--json").json()
    found = call(
        "decide", copied, "--data=full.csv", "--images", shots, "--absent=negative", "--json"
    )
    decisions = found.json()["decisions"]
    assert decisions["rests_on"] == "clean labels of 24 other images"
    assert decisions["undecided"] == [CLASSES[0]]
    assert set(found.json()["thresholds"]) == set(own["thresholds"]) - {CLASSES[0]}
    assert call("decide", copied, "--images", shots).status == 2
