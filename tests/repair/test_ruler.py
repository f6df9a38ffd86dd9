"""Evidence is taken where it helps to tell hidden known labels, and left out where it does not."""

from __future__ import annotations

import numpy as np
import torch

from tacit.repair import ruler
from tacit.repair.heads import draw_folds
from tacit.repair.ruler import find_company, find_neighbours, join_evidence

IMAGES = 1_500
SHARES = np.array([0.3, 0.15, 0.1])


def simulate() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, truth, the posterior of a weak score, a second score, and folds."""
    generator = np.random.default_rng(0)
    present = generator.random((IMAGES, 3)) < SHARES
    weak, second = generator.normal(1.0 * present), generator.normal(1.5 * present)
    labels = (present & (generator.random(present.shape) < 0.5)).astype(np.int8)
    labels[~present & (generator.random(present.shape) < 0.1)] = -1
    missed = SHARES * 0.5 * np.exp(weak - 0.5)
    posterior = (missed / (missed + 1 - SHARES)).astype(np.float32)
    return labels, present, posterior, second.astype(np.float32), draw_folds(IMAGES, 4)


def measure_order(scores: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Return how often a missed label is above an absent class, among unknown cells."""
    values, hits = scores[labels == 0], truth[labels == 0]
    ranks = np.empty(len(values))
    ranks[np.argsort(values)] = np.arange(len(values))
    positives = hits.sum()
    return float((ranks[hits].sum() - positives * (positives - 1) / 2) / positives / (~hits).sum())


def test_what_helps_is_taken_and_noise_is_not() -> None:
    labels, truth, posterior, second, folds = simulate()
    noise = np.random.default_rng(1).normal(size=second.shape).astype(np.float32)
    columns = {"noise": noise, "second": second, "against": -second}
    joined, gains = join_evidence(posterior, columns, labels, folds)
    assert {gain.name: gain.used for gain in gains} == {
        "second": True, "noise": False, "against": False,
    }  # fmt: skip
    assert gains[0].name == "second" and gains[0].gain > 3 * gains[0].error > 0
    before, after = (measure_order(s, labels, truth) for s in (posterior, joined))
    assert after > before + 0.05
    # Where nothing helps, all stays as it was.
    same, gains = join_evidence(posterior, {"noise": noise}, labels, folds)
    assert same is posterior and not gains[0].used


def test_a_sample_of_the_images_weighs_evidence_of_all(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    labels, _, posterior, second, folds = simulate()
    whole, _ = join_evidence(posterior, {"second": second}, labels, folds)
    monkeypatch.setattr(ruler, "RULED", 700)
    part, gains = join_evidence(posterior, {"second": second}, labels, folds)
    assert gains[0].used and part.shape == whole.shape
    assert np.corrcoef(part.ravel(), whole.ravel())[0, 1] > 0.99


def test_neighbours_are_like_an_image_and_of_other_folds() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [1.0, 0.05]])
    shares = np.eye(5, dtype=np.float32)
    found = find_neighbours(features, shares, np.array([0, 1, 0, 1, 0]))
    assert (found[[0, 2, 4]][:, [0, 2, 4]] == 0).all()  # nothing of their own fold
    assert found.argmax(1).tolist()[:4] == [1, 4, 3, 2] or found.argmax(1).tolist()[:4] == [
        1,
        0,
        3,
        2,
    ]
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_company_is_what_is_often_seen_together() -> None:
    generator = np.random.default_rng(0)
    street = generator.random(2_000) < 0.3
    posterior = np.stack([0.8 * street, 0.7 * street, 0.2 * ~street], 1).astype(np.float32)
    found = find_company(posterior, np.zeros(posterior.shape, np.int8))
    assert found[street][:, :2].min() > 0.5 > found[~street][:, :2].max()
