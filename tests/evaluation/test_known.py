"""Scores over known cells: what is unknown counts nowhere, what cannot be scored is named."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tacit.evaluation.known import score_known

NAMES = ("a", "b", "c", "d")
THRESHOLDS = np.array([0.3, 0.6, 0.5, 0.4], dtype=np.float32)


def draw(seed: int, hidden: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.where(random.random((80, 4)) < 0.3, 1, -1).astype(np.int8)
    labels[random.random(labels.shape) < hidden] = 0
    return random.random(labels.shape).astype(np.float32), labels


@pytest.mark.parametrize("hidden", [0.0, 0.4])
def test_each_number_by_scikit_learn_on_known_cells(hidden: float) -> None:
    told, labels = draw(0, hidden)
    known, found = labels != 0, score_known(told, labels, NAMES, THRESHOLDS)
    areas = [
        average_precision_score(labels[rows, c] == 1, told[rows, c])
        for c, rows in enumerate(known.T)
    ]
    assert found.map == pytest.approx(100 * np.mean(areas))
    assert found.unknown == np.count_nonzero(~known)
    for decided, value in ((told >= 0.5, found.of1), (told >= THRESHOLDS, found.of1_decided)):
        assert value == pytest.approx(100 * f1_score(labels[known] == 1, decided[known]))
    assert found.intervals is not None
    for name in ("map", "of1", "of1_decided"):
        low, high = found.intervals[name]
        assert low < getattr(found, name) < high


def test_unknown_cells_may_say_anything() -> None:
    told, labels = draw(1, 0.3)
    other = np.where(labels == 0, 1 - told, told).astype(np.float32)
    first, second = (asdict(score_known(each, labels, NAMES, THRESHOLDS)) for each in (told, other))
    assert first == second


def test_classes_of_one_kind_are_named_and_in_no_mean() -> None:
    told, labels = draw(2, 0.2)
    labels[labels[:, 1] == 1, 1] = -1
    labels[labels[:, 2] == -1, 2] = 0
    found = score_known(told, labels, NAMES, THRESHOLDS)
    assert (found.without_positive, found.without_negative) == (["b"], ["c"])
    assert found.classes_scored == 2
    rest = score_known(told[:, [0, 3]], labels[:, [0, 3]], ("a", "d"), THRESHOLDS[[0, 3]])
    assert (found.map, found.of1_decided) == (rest.map, rest.of1_decided)
    assert found.intervals == rest.intervals


def test_observed_positives_alone_score_nothing() -> None:
    told, labels = draw(3, 0.2)
    labels[labels == -1] = 0
    found = score_known(told, labels, NAMES, THRESHOLDS)
    assert found.classes_scored == 0 and found.without_negative == list(NAMES)
    assert (found.map, found.of1_decided, found.intervals) == (None, None, None)
