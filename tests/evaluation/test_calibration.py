"""Calibration: parameters that drew the data come back, from labels, positives and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tacit.evaluation.calibration import (
    Calibration,
    calibrate_on_labels,
    calibrate_on_positives,
    calibrate_on_verdicts,
    estimate_labels_per_image,
    to_logits,
    to_probabilities,
)

SLOPE, SHIFTS = 1.7, np.array([-0.5, 0.3, -1.0, 0.8])


def draw(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a model's probabilities, the true ones, and labels drawn by the true ones."""
    random = np.random.default_rng(seed)
    model = random.normal([-1.5, -2.5, -1.0, -3.0], [1.5, 2.0, 1.0, 2.0], (images, 4))
    true = to_probabilities(SLOPE * model + SHIFTS)
    return to_probabilities(model).astype(np.float32), true, random.random(true.shape) < true


def test_labels_bring_back_what_drew_them() -> None:
    told, true, positive = draw(20_000, 0)
    found = calibrate_on_labels(told, positive)
    assert found.slope == pytest.approx(SLOPE, abs=0.04)
    assert found.shifts == pytest.approx(SHIFTS, abs=0.1)
    assert np.abs(found(told) - true).mean() < 0.005
    assert found(told).mean(0) == pytest.approx(positive.mean(0), rel=1e-4)


def test_a_single_class_is_fitted_as_scikit_learn_does() -> None:
    told, _, positive = draw(3_000, 1)
    found = calibrate_on_labels(told[:, :1], positive[:, :1])
    theirs = LogisticRegression(C=1e9).fit(to_logits(told[:, :1]), positive[:, 0])
    assert found.slope == pytest.approx(theirs.coef_[0, 0], rel=0.02)
    assert found.shifts[0] == pytest.approx(theirs.intercept_[0], abs=0.05)


def test_a_fair_sample_of_positives_brings_it_back_too() -> None:
    told, true, positive = draw(20_000, 2)
    seen = positive & (np.random.default_rng(3).random(positive.shape) < 0.3)
    found, share = calibrate_on_positives(told, seen, float(true.sum(1).mean()))
    assert found.slope == pytest.approx(SLOPE, abs=0.15)
    assert share == pytest.approx(positive.mean(0), rel=0.06)
    assert np.abs(found(told) - true).mean() < 0.015
    # Half as many labels are half as many, whatever the slope.
    halved, _ = calibrate_on_positives(told, seen, float(true.sum(1).mean()) / 2)
    assert halved(told).mean(0) == pytest.approx(share / 2, rel=1e-3)


def test_one_label_an_image_is_no_fair_sample_and_is_weighed() -> None:
    """Classes that come with many others are drawn more rarely than they are there."""
    random = np.random.default_rng(4)
    crowd = random.random((20_000, 1)) < 0.5  # the last four classes come together or not at all
    logits = np.hstack([np.full((20_000, 2), -0.5), np.where(crowd, [1.5] * 4, [-4.0] * 4)])
    logits += random.normal(0, 1.5, logits.shape)
    true = to_probabilities(logits)
    positive = random.random(true.shape) < true
    seen = np.zeros_like(positive)
    for row in np.flatnonzero(positive.any(1)):
        seen[row, random.choice(np.flatnonzero(positive[row]))] = True
    told, total = true.astype(np.float32), float(true.sum(1).mean())
    errors = []
    for one_each in (False, True):
        _, share = calibrate_on_positives(told, seen, total, one_each=one_each)
        errors.append(np.abs(share - positive.mean(0)).sum())
    assert errors[1] < 0.4 * errors[0]


def test_verdicts_correct_a_wrong_number_of_labels() -> None:
    told, true, positive = draw(20_000, 5)
    seen = positive & (np.random.default_rng(6).random(positive.shape) < 0.3)
    wrong, _ = calibrate_on_positives(told, seen, 0.5 * float(true.sum(1).mean()))
    # A queue: a thousand cells near the top, and two thousand anywhere.
    random = np.random.default_rng(7)
    queue = np.argsort(-wrong(told), axis=None)[:4_000:4]
    looked = np.zeros(told.shape, dtype=np.int8)
    cells = np.concatenate([queue, random.choice(told.size, 2_000, replace=False)])
    looked.flat[cells] = np.where(positive.flat[cells], 1, -1)
    found = calibrate_on_verdicts(wrong, told, looked)
    before, after = (np.abs(each(told) - true).mean() for each in (wrong, found))
    assert after < 0.35 * before
    assert found(told).sum() == pytest.approx(true.sum(), rel=0.1)


def test_verdicts_of_one_kind_change_nothing() -> None:
    told, _, _ = draw(50, 8)
    first = Calibration(1.0, np.zeros(4))
    looked = np.zeros(told.shape, dtype=np.int8)
    looked[:5] = 1
    assert calibrate_on_verdicts(first, told, looked) is first


def test_the_way_back() -> None:
    found = Calibration(SLOPE, SHIFTS)
    for calibrated in (0.001, 0.3, 0.5, 0.99):
        back = found.invert(calibrated)
        assert found(back[None])[0] == pytest.approx(np.full(4, calibrated), rel=1e-6)


@pytest.mark.parametrize("images", [1, 2, 5])
def test_next_to_nothing_is_enough_to_go_on(images: int) -> None:
    told, _, _ = draw(images, 9)
    seen = np.ones(told.shape, dtype=np.bool_)
    for found in (
        calibrate_on_labels(told, seen),
        calibrate_on_positives(told, seen, 4.0, one_each=True)[0],
    ):
        assert np.isfinite(found.slope) and np.isfinite(found.shifts).all()
        assert np.isfinite(found.invert(0.5)).all()


def test_labels_per_image_are_estimated_between_what_is_known_and_what_is_there() -> None:
    told, true, positive = draw(20_000, 10)
    seen = positive & (np.random.default_rng(11).random(positive.shape) < 0.3)
    estimated = estimate_labels_per_image(told, seen)
    assert seen.sum(1).mean() < estimated < 1.2 * true.sum(1).mean()
