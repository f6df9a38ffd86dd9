"""What guessing reaches, against guessing."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.evaluation.chance import compute_chance
from tacit.evaluation.metrics import mean_average_precision


@pytest.mark.parametrize("counts", [(1, 3), (5, 20), (12, 40), (0, 7)])
def test_it_is_the_mean_over_random_orders(counts: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((40, len(counts)), dtype=np.int8)
    for column, count in enumerate(counts):
        truth[:count, column] = 1
    guesses = [mean_average_precision(random.random(truth.shape), truth).map for _ in range(3000)]
    error = np.std(guesses) / np.sqrt(len(guesses))
    assert abs(np.mean(guesses) - compute_chance(truth.sum(0), 40)) < 4 * error + 1e-9


def test_the_ends() -> None:
    assert compute_chance(np.array([8, 8]), 8) == pytest.approx(100)
    assert compute_chance(np.array([0, 0]), 8) == compute_chance(np.array([], int), 8) == 0
    assert compute_chance(np.array([1]), 1) == pytest.approx(100)
    assert compute_chance(np.array([10_000]), 1_000_000) == pytest.approx(1, abs=0.01)
