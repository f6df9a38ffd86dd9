"""Thresholds: the best F1 where everything is known, and nearly so where positives alone are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tacit.evaluation.thresholds import choose_thresholds


def drawn(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.where(random.random((images, 3)) < (0.5, 0.2, 0.05), 1, -1).astype(np.int8)
    logits = random.normal(size=truth.shape) + 2.5 * (truth == 1) - 4
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


def f1(probabilities: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    return float(f1_score(truth == 1, probabilities >= threshold, zero_division=0))


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_larger_f1_where_everything_is_known(seed: int) -> None:
    probabilities, truth = drawn(60, seed)
    probabilities = probabilities.round(2)  # with ties
    found = choose_thresholds(probabilities, truth, "abc")
    for column, name in enumerate("abc"):
        scores, true = probabilities[:, column], truth[:, column]
        if not (true == 1).any():
            assert name not in found
            continue
        best = max(f1(scores, true, float(value)) for value in np.unique(scores))
        assert f1(scores, true, found[name]) == pytest.approx(best)


def test_known_positives_alone_give_nearly_the_same() -> None:
    probabilities, truth = drawn(20_000, 0)
    random = np.random.default_rng(1)
    seen = (truth == 1) & (random.random(truth.shape) < 0.3)
    observed = np.where(seen, 1, 0).astype(np.int8)
    best = choose_thresholds(probabilities, truth, "abc")
    found = choose_thresholds(probabilities, observed, "abc")
    for column, name in enumerate("abc"):
        scores, true = probabilities[:, column], truth[:, column]
        reached = f1(scores, true, found[name])
        assert reached > f1(scores, true, best[name]) - 0.02
        # Unknown taken for absent chooses far too high, and 0.5 finds next to nothing.
        absent = np.where(seen, 1, -1).astype(np.int8)
        naive = choose_thresholds(probabilities, absent, "abc")
        assert reached > f1(scores, true, naive[name]) + 0.01
        assert reached > f1(scores, true, 0.5) + 0.1


def test_a_class_that_no_image_shows_has_no_threshold() -> None:
    labels = np.array([[1, 0, -1], [0, 0, -1]], dtype=np.int8)
    scores = np.array([[0.4, 0.1, 0.2], [0.1, 0.2, 0.3]], dtype=np.float32)
    assert choose_thresholds(scores, labels, "abc") == pytest.approx({"a": 0.25})


def test_equal_probabilities_are_predicted_together() -> None:
    scores = np.full((4, 1), 0.5, dtype=np.float32)
    labels = np.array([[1], [-1], [-1], [-1]], dtype=np.int8)
    assert choose_thresholds(scores, labels, "a") == {"a": 0.25}
