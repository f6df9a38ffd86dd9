"""The variational loss of positive and unlabelled images, by an implementation in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tacit.config import Config
from tacit.errors import UsageError
from tacit.methods import build_method
from tacit.training.checks import check_features
from tacit.types import Clock, Step
from toys import make_batch

LABELS = np.array([[1, 0, 0], [0, 1, -1], [1, 0, 0], [0, 0, 0], [0, -1, 0]])
LOGITS = np.random.default_rng(0).normal(size=(5, 3)) * [0.4, 2.0, 1.0]


def bound(
    logits: np.ndarray, scale: np.ndarray, weight: np.ndarray, reduction: str = "mean"
) -> float:
    """The loss without mixing; scale and weight are constants."""
    phi = 1 / (1 + np.exp(-logits / scale))
    terms = weight * np.log(phi.mean(0))
    for column in range(logits.shape[1]):
        known = LABELS[:, column] == 1
        if known.any():
            terms[column] -= np.log(phi[known, column]).mean()
    absent = -np.log(1 - 1 / (1 + np.exp(-logits)))[LABELS == -1].mean()
    return float((terms.mean() if reduction == "mean" else terms.sum()) + absent)


def constants(alpha: float, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    scale = np.minimum(1, alpha * LOGITS.std(0))
    return scale, (1 / (1 + np.exp(-LOGITS / scale))).mean(0) ** gamma


def take(**options: Any) -> tuple[Step, np.ndarray]:
    logits = torch.tensor(LOGITS, requires_grad=True)
    method = build_method("pumlc", **options)
    step = method.step(lambda images: logits, make_batch(LABELS), Clock(1, 1))
    step.loss.backward()
    assert logits.grad is not None
    return step, logits.grad.numpy()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 0.55), (2.0, 0.85), (0.5, 0.0)])
def test_value_and_gradient(alpha: float, gamma: float, reduction: str) -> None:
    options = {"temperature": alpha, "balance": gamma, "reduction": reduction}
    step, gradient = take(**options)
    scale, weight = constants(alpha, gamma)
    assert step.loss.item() == pytest.approx(bound(LOGITS, scale, weight, reduction), rel=1e-7)
    for place in np.ndindex(*LOGITS.shape):
        moved = [LOGITS.copy() for _ in range(2)]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        up, down = (bound(each, scale, weight, reduction) for each in moved)
        assert gradient[place] == pytest.approx((up - down) / 2e-5, abs=1e-6)


def test_a_batch_that_is_all_alike_is_not_blown_up() -> None:
    logits = torch.full((4, 1), 0.3, requires_grad=True)
    method: Any = build_method("pumlc")
    assert method.find_scale(logits).item() == pytest.approx(0.01)
    step = method.step(lambda images: logits, make_batch([[1], [0], [0], [-1]]), Clock(1, 1))
    step.loss.backward()
    assert step.loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_mixed_images_should_be_what_their_parts_are() -> None:
    """A model that is one number an image; the share that was drawn is read off the mixture."""
    images = torch.tensor([0.2, -0.4, 1.0, 0.6, 5.0], dtype=torch.float64).view(5, 1, 1, 1)
    labels = [[1], [0], [0], [0], [0]]
    seen: list[torch.Tensor] = []

    def model(shown: torch.Tensor) -> torch.Tensor:
        seen.append(shown)
        return shown.flatten(1)

    torch.manual_seed(0)
    method = build_method("pumlc", mixup_weight=2.0)
    step = method.step(model, make_batch(labels, weak=images), Clock(1, 1))
    mixed = seen[1].flatten().numpy()
    share = (mixed[0] - 1.0) / (0.2 - 1.0)
    assert 0 <= share <= 1 and mixed[1] == pytest.approx(share * -0.4 + (1 - share) * 0.6)
    p = 1 / (1 + np.exp(-images.flatten().numpy()))
    target = share * np.array([1, p[1]]) + (1 - share) * p[2:4]
    expected = ((np.log(target) + np.log1p(np.exp(-mixed))) ** 2).mean()
    assert step.terms["mixup"].item() == pytest.approx(2 * expected, rel=1e-6)


def test_only_mixing_refuses_stored_features() -> None:
    phases = [{"freeze": ["trunk"], "features": "pooled"}]
    config = Config.model_validate({"phases": phases, "method": {"name": "pumlc"}})
    check_features(config, build_method("pumlc"))
    with pytest.raises(UsageError, match="'pumlc' shows the model images of its own making"):
        check_features(config, build_method("pumlc", preset="released"))
