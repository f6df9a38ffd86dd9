"""The selective loss: three kinds of cells, and which unknown ones cost nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tacit.methods import build_method
from tacit.types import Clock, Step
from toys import annotations_of, make_batch

LOGITS = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2], [1.1, 0.4, -3.5, 0.9]]
LABELS = [[1, -1, 0, 0], [0, 0, 1, -1], [0, 1, 0, -1]]


def take(**options: Any) -> tuple[Step, torch.Tensor, Any]:
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    method: Any = build_method("csl", **options)
    method.setup(annotations_of(LABELS))
    step = method.step(lambda images: logits, make_batch(LABELS), Clock(1, 1))
    step.loss.backward()
    assert logits.grad is not None
    return step, logits.grad, method


def cell(logit: float, state: int, focus: dict[int, float], shift: float) -> tuple[float, float]:
    """Price and slope of a cell by hand; the power is a constant."""
    p = 1 / (1 + math.exp(-logit))
    if state == 1:
        power = (1 - p) ** focus[1]
        return -power * math.log(p), -power * (1 - p)
    q = min(1 - p + shift, 1.0)
    power = (1 - q) ** focus[state]
    slope = 0.0 if q == 1 else p * (1 - p) / q
    return -power * math.log(q), power * slope


def expect(
    mode: str, focus: dict[int, float], shift: float, left_out: set[tuple[int, int]]
) -> tuple[float, np.ndarray]:
    total, slopes = 0.0, np.zeros((3, 4))
    for i, (row, states) in enumerate(zip(LOGITS, LABELS, strict=True)):
        known = sum(state != 0 for state in states)
        for j, (logit, state) in enumerate(zip(row, states, strict=True)):
            price, slope = cell(logit, state, focus, shift)
            weight = 1 + 1 / (1 + known) if mode == "normalised" else 1.0
            if state == 0 and (mode in ("ignore", "normalised") or (i, j) in left_out):
                weight = 0.0
            total += weight * price
            slopes[i, j] = weight * slope
    return total, slopes


@pytest.mark.parametrize("mode", ["selective", "negative", "ignore", "normalised"])
@pytest.mark.parametrize(("focus", "shift"), [((0, 1, 4), 0.05), ((1.5, 3, 2), 0.0)])
def test_value_and_gradient_are_those_of_a_loop(
    mode: str, focus: tuple[float, float, float], shift: float
) -> None:
    """Of unknown cells, 2.0 and 1.5 are the largest two, and 1.1 the next."""
    positive, negative, unknown = focus
    step, gradient, _ = take(
        mode=mode,
        positive_focus=positive,
        negative_focus=negative,
        unknown_focus=unknown,
        shift=shift,
        likeliest=2 / 3,
        reduction="sum",
    )
    left_out = {(0, 2), (1, 1)} if mode == "selective" else set()
    powers = {1: positive, -1: negative, 0: unknown}
    total, slopes = expect(mode, powers, shift, left_out)
    assert step.loss.item() == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(gradient.numpy(), slopes, rtol=1e-9, atol=1e-12)
    assert step.suspects is not None
    assert set(map(tuple, step.suspects.nonzero().tolist())) == left_out


def test_one_class_in_sixteen_is_left_out_by_default() -> None:
    assert take()[0].suspects.sum() == 1  # type: ignore[union-attr]  # 3 images, 4 / 16 each
    assert take(likeliest=1.0)[0].suspects.sum() == 3  # type: ignore[union-attr]


def test_unknown_cells_of_common_classes_cost_nothing() -> None:
    plain = take(likeliest=0.0)[1]
    # One image of three is known to show each of the first three classes, none the last.
    step, gradient, method = take(likeliest=0.0, prior_threshold=0.3)
    assert method.expected.priors.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    unknown = torch.tensor(LABELS) == 0
    common = torch.tensor([True, True, True, False])
    assert not gradient[unknown & common].any()
    assert torch.equal(gradient[~(unknown & common)], plain[~(unknown & common)])
    assert step.suspects is not None and not step.suspects.any()


def test_priors_follow_the_scores() -> None:
    method: Any = build_method("csl")
    labels = torch.zeros(400, 1)
    labels[:200:4] = 1
    method.setup(annotations_of(labels))
    scores = torch.where(torch.arange(400)[:, None] < 200, 0.9, 0.1)
    scores = scores + 0.01 * torch.rand(400, 1, generator=torch.Generator().manual_seed(0))
    method.end_epoch(Clock(1, 2), lambda: scores)
    assert method.expected.priors.item() == pytest.approx(0.5, abs=0.1)
    untouched: Any = build_method("csl", mode="negative")
    untouched.setup(annotations_of(labels))
    untouched.end_epoch(Clock(1, 2), lambda: pytest.fail("nobody needs scores"))


def test_weights_of_both_kinds_of_negatives() -> None:
    _, plain, _ = take(mode="negative")
    _, weighted, _ = take(mode="negative", negative_weight=3.0, unknown_weight=0.5)
    states = torch.tensor(LABELS)
    factors = torch.where(states == 1, 1.0, torch.where(states == -1, 3.0, 0.5)).double()
    torch.testing.assert_close(weighted, factors * plain, rtol=1e-9, atol=1e-12)
