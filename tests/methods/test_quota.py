"""Pseudo-labels by quota: how many, which, when, and what they cost."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from tacit.methods import build_method
from tacit.types import Clock
from toys import annotations_of, make_batch

IMAGES = 60


def labels_of(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(IMAGES, 3, generator=generator)
    return torch.where(drawn < 0.15, 1, torch.where(drawn > 0.9, -1, 0)).to(torch.int8)


def scores_of(labels: torch.Tensor, seed: int = 1) -> torch.Tensor:
    noise = torch.rand(labels.shape, generator=torch.Generator().manual_seed(seed))
    return (noise + 0.8 * (labels == 1)) / 2


def prepared(labels: torch.Tensor, **options: Any) -> Any:
    method = build_method("quota", **{"warmup_epochs": 2, **options})
    method.setup(annotations_of(labels))
    return method


def forbidden() -> NoReturn:
    raise AssertionError("nobody needs predictions now")


def fill_slowly(
    scores: list[float], labels: list[int], prior: float, a: float, b: float
) -> list[int]:
    """Fill a class's labels one by one: the best first, then the worst, until quotas are full."""
    found = [0] * len(labels)
    free = [i for i, state in enumerate(labels) if state == 0]
    there = sum(state == 1 for state in labels)
    absent = sum(state == -1 for state in labels)
    for i in sorted(free, key=lambda i: -scores[i]):
        if there >= round(a * prior * len(labels)):
            break
        found[i], there = 1, there + 1
    for i in sorted(free, key=lambda i: scores[i]):
        if found[i] or absent >= round(b * (1 - prior) * len(labels)):
            break
        found[i], absent = -1, absent + 1
    return found


@pytest.mark.parametrize("prior", [0.0, 0.02, 0.2, 0.47, 1.0])
@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.8, 0.9), (0.0, 0.5), (1.0, 0.0)])
def test_quotas_are_filled_as_one_by_one(prior: float, a: float, b: float) -> None:
    labels = labels_of()
    scores = scores_of(labels)
    method = prepared(labels, present_share=a, absent_share=b)
    for column in range(3):
        filled = method.fill(scores[:, column], labels[:, column], prior)
        expected = fill_slowly(scores[:, column].tolist(), labels[:, column].tolist(), prior, a, b)
        assert filled.tolist() == expected


def test_rounds_begin_after_the_warm_up_and_none_follows_the_last_epoch() -> None:
    labels = labels_of()
    method = prepared(labels)
    method.end_epoch(Clock(1, 4), forbidden)
    assert (method.pseudo.values == -1).all()
    method.end_epoch(Clock(2, 4), lambda: scores_of(labels))
    table = method.pseudo.values.clone()
    for column, prior in enumerate(method.expected.priors.tolist()):
        there = int(((table[:, column] == 1) & (labels[:, column] == 0)).sum())
        known = int((labels[:, column] == 1).sum())
        assert there == max(round(prior * IMAGES) - known, 0)
    method.end_epoch(Clock(4, 4), forbidden)
    assert torch.equal(method.pseudo.values, table)


def test_the_loss_is_asymmetric_over_decided_cells() -> None:
    labels = torch.tensor([[1, 0, -1], [0, 0, 0]], dtype=torch.int8)
    pseudo = torch.tensor([[0, 1, 0], [-1, 0, 1]], dtype=torch.int8)
    logits = np.array([[0.5, -1.2, 2.0], [0.3, 1.5, 0.1]])
    method = prepared(labels, positive_focus=1.0, negative_focus=2.0, shift=0.1)
    method.pseudo.values.copy_(pseudo)
    places = torch.tensor(logits, requires_grad=True)
    step = method.step(lambda images: places, make_batch(labels), Clock(3, 4))
    total, count = 0.0, 0
    for i in range(2):
        for j in range(3):
            state = labels[i, j] or pseudo[i, j]
            p = 1 / (1 + math.exp(-logits[i, j]))
            q = min(1 - p + 0.1, 1)
            prices = {1: -(1 - p) * math.log(p), -1: -((1 - q) ** 2) * math.log(q), 0: 0.0}
            total += prices[int(state)]
            count += int(state != 0)
    assert step.loss.item() == pytest.approx(total / count, rel=1e-9)
    assert step.suspects is not None
    assert step.suspects.tolist() == [[False, True, False], [False, False, True]]
    step.loss.backward()
    assert places.grad is not None and places.grad[1, 1] == 0


def test_a_stated_number_scales_the_priors() -> None:
    labels = labels_of()
    method = prepared(labels, expected_positives=1.5)
    method.end_epoch(Clock(2, 4), lambda: scores_of(labels))
    priors = method.expected.priors * 1.5 / method.expected.priors.sum()
    present = ((method.pseudo.values == 1) | (labels == 1)) & (labels != -1)
    assert present.sum(0).tolist() == [round(prior * IMAGES) for prior in priors.tolist()]
    assert (method.pseudo.values == 1).sum() > 20


def test_the_strong_view_is_learned_from_where_it_is_asked_for() -> None:
    assert build_method("quota").views == ("weak",)
    method = build_method("quota", preset="released")
    assert method.views == ("strong",) and method.hyperparameters()["warmup_epochs"] == 12
