"""The likelihood of a draw, by going through all that an image could show."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from tacit.methods import build_method
from tacit.types import Clock
from toys import ScriptedModel, annotations_of, make_batch

LABELS = np.array(
    [
        [1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, -1, 0],
        [1, 1, 1, 0, 0, -1],
        [0, 0, 0, 0, 0, 0],
        [-1, 0, 0, -1, 0, 0],
        [1, -1, 1, 1, -1, 1],
    ]
)
LOGITS = np.random.default_rng(4).normal(size=LABELS.shape) * 2


def enumerate_images(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the log-likelihood of an image's labels, and the posteriors, by adding up.

    Every set of classes that agrees with what is known has its probability, times the chance to
    draw the known positives from it: one over the number of ways to choose as many.
    """
    p = 1 / (1 + np.exp(-logits))
    known = int((labels == 1).sum())
    total, there = 0.0, np.zeros(len(labels))
    for shown in itertools.product((0, 1), repeat=len(labels)):
        y = np.array(shown)
        if (y[labels == 1] == 0).any() or (y[labels == -1] == 1).any():
            continue
        chance = float(np.prod(np.where(y == 1, p, 1 - p))) / math.comb(int(y.sum()), known)
        total += chance
        there += chance * y
    return math.log(total), there / total


def prepared(**options: Any) -> Any:
    method = build_method("drawn", **options)
    method.setup(annotations_of(LABELS))
    return method.double()


def negative_mean(logits: np.ndarray) -> float:
    pairs = zip(logits, LABELS, strict=True)
    return -sum(enumerate_images(row, labels)[0] for row, labels in pairs) / LABELS.size


@pytest.mark.parametrize("points", [4, 16])
def test_value_and_gradient_are_those_of_all_images(points: int) -> None:
    """Four nodes are exact up to degree 7; of six classes at most five are unknown beside one."""
    logits = torch.tensor(LOGITS, requires_grad=True)
    method = prepared(shrinkage=0.0, points=points)
    step = method.step(lambda images: logits, make_batch(LABELS), Clock(1, 1))
    step.loss.backward()
    assert step.loss.item() == pytest.approx(negative_mean(LOGITS), abs=1e-6)
    assert logits.grad is not None
    for place in np.ndindex(*LOGITS.shape):
        ends = []
        for shift in (1e-4, -1e-4):
            moved = LOGITS.copy()
            moved[place] += shift
            ends.append(negative_mean(moved))
        assert logits.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-6)


def test_posteriors_are_those_of_all_images() -> None:
    method = prepared()
    posterior = method.find_posterior(torch.tensor(LOGITS), make_batch(LABELS))
    expected = [enumerate_images(*pair)[1] for pair in zip(LOGITS, LABELS, strict=True)]
    np.testing.assert_allclose(posterior.numpy(), expected, atol=1e-6)
    model = ScriptedModel(LOGITS.tolist(), None, LOGITS.tolist())
    found = method.judge(model, make_batch(LABELS))
    unknown = LABELS == 0
    np.testing.assert_allclose(found.score.numpy(), np.where(unknown, expected, 0), atol=1e-6)
    assert np.array_equal(found.suspects.numpy(), unknown & (np.array(expected) > 0.5))
    assert found.suspects.any()


def test_a_class_is_the_less_probable_the_more_surely_it_would_have_been_drawn() -> None:
    """One of two is known. The other, p before, is there with (p / 2) / (1 - p / 2)."""
    method = prepared()
    logit = math.log(0.8 / 0.2)
    posterior = method.find_posterior(torch.tensor([[0.0, logit]]), make_batch([[1, 0]]))
    assert posterior[0, 1].item() == pytest.approx(0.4 / 0.6, abs=1e-6)


def test_shrinkage_is_the_mean_squared_logit() -> None:
    logits = torch.tensor(LOGITS)
    step = prepared(shrinkage=0.2).step(lambda images: logits, make_batch(LABELS), Clock(1, 1))
    assert step.terms["shrinkage"].item() == pytest.approx(0.2 * (LOGITS**2).mean())


def test_many_classes_are_integrated_well_enough() -> None:
    """Of 400 equal classes the chance is that of a binomial distribution."""
    classes, p = 400, 0.02
    labels = np.zeros((1, classes), np.int8)
    labels[0, 0] = 1
    method: Any = build_method("drawn")
    method.setup(annotations_of(labels))
    logits = torch.full((1, classes), math.log(p / (1 - p)), dtype=torch.float64)
    found = method.double().log_likelihood(logits, make_batch(labels)).item()
    # The mean of 1 / (1 + S) of a binomial S has a closed form.
    expected = p * (1 - (1 - p) ** classes) / (classes * p)
    assert found == pytest.approx(math.log(expected), abs=1e-5)
