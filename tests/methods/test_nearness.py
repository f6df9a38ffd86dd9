"""Rejection by nearness to known positives, by lists and loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from tacit.errors import UsageError
from tacit.methods import build_method
from tacit.methods.nearness import contrast_classes
from tacit.methods.parts.noise import draw_uniform, number_cells
from tacit.types import Batch, Clock
from toys import annotations_of

CLASSES, LENGTH, IMAGES, BATCH = 3, 128, 24, 6
GENERATOR = np.random.default_rng(1)
LABELS = np.zeros((IMAGES, CLASSES), np.int8)
LABELS[np.arange(IMAGES), GENERATOR.integers(0, 2, IMAGES)] = 1  # of the last class none is known
LABELS[::5, 2] = -1
DIRECTIONS = GENERATOR.normal(size=(CLASSES, LENGTH))


def embed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    vectors = DIRECTIONS + 0.35 * generator.normal(size=(BATCH, CLASSES, LENGTH))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return generator.normal(size=(BATCH, CLASSES)), vectors


class Given:
    """A model that says what it is given."""

    def __init__(self, logits: np.ndarray, vectors: np.ndarray) -> None:
        self.found = torch.tensor(logits), torch.tensor(vectors)

    def embed(self, images: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.found


class Slow:
    """Banks as lists, means as lists of what was seen."""

    def __init__(self, size: int, least: float) -> None:
        self.size, self.least = size, least
        self.banks: list[list[np.ndarray]] = [[] for _ in range(CLASSES)]
        self.now: list[tuple[list[float], list[float]]] = [([], []) for _ in range(CLASSES)]
        self.before: list[list[float | None]] = [[None, None] for _ in range(CLASSES)]
        self.seen = 0

    def margins(self, j: int) -> tuple[float, float]:
        share, means = self.seen / IMAGES, []
        for which in (0, 1):
            cells, before = self.now[j][which], self.before[j][which]
            fresh = float(np.mean(cells)) if cells else None
            start = before if before is not None else (fresh or 0.0)
            means.append(share * (fresh if fresh is not None else start) + (1 - share) * start)
        margin = max(means[0], self.least)
        return min((means[1] + margin) / 2, margin - 1e-6), margin

    def step(self, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        near, chance = np.zeros((BATCH, CLASSES)), np.zeros((BATCH, CLASSES))
        for j in range(CLASSES):
            middle, margin = self.margins(j)
            for i in range(BATCH):
                if self.banks[j]:
                    near[i, j] = np.mean([vectors[i, j] @ each for each in self.banks[j]])
                    chance[i, j] = np.clip((near[i, j] - middle) / (margin - middle), 0, 1)
        for j in range(CLASSES):
            begun = bool(self.banks[j])
            for i, row in enumerate(rows):
                known = LABELS[row, j] == 1
                if begun:
                    self.now[j][0 if known else 1].append(near[i, j])
                if known:
                    self.banks[j] = [*self.banks[j], vectors[i, j]][-self.size :]
        self.seen += BATCH
        return near, chance

    def end_epoch(self) -> None:
        for j in range(CLASSES):
            for which in (0, 1):
                if self.now[j][which]:
                    self.before[j][which] = float(np.mean(self.now[j][which]))
        self.now = [([], []) for _ in range(CLASSES)]
        self.seen = 0


@pytest.mark.parametrize("size", [2, 5, 100])
def test_two_epochs_are_those_of_a_loop(size: int) -> None:
    method: Any = build_method(
        "cald", bank_size=size, least_margin=0.3, warmup_epochs=1, contrast_weight=0.0
    )
    method.setup(annotations_of(LABELS))
    method.double()
    slow, stream, beyond = Slow(size, 0.3), 0, 0
    for epoch in (1, 2):
        for first in range(0, IMAGES, BATCH):
            rows, stream = np.arange(first, first + BATCH), stream + 1
            logits, vectors = embed(100 * epoch + first)
            labels = LABELS[rows]
            batch = Batch(torch.tensor(rows), torch.tensor(labels), {"weak": torch.zeros(1)})
            step = method.step(Given(logits, vectors), batch, Clock(epoch, 2))
            near, chance = slow.step(rows, vectors)
            np.testing.assert_allclose(step.evidence["nearness"].numpy(), near, atol=1e-9)
            certain = (chance == 1) & (labels == 0)
            assert np.array_equal(step.suspects.numpy(), certain)
            beyond += int(certain.sum())
            drawn = draw_uniform(number_cells(torch.tensor(rows), CLASSES), stream).numpy()
            price = np.where(labels == 1, np.log1p(np.exp(-logits)), np.log1p(np.exp(logits)))
            kept = (labels != 0) | (drawn >= chance)
            assert step.terms["an"].item() == pytest.approx(price.mean())
            assert step.terms["rejection"].item() == pytest.approx(price[kept].mean())
            assert ("discovery" in step.terms) == (epoch == 2)
            if epoch == 2:
                found = np.where(certain, np.log1p(np.exp(-logits)), price)
                assert step.terms["discovery"].item() == pytest.approx(found.mean())
        method.end_epoch(Clock(epoch, 2), lambda: pytest.fail("no scores are needed"))
        slow.end_epoch()
    assert beyond > 5
    assert not method.arrived[2]


def test_the_contrast_is_that_of_a_loop_over_pairs() -> None:
    vectors = embed(3)[1]
    labels = np.array([[1, 0, 0], [1, 0, -1], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    drawn = draw_uniform(torch.arange(CLASSES * BATCH * BATCH), 7).view(CLASSES, BATCH, BATCH)
    alike, others = [], []
    for j in range(CLASSES):
        for a, b in itertools.combinations(range(BATCH), 2):
            cosine = float(vectors[a, j] @ vectors[b, j])
            if labels[a, j] == 1 and labels[b, j] == 1:
                alike.append(1 - cosine)
            else:
                others.append((1 + cosine, float(drawn[j, a, b])))
    pairs = len(alike)
    assert pairs == 4
    costly = sorted(range(len(others)), key=lambda k: -others[k][0])[:pairs]
    random = sorted(range(len(others)), key=lambda k: -others[k][1])[: 2 * pairs]
    taken = alike + [others[k][0] for k in {*costly, *random}]
    found = contrast_classes(torch.tensor(vectors), torch.tensor(labels), torch.tensor(7))
    assert found.item() == pytest.approx(np.mean(taken))


def test_without_a_pair_there_is_no_contrast() -> None:
    vectors = torch.tensor(embed(3)[1], requires_grad=True)
    labels = torch.eye(BATCH, CLASSES, dtype=torch.int8)
    contrast = contrast_classes(vectors, labels, torch.tensor(1))
    contrast.backward()
    assert contrast.item() == 0 and vectors.grad is not None and not vectors.grad.any()


def test_embeddings_of_another_length_are_refused() -> None:
    method: Any = build_method("cald")
    method.setup(annotations_of(LABELS))
    logits, vectors = embed(1)
    batch = Batch(torch.arange(BATCH), torch.tensor(LABELS[:BATCH]), {"weak": torch.zeros(1)})
    with pytest.raises(UsageError, match=r"embeddings of 128 numbers.*have 64; set model"):
        method.step(Given(logits, vectors[..., :64]), batch, Clock(1, 1))
