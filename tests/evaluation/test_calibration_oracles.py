"""Calibration against slow and plain searches for the same optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar

from tacit.evaluation.calibration import (
    Calibration,
    calibrate_on_labels,
    calibrate_on_positives,
    calibrate_on_verdicts,
    to_logits,
)


def draw(images: int, seed: int, slope: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal([-1.0, 0.5, -2.0], 1.2, (images, 3))
    positive = random.random(logits.shape) < sigmoid(slope * logits + [0.3, -0.5, 0.8])
    positive[0] = True
    positive[1] = False
    return sigmoid(logits), positive


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def shift(scaled: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return where each class has its share, by bisection."""
    return np.array(
        [
            brentq(lambda b, c=c: sigmoid(scaled[:, c] + b).mean() - share[c], -60, 60)
            for c in range(len(share))
        ]
    )


def search(logits: np.ndarray, share: np.ndarray, weights: np.ndarray, negatives: bool) -> float:
    """Return the slope that makes the likelihood the largest, held as by two cells."""

    def cost(log_slope: float) -> float:
        z = np.exp(log_slope) * logits
        z = z + shift(z, share)
        told = -(weights * np.log(sigmoid(z))).sum()
        told -= ((weights == 0) * np.log(sigmoid(-z))).sum() if negatives else 0.0
        return float(told + 2 * log_slope**2)

    found = minimize_scalar(cost, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


@pytest.mark.parametrize(("images", "seed"), [(8, 0), (30, 1), (200, 2)])
def test_labels(images: int, seed: int) -> None:
    told, positive = draw(images, seed)
    found, logits = calibrate_on_labels(told, positive), to_logits(told)
    slope = search(logits, positive.mean(0), positive.astype(float), True)
    assert found.slope == pytest.approx(slope, rel=0.01)
    assert found.shifts == pytest.approx(shift(found.slope * logits, positive.mean(0)), abs=1e-4)


@pytest.mark.parametrize("one_each", [False, True])
@pytest.mark.parametrize(("images", "seed", "total"), [(12, 3, 0.9), (200, 4, 1.9)])
def test_positives(images: int, seed: int, total: float, one_each: bool) -> None:
    told, positive = draw(images, seed)
    positive &= np.random.default_rng(seed).random(positive.shape) < 0.6
    positive[0] = [True, True, True]
    found, share = calibrate_on_positives(told, positive, total, one_each=one_each)
    logits, counted = to_logits(told), positive.astype(float)
    for _ in range(4 if one_each else 1):
        wanted = counted.mean(0) * total / counted.mean(0).sum()
        slope = search(logits, wanted, counted / counted[positive].mean(), False)
        z = sigmoid(slope * logits + shift(slope * logits, wanted))
        if one_each:
            counted = positive * (1 + z.sum(1, keepdims=True) - z)
    wanted = counted.mean(0) * total / counted.mean(0).sum()
    assert found.slope == pytest.approx(slope, rel=0.02)
    assert share == pytest.approx(wanted, rel=0.01)
    assert found(told).mean(0) == pytest.approx(share, rel=1e-5)


def test_verdicts() -> None:
    """A slope that is next to free, and for each class a shift that is held as by one cell."""
    told, positive = draw(60, 5)
    looked = np.where(positive, 1, -1).astype(np.int8)
    looked[20:, 1] = 0
    looked[::3] = 0
    first = Calibration(1.3, np.array([-0.2, 0.4, 0.1]))
    found = calibrate_on_verdicts(first, told, looked)
    rows, columns = np.nonzero(looked)
    inner = (1.3 * to_logits(told) + first.shifts)[rows, columns]
    sign = looked[rows, columns]

    def cost(x: np.ndarray) -> float:
        z = x[0] * inner + x[1] + x[2:][columns]
        held = (x[0] / 100) ** 2 + (x[2:] ** 2).sum()
        return float(np.logaddexp(0, -sign * z).sum() + held / 2)

    best = minimize(cost, np.array([1.0, 0, 0, 0, 0]), tol=1e-10).x
    assert found.slope == pytest.approx(1.3 * best[0], rel=1e-3)
    assert found.shifts == pytest.approx(best[0] * first.shifts + best[1] + best[2:], abs=2e-3)


def test_verdicts_that_go_against_the_scores_leave_the_least_slope() -> None:
    told = np.array([[0.9], [0.8], [0.2], [0.1]])
    looked = np.array([[-1], [-1], [1], [1]], dtype=np.int8)
    assert calibrate_on_verdicts(Calibration(2.0, np.zeros(1)), told, looked).slope == 2 * 0.05


def test_a_class_that_is_everywhere_or_nowhere_is_half_an_image_short_of_it() -> None:
    told, positive = draw(5, 6)
    positive[:, 0], positive[:, 1] = True, False
    found = calibrate_on_labels(told, positive)(told).mean(0)
    assert found[:2] == pytest.approx([0.9, 0.1], rel=1e-4)


@pytest.mark.parametrize(
    ("counts", "total", "share"),
    [
        ([10, 5, 5], 1.0, [0.5, 0.25, 0.25]),
        ([10, 5, 5], 2.4, [0.98, 0.71, 0.71]),
        ([10, 5, 1], 2.5, [0.98, 0.98, 0.54]),
        ([10, 10, 10], 3.0, [0.98, 0.98, 0.98]),
        ([10, 10, 0], 1.0, [0.5, 0.5, 0.0]),
    ],
)
def test_shares_are_scaled_and_none_is_above_what_is_possible(
    counts: list[int], total: float, share: list[float]
) -> None:
    told, _ = draw(20, 7)
    positive = np.arange(20)[:, None] < np.array(counts)
    assert calibrate_on_positives(told, positive, total)[1] == pytest.approx(share, abs=2e-6)


def test_a_class_that_was_never_seen_is_taken_for_a_very_rare_one() -> None:
    told, _ = draw(20, 8)
    positive = np.arange(20)[:, None] < np.array([10, 10, 0])
    share = calibrate_on_positives(told, positive, 1.0)[1]
    assert share[2] == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(("true", "low", "high"), [(60.0, 19.5, 20.0), (0.0, 0.05, 0.06)])
def test_slopes_have_limits(true: float, low: float, high: float) -> None:
    random = np.random.default_rng(9)
    logits = random.normal(0, 2 if true == 0 else 0.05, (40_000, 1))
    positive = random.random(logits.shape) < sigmoid(true * logits)
    slope = calibrate_on_labels(sigmoid(logits), positive).slope
    assert low <= slope <= high


def test_certain_probabilities_have_finite_logits() -> None:
    edge = np.log((1 - 1e-7) / 1e-7)
    assert to_logits(np.array([0.0, 0.5, 1.0])) == pytest.approx([-edge, 0, edge], rel=1e-9)
