"""From a run to its list of suspects, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tacit import cli
from tacit.config import resolve
from tacit.repair.suspects_file import SuspectsFile
from tacit.runs.folder import Run
from tacit.training.run import train

SETTINGS = ("data.options.images=160", "data.options.test_images=20", "phases.epochs=1")


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
