"""Expected negatives and consistency, by a loop over images and classes."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from tacit.methods import build_method
from tacit.types import Batch, Clock
from toys import annotations_of

LABELS = np.array([[1, 0], [0, 1], [0, 0], [-1, 0], [0, 0], [1, 0]], dtype=np.int8)
LOGITS = np.random.default_rng(2).normal(size=(3, 6, 2))


def forbidden() -> NoReturn:
    raise AssertionError("the averages are all it looks at")


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


class Slow:
    """Does with dictionaries what the method does with tables."""

    def __init__(self) -> None:
        self.running: dict[tuple[int, int], float] = {}
        self.least = [math.inf, math.inf]

    def step(self, rows: list[int], logits: np.ndarray, momentum: float) -> tuple[float, float]:
        losses, distances = [], []
        for place, i in enumerate(rows):
            for j in range(2):
                p = sigmoid(logits[place, j])
                before = self.running.get((i, j))
                if LABELS[i, j] == 1:
                    losses.append(-math.log(p))
                elif LABELS[i, j] == -1 or before is None or before < self.least[j]:
                    losses.append(-math.log(1 - p))
                if before is not None:
                    distances.append((p - before) ** 2)
                self.running[i, j] = p if before is None else momentum * before + (1 - momentum) * p
        return sum(losses) / len(losses), sum(distances) / max(len(distances), 1)

    def end_epoch(self, priors: list[float]) -> None:
        for j in range(2):
            free = [self.running[i, j] for i in range(6) if LABELS[i, j] == 0]
            count = round(priors[j] * 6) - sum(LABELS[:, j] == 1)
            self.least[j] = sorted(free)[-count] if count > 0 else math.inf


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_three_epochs_are_those_of_a_loop(momentum: float) -> None:
    method: Any = build_method("scl", momentum=momentum, expected_positives=1.2)
    method.setup(annotations_of(LABELS))
    slow = Slow()
    rejected = 0
    for epoch in range(3):
        for rows in ([0, 1, 2], [3, 4, 5]):
            logits = torch.tensor(LOGITS[epoch][rows])
            labels = torch.tensor(LABELS[rows])
            batch = Batch(torch.tensor(rows), labels, {"weak": torch.zeros(3, 1)})
            step = method.step(lambda images, found=logits: found, batch, Clock(epoch + 1, 3))
            expected, distance = slow.step(rows, LOGITS[epoch][rows], momentum)
            assert step.terms["expected_negatives"].item() == pytest.approx(expected, abs=1e-6)
            assert step.terms["consistency"].item() == pytest.approx(distance, abs=1e-6)
            rejected += int(step.suspects.sum())
        method.end_epoch(Clock(epoch + 1, 3), forbidden)
        priors = method.expected.priors * 1.2 / method.expected.priors.sum()
        slow.end_epoch(priors.tolist())
        assert method.least.tolist() == pytest.approx(slow.least, rel=1e-5)
    assert rejected, "nothing was left out, and the comparison says little"


def test_images_from_elsewhere_are_scored_by_the_model_alone() -> None:
    method: Any = build_method("scl", expected_positives=1.2)
    method.setup(annotations_of(LABELS))
    method.running.values.fill_(0.9)
    method.least.fill_(0.5)
    logits = torch.zeros(2, 2)
    batch = Batch(torch.tensor([2, -1]), torch.zeros(2, 2, dtype=torch.int8), {"weak": logits})
    model = torch.nn.Identity()
    found = method.judge(model, batch)
    assert found.score.tolist() == pytest.approx(np.array([[0.9, 0.9], [0.5, 0.5]]))
    assert found.suspects.tolist() == [[True, True], [False, False]]
