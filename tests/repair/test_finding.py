"""From a run to its list of suspects, by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tacit import cli
from tacit.config import resolve
from tacit.repair import cross_training
from tacit.repair.finding import find_suspects
from tacit.repair.suspects_file import SuspectsFile
from tacit.runs.folder import Run
from tacit.runs.score import predict_split
from tacit.training.run import train

SETTINGS = (
    "data.options.images=160",
    "data.options.test_images=20",
    "phases.epochs=2",
)  # the method suspects nothing in the first


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    train(resolve(settings=("method.name=ll_r", "method.rate=0.1", *SETTINGS)), folder)
    return folder


def test_a_run_becomes_a_list(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = Run(run).splits().train
    assert cli.run(["suspects", str(run), "--labels-per-image", "2", "--boxes", "5", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    file = SuspectsFile(Run(run).repair / "suspects.parquet")
    rows = [row for block in file.blocks() for row in block.to_pylist()]
    assert file.about["data"] == known.fingerprint() and len(rows) == about["suspects"] > 50
    images = {name: row for row, name in enumerate(known.images)}
    dense = known.labels.dense()
    assert all(dense[images[r["image"]], known.classes.index(r["class"])] == 0 for r in rows)
    assert about["expected"] == pytest.approx(known.labels.count(1), rel=0.02)  # two, one is known
    sums = sum(row["posterior"] for row in rows) + sum(file.about["beneath"])
    assert sums == pytest.approx(about["expected"], rel=0.01)
    assert sum(row["box"] is not None for row in rows) == 5
    assert all(row["box"] is not None for row in rows[:3])
    assert {name for row in rows for name, _ in row["evidence"]} == {"neighbours", "times"}
    assert {gain["name"] for gain in about["evidence"][0]} == {"neighbours", "company"}
    assert "hidden known labels" in about["summary"]
    assert "seen" in about["summary"] and "labels per image" in about["summary"]


def test_the_same_run_twice_is_the_same_list(run: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        assert cli.run(["suspects", str(run), "--boxes", "0", "--out", str(path), "--summary"]) == 0
    first, second = (
        np.concatenate([block.column("posterior").to_numpy() for block in SuspectsFile(p).blocks()])
        for p in paths
    )
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


def test_two_runs_are_joined(run: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "joined.parquet")
    assert cli.run(["suspects", str(run), str(run), "--boxes", "0", "--out", out]) == 0
    assert len(SuspectsFile(Path(out))) > 50


def test_whole_trainings_score_what_they_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Run(run).splits().train
    seen: list[set[str]] = []

    def watch(config: object, folder: Path, **options: Any) -> dict[str, Any]:
        seen.append(set(options["splits"].train.images))
        return train(config, folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cross_training, "train", watch)
    found = find_suspects([Run(run)], folds=2, seed=3)
    assert len(seen) == 2 and not seen[0] & seen[1]  # each trains on the other's images
    assert seen[0] | seen[1] == set(source.images)
    folders = sorted((Run(run).repair / "folds").iterdir())
    assert len(folders) == 2
    # Each score is of the model that did not see the image.
    trained = Run(next(f for f in folders if f.name.endswith("-1-of-2")))
    out = np.flatnonzero([image not in seen[0] for image in source.images])
    again = predict_split(trained.model(), source.take(out), trained.config, torch.device("cpu"))
    np.testing.assert_allclose(found.scores[out], again, rtol=1e-4, atol=1e-6)
    assert not found.caution and found.judge.prior.rests_on == "estimated"
    # What is finished is not trained again.
    logs = [Run(folder).log.path.read_text() for folder in folders]  # with the time of each epoch
    found_again = find_suspects([Run(run)], folds=2, seed=3)
    np.testing.assert_array_equal(found_again.scores, found.scores)
    assert [Run(folder).log.path.read_text() for folder in folders] == logs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which run"),
        (["nowhere"], "no run in nowhere"),
        (["RUN", "--folds", "1"], "two folds or more"),
        (["RUN", "--floor", "2"], "probability"),
        (["RUN", "--images", "there"], "goes with --data"),
        (["RUN", "--labels-per-image", "0.2"], "known labels an image"),
        (["RUN", "--labels-per-image", "2", "--labelling-rate", "0.5"], "not both"),
    ],
)
def test_bad_requests_are_a_sentence(
    run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.run(["suspects", *(str(run) if word == "RUN" else word for word in words)])
    assert status in (2, 3)
    assert said in capsys.readouterr().err.replace("\n", " ")
