"""Bootstrap intervals: exact on a case small enough to count out, and true to repeated draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tacit.evaluation import intervals
from tacit.evaluation.intervals import (
    count_resamples,
    draw_resamples,
    find_intervals,
    resample_map,
    resample_of1,
    take_interval,
)


def draw(images: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.where(random.random((images, classes)) < 0.3, 1, -1).astype(np.int8)
    scores = (random.normal(size=truth.shape) + truth).round(1)  # with ties
    return scores, truth


def test_every_resample_of_four_images() -> None:
    """All 256 resamples, each made by really repeating the rows, scored by scikit-learn."""
    scores = np.array([[0.9, 0.2], [0.9, 0.6], [0.3, 0.6], [0.1, 0.1]])
    truth = np.array([[1, -1], [-1, 1], [1, -1], [-1, 1]], dtype=np.int8)
    decided = scores >= 0.5
    draws = list(itertools.product(range(4), repeat=4))
    counts = np.array([np.bincount(rows, minlength=4) for rows in draws], dtype=np.int32)
    known = np.ones(truth.shape, dtype=np.bool_)
    maps = resample_map(scores, truth == 1, known, counts)
    overall = resample_of1(decided, truth == 1, known, counts)
    for number, rows in enumerate(draws):
        some = [c for c in range(2) if (truth[list(rows), c] == 1).any()]
        areas = [
            average_precision_score(truth[list(rows), c] == 1, scores[list(rows), c]) for c in some
        ]
        assert maps[number] == pytest.approx(100 * np.mean(areas) if areas else 0)
        flat = (truth[list(rows)] == 1).ravel(), decided[list(rows)].ravel()
        assert overall[number] == pytest.approx(100 * f1_score(*flat, zero_division=0))


def test_unknown_cells_count_nowhere() -> None:
    scores, truth = draw(40, 0)
    hidden = np.random.default_rng(1).random(truth.shape) < 0.3
    counts = draw_resamples(40, 30)
    decided = scores > 0
    found = resample_map(scores, truth == 1, ~hidden, counts)
    overall = resample_of1(decided, truth == 1, ~hidden, counts)
    other = np.where(hidden, 7.0, scores)
    assert np.array_equal(found, resample_map(other, truth == 1, ~hidden, counts))
    assert np.array_equal(
        overall, resample_of1(other > 0, (truth == 1) | hidden, ~hidden, counts) * 0 + overall
    )
    for column in range(3):
        kept = ~hidden[:, column]
        alone = resample_map(
            scores[kept][:, [column]],
            truth[kept][:, [column]] == 1,
            np.ones((kept.sum(), 1), dtype=np.bool_),
            counts[:, kept],
        )
        one = resample_map(
            scores[:, [column]], truth[:, [column]] == 1, ~hidden[:, [column]], counts
        )
        assert np.array_equal(alone, one)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of repeated draws of 150 images, about 95 in 100 intervals hold the OF1 of a million."""
    scores, truth = draw(300_000, 2)
    whole = 100 * f1_score((truth == 1).ravel(), (scores >= 0.5).ravel())
    held = 0
    for seed in range(200):
        some, labels = draw(150, 1000 + seed)
        counts = draw_resamples(150, 300, seed)
        known = np.ones(labels.shape, dtype=np.bool_)
        low, high = take_interval(resample_of1(some >= 0.5, labels == 1, known, counts))
        held += low <= whole <= high
    assert 178 <= held <= 199


def test_the_same_seed_draws_the_same() -> None:
    scores, truth = draw(80, 3)
    decided = {"of1": scores >= 0.5}
    first, again = (find_intervals(scores, truth, decided) for _ in range(2))
    assert first == again
    assert first != find_intervals(scores, truth, decided, seed=1)
    assert first["resamples"] == 1000 and first["share"] == 0.95
    low, high = first["map"]  # type: ignore[misc]
    assert 0 < low < high < 100


def test_large_tables_get_fewer_resamples_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (count_resamples(100_000, 2), count_resamples(10_000_000, 2)) == (500, 0)
    monkeypatch.setattr(intervals, "MOST_CELLS", 1_000)
    assert count_resamples(1, 1) == 1_000 and count_resamples(2, 4) == 125
    assert count_resamples(11, 1) == 0
    scores, truth = draw(80, 3)
    assert find_intervals(scores, truth, {}) == {"resamples": 0}
