"""The list of suspects: in order over all its parts, complete above the floor, with its regions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tacit.data.source import Source
from tacit.repair import ranked
from tacit.repair.missing import Judge
from tacit.repair.out_of_fold import judge_scores
from tacit.repair.ranked import list_suspects, write_ranked
from tacit.repair.regions import find_region
from tacit.repair.suspects_file import SuspectsFile


@pytest.fixture
def made() -> tuple[Source, Judge, np.ndarray]:
    generator = np.random.default_rng(0)
    present = generator.random((700, 4)) < 0.3
    scores = generator.normal(1.5 * present).astype(np.float32)
    labels = (present & (generator.random(present.shape) < 0.5)).astype(np.int8)
    names = [f"{row}.jpg" for row in range(700)]
    source = Source("made", ("a", "b", "c", "d"), names, labels, lambda row: None)  # type: ignore[arg-type, return-value]
    return source, judge_scores(labels, scores, 0.5), scores


def test_the_list_is_in_order_and_complete(
    made: tuple[Source, Judge, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, judge, scores = made
    monkeypatch.setattr(ranked, "PILE", 50)
    monkeypatch.setattr(ranked, "ROWS_AT_ONCE", 37)

    def blocks() -> Iterator[tuple[int, np.ndarray]]:
        for first in range(0, 700, 64):
            yield first, scores[first : first + 64]

    listed = list_suspects(source, judge, blocks, 0.05)
    path = tmp_path / "repair" / "list.parquet"
    boxes = {3: [0.0, 0.25, 0.5, 1.0]}
    write_ranked(
        path, source, judge, blocks, listed, {"note": 1},
        lambda cells: {"twice": (cells * 2).astype(np.float32)}, boxes,
    )  # fmt: skip
    rows = [row for block in SuspectsFile(path).blocks() for row in block.to_pylist()]
    posterior = judge.judge(scores) * (source.labels.dense() == 0)
    assert len(rows) == listed.kept == (posterior >= 0.05).sum() > 500
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    found = [row["posterior"] for row in rows]
    assert found == sorted(found, reverse=True)
    for row in rows:
        image, kind = int(row["image"][:-4]), source.classes.index(row["class"])
        assert row["posterior"] == posterior[image, kind]
        assert row["evidence"] == [("twice", 2.0 * (4 * image + kind))]
        assert row["box"] == boxes.get(4 * image + kind)
    about = SuspectsFile(path).about
    assert about["data"] == source.fingerprint() and about["note"] == 1
    beneath = np.where(posterior < 0.05, posterior, 0).sum(0)
    assert about["beneath"] == pytest.approx(beneath.tolist(), abs=1e-3)
    assert listed.per_class == pytest.approx(posterior.sum(0), rel=1e-5)
    assert listed.expect(100) == pytest.approx(sum(found[:100]), rel=0.01)
    assert [each.name for each in path.parent.iterdir()] == ["list.parquet"]


def test_the_floor_rises_where_too_many_lie_above(made: tuple[Source, Judge, np.ndarray]) -> None:
    source, judge, scores = made
    listed = list_suspects(source, judge, lambda: [(0, scores)], 0.0, most=100)
    assert listed.kept <= 100 and listed.floor > 0.3


def test_a_region_is_around_the_highest_place_alone() -> None:
    evidence = np.zeros((4, 8), np.float32)
    evidence[1, 2:4] = 5
    evidence[2, 2] = 9
    evidence[0, 7] = 8  # as high, and somewhere else
    assert find_region(evidence) == [0.25, 0.25, 0.5, 0.75]
