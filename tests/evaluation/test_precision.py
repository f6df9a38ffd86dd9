"""The bound on precision: it holds in most draws, and asks for evidence."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.evaluation.calibration import to_probabilities
from tacit.evaluation.decisions import decide
from tacit.evaluation.goals import parse_goal
from tacit.evaluation.precision import bound_precision

NAMES = tuple("abcdef")


def draw(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that promise too much where they are high, and the truth."""
    random = np.random.default_rng(seed)
    latent = random.normal(np.linspace(-3, 0, 6), 2.0, (images, 6))
    truth = random.random(latent.shape) < 0.93 * to_probabilities(latent)
    return to_probabilities(latent).astype(np.float32), np.where(truth, 1, -1).astype(np.int8)


def show_one(truth: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = np.zeros_like(truth)
    for row in np.flatnonzero((truth == 1).any(1)):
        labels[row, random.choice(np.flatnonzero(truth[row] == 1))] = 1
    return labels


@pytest.mark.parametrize("basis", ["clean", "stated", "estimated"])
def test_a_precision_is_reached_where_promises_are_too_high(basis: str) -> None:
    new, new_truth = draw(20_000, 99)
    reached = []
    for seed in range(10):
        told, truth = draw(1_500, seed)
        labels = truth if basis == "clean" else show_one(truth, seed)
        stated = float((truth == 1).sum(1).mean()) if basis == "stated" else None
        goal = parse_goal("precision=0.8")
        found = decide(told, labels, NAMES, goal, labels_per_image=stated)
        assert found and found.about["met"]
        thresholds = np.array([found.thresholds[name] for name in NAMES], np.float32)
        decided = new >= thresholds
        reached.append(float((new_truth[decided] == 1).mean()))
    assert np.mean(reached) >= 0.8 and min(reached) > 0.77
    assert np.mean(reached) < 0.9  # it is no bound to decide next to nothing


def test_few_labels_prove_little_and_many_prove_more() -> None:
    calibrated, right = np.full((1, 1), 0.99), np.ones((1, 1))
    threshold = np.array([0.5])
    few = bound_precision(calibrated, right, threshold, counted=True)[0]
    many = bound_precision(
        np.repeat(calibrated, 400, 0), np.repeat(right, 400, 0), threshold, counted=True
    )[0]
    assert few <= 0.5 and 0.95 < many < 1


def test_an_uncertain_number_of_labels_lowers_the_bound() -> None:
    told, truth = draw(500, 3)
    right, threshold = (truth == 1).astype(np.float64), np.array([0.9, 0.5, 0.1])
    factors = iter(np.linspace(0.8, 1.2, 20))
    sure = bound_precision(told.astype(float), right, threshold, counted=False)
    unsure = bound_precision(
        told.astype(float), right, threshold, counted=False, scale=lambda rows: next(factors)
    )
    assert (unsure < sure - 0.05).all()


def test_probabilities_that_promise_too_little_are_not_believed_less_than_counts() -> None:
    told, truth = draw(500, 4)
    right, threshold = (truth == 1).astype(np.float64), np.array([0.7])
    counted = bound_precision(told.astype(float), right, threshold, counted=True)
    both = bound_precision(told.astype(float), right, threshold, counted=False)
    assert (both <= counted).all()
