"""Small tables of which every number can be found by hand, or by counting each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tacit.evaluation import ranking
from tacit.evaluation.calibration import Calibration
from tacit.evaluation.decisions import decide
from tacit.evaluation.goals import Curve, choose_looks, parse_goal
from tacit.evaluation.intervals import (
    count_resamples,
    draw_resamples,
    find_intervals,
    resample_map,
    resample_of1,
    take_interval,
)
from tacit.evaluation.known import score_known
from tacit.evaluation.metrics import f1_of_decided, mean_average_precision


@pytest.mark.parametrize("seed", range(5))
def test_a_resample_scores_as_if_its_images_were_there_as_often(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = (random.random((14, 3)).round(1) / 2).astype(np.float32)  # many ties
    truth = random.choice([1, -1, 0], scores.shape, p=[0.4, 0.5, 0.1]).astype(np.int8)
    truth[0], truth[1] = 1, -1
    decided, positive, known = scores > 0.2, truth == 1, truth != 0
    counts = draw_resamples(14, 20, seed)
    assert (counts.sum(1) == 14).all()
    maps = resample_map(scores, positive, known, counts)
    ones = resample_of1(decided, positive, known, counts)
    for row, count in enumerate(counts):
        again = np.repeat(np.arange(14), count)
        found = mean_average_precision(scores[again], positive[again].astype(np.int8), known[again])
        assert maps[row] == pytest.approx(found.map_scored)
        f1 = f1_of_decided(decided[again], positive[again], known[again])
        assert ones[row] == pytest.approx(100 * f1.of1)


def test_an_interval_leaves_as_much_on_both_sides() -> None:
    assert take_interval(np.arange(101.0), 0.9) == pytest.approx([5.0, 95.0])
    scores = np.random.default_rng(0).random((9, 2)).astype(np.float32)
    truth = np.where(scores > 0.4, 1, -1).astype(np.int8)
    truth[0], truth[1] = 1, -1
    found = find_intervals(scores, truth, {"of1": scores > 0.5})
    assert (found["share"], found["resamples"]) == (0.95, 1000)
    assert found["of1"] == take_interval(
        resample_of1(scores > 0.5, truth == 1, truth != 0, draw_resamples(9, 1000)), 0.95
    )


@pytest.mark.parametrize(
    ("images", "classes", "count"),
    [
        (100, 20, 1000),
        (50_000, 1, 1000),
        (50_001, 1, 999),
        (500_000, 1, 100),
        (500_001, 1, 0),
        (4_000, 1000, 100),
        (4_001, 1000, 0),
        (4_000, 500, 200),
    ],
)
def test_how_many_resamples_a_table_is_worth(images: int, classes: int, count: int) -> None:
    assert count_resamples(images, classes) == count


@pytest.mark.parametrize("hidden", [0.0, 0.3])
def test_every_score_over_known_cells(hidden: float) -> None:
    random = np.random.default_rng(1)
    told = random.random((50, 3)).astype(np.float32)
    labels = np.where(random.random(told.shape) < told, 1, -1).astype(np.int8)
    labels[random.random(told.shape) < hidden] = 0
    cut = np.array([0.3, 0.6, 0.7], dtype=np.float32)
    found = score_known(told, labels, ("a", "b", "c"), cut)
    usual, own = (
        f1_of_decided(cells, labels == 1, labels != 0) for cells in (told >= 0.5, told >= cut)
    )
    assert found.cf1 == pytest.approx(100 * usual.cf1)
    assert found.cf1_decided == pytest.approx(100 * own.cf1)
    assert found.precision_decided == pytest.approx(100 * own.overall_precision)
    assert found.recall_decided == pytest.approx(100 * own.overall_recall)
    assert len({found.cf1, found.cf1_decided, found.of1, found.of1_decided}) == 4


def test_coverage_counts_one_more_image_of_which_everything_is_missed() -> None:
    curve = Curve(*(np.array([each]) for each in (0.5, 1.0, 0.9, 0.0)), present=1.0, images=3)
    assert curve.choose(parse_goal("coverage=0.75")) == 0
    assert curve.choose(parse_goal("coverage=0.76")) is None
    missed = Curve(*(np.array([each]) for each in (0.5, 1.0, 0.9, 0.5)), present=1.0, images=3)
    assert missed.choose(parse_goal("coverage=0.375")) == 0  # (3 * 0.5 + 1) / 4
    assert missed.choose(parse_goal("coverage=0.376")) is None


def test_a_number_of_labels_is_reached_to_a_billionth() -> None:
    curve = Curve(
        np.array([0.9, 0.5]), np.array([1.0, 3.0]), np.array([0.9, 0.5]), np.zeros(2), 2.0, 4
    )
    assert curve.choose(parse_goal("labels=3")) == 1
    assert curve.choose(parse_goal("labels=2.999")) == 0
    assert curve.f1().tolist() == pytest.approx([2 * 0.9 / 3, 2 * 1.5 / 5])


def test_what_is_expected_of_looks_and_of_a_threshold() -> None:
    random = np.random.default_rng(2)
    told = random.beta(0.6, 2, (40, 3)).astype(np.float32)
    labels = np.where(random.random(told.shape) < told, 1, -1).astype(np.int8)
    for goal in ("looks=0.5", "f1", "precision=0.7"):
        found = decide(told, labels, ("a", "b", "c"), parse_goal(goal))
        assert found is not None
        about, cut = found.about, np.array([found.thresholds[name] for name in "abc"])
        kept = about["calibration"]
        calibrated = Calibration(kept["slope"], np.array([kept["shifts"][c] for c in "abc"]))(told)
        sure, total = told >= cut, calibrated.sum()
        right = calibrated[sure].sum()
        if goal.startswith("looks"):
            decided, looked, f1 = choose_looks(calibrated, 0.5)
            assert (sure == (calibrated >= decided)).all()
            right = calibrated[calibrated >= looked].sum()
            assert about["expected"]["f1"] == pytest.approx(f1)
            look = np.array([about["look_from"][name] for name in "abc"])
            assert np.count_nonzero((told >= look) & ~sure) == 20
        else:
            f1 = 2 * right / (sure.sum() + total)
            assert about["expected"]["f1"] == pytest.approx(f1, rel=1e-6)
        assert about["met"] and about["goal"] == goal
        assert about["expected"]["labels"] == pytest.approx(sure.sum() / 40)
        assert about["expected"]["precision"] == pytest.approx(calibrated[sure].mean())
        assert about["expected"]["recall"] == pytest.approx(right / total)


def test_tables_are_ranked_so_many_cells_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    truth, blocks = scores > 0.5, []
    whole, areas = ranking.average_precision(scores, truth), ranking._areas

    def count(scores: torch.Tensor, *rest: torch.Tensor | None) -> torch.Tensor:
        blocks.append(len(scores))
        return areas(scores, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ranking, "_CELLS", 13)
    monkeypatch.setattr(ranking, "_areas", count)
    assert torch.equal(ranking.average_precision(scores, truth), whole)
    assert blocks == [2, 2, 1]
