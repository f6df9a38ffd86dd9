"""Pseudo-labels for good behind a blur, by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tacit.methods import build_method
from tacit.methods.parts.noise import draw_normal, number_cells
from tacit.types import Batch, Clock
from toys import annotations_of

LABELS = np.array([[1, 0, -1], [0, 0, 1], [0, 0, 0]], dtype=np.int8)
LOGITS = np.random.default_rng(5).normal(size=(3, 3))


def cost(logits: np.ndarray, logs: np.ndarray, noise: np.ndarray, labels: np.ndarray) -> float:
    """Assumed negatives on blurred logits, and the distance from the prior, weighted by 0.3."""
    blurred = logits + np.exp(logs) / np.sqrt(4) * noise
    assumed = np.where(labels == 1, np.log1p(np.exp(-blurred)), np.log1p(np.exp(blurred)))
    prior = -0.5 * (1 + 2 * logs - logits**2 - np.exp(2 * logs))
    return float(assumed.mean() + 0.3 * prior.mean())


def test_value_and_gradient() -> None:
    method: Any = build_method("mime", draws=4, prior_weight=0.3)
    method.setup(annotations_of(LABELS))
    method.double()
    logs = np.array([0.5, -1.0, 0.1])
    method.log_deviation.data = torch.tensor(logs)
    method.found.values[1, 0] = True
    places = torch.tensor(LOGITS, requires_grad=True)
    index = torch.arange(3)
    batch = Batch(index, torch.tensor(LABELS), {"weak": torch.zeros(3, 1)})
    step = method.step(lambda images: places, batch, Clock(3, 4))
    step.loss.backward()
    noise = draw_normal(number_cells(index, 3), 1).double().numpy()
    labels = LABELS.copy()
    labels[1, 0] = 1
    assert step.loss.item() == pytest.approx(cost(LOGITS, logs, noise, labels), rel=1e-9)
    assert step.suspects.nonzero().tolist() == [[1, 0]]
    for found, start, which in (
        (places.grad, LOGITS, 0),
        (method.log_deviation.grad, logs, 1),
    ):
        for place in np.ndindex(*start.shape):
            ends = []
            for shift in (1e-5, -1e-5):
                moved = [LOGITS.copy(), logs.copy()]
                moved[which][place] += shift
                ends.append(cost(moved[0], moved[1], noise, labels))
            assert found[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_the_mean_of_draws_varies_as_one_blurred_logit_does() -> None:
    """Ten draws around 0 with a deviation of 1 have a mean of deviation 0.316."""
    method: Any = build_method("mime", draws=10)
    method.setup(annotations_of(np.zeros((4000, 1), np.int8)))
    batch = Batch(
        torch.arange(4000), torch.zeros(4000, 1, dtype=torch.int8), {"weak": torch.zeros(4000, 1)}
    )
    step = method.step(lambda images: torch.zeros(4000, 1), batch, Clock(1, 2))
    blurred = 0.316 * np.random.default_rng(0).normal(size=100_000)
    assert step.terms["assumed"].item() == pytest.approx(np.log1p(np.exp(blurred)).mean(), abs=0.01)


def test_labels_begin_after_the_warm_up_and_are_never_taken_back() -> None:
    method: Any = build_method("mime", warmup_epochs=2, threshold=0.9)
    method.setup(annotations_of(LABELS))
    high = torch.full((3, 3), 0.1)
    high[2, 1] = 0.95
    for epoch, marked in ((1, 0), (2, 1)):
        method.end_epoch(Clock(epoch, 4), lambda: high)
        assert int(method.found.values.sum()) == marked
    method.end_epoch(Clock(3, 4), lambda: torch.full((3, 3), 0.2))
    assert method.found.values.nonzero().tolist() == [[2, 1]]
    method.end_epoch(Clock(4, 4), lambda: pytest.fail("nobody would read it"))
