"""Running a model over images, and the scores of what it says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tacit.devices import autocast
from tacit.evaluation.evaluate import predict, score
from tacit.types import Batch

CPU = torch.device("cpu")


class Bright(nn.Module):
    """Says of each image its mean pixel, times one factor per class."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.modes: list[tuple[bool, bool]] = []

    def normalise(self, pixels: Tensor) -> Tensor:
        assert pixels.dtype == torch.uint8
        return pixels.float() / 100

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append((self.training, torch.is_grad_enabled()))
        return (images.mean((1, 2, 3))[:, None] @ self.factors[None]).to(images.dtype)


def make_batches(*groups: tuple[int, ...]) -> Iterator[Batch]:
    """Return batches of rows; each image's pixels are its row."""
    for rows in groups:
        index = torch.tensor(rows)
        pixels = index.view(-1, 1, 1, 1).expand(-1, 3, 2, 2).to(torch.uint8)
        yield Batch(index, torch.zeros(len(rows), 2, dtype=torch.int8), {"plain": pixels})


def test_probabilities_come_in_the_order_of_the_rows() -> None:
    probabilities = predict(Bright(), make_batches((4, 0), (2, 1), (3,)), CPU)
    logits = np.arange(5)[:, None] / 100 * np.array([1.0, -2.0])
    assert probabilities.dtype == np.float32 and probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_asked_as_at_inference_and_left_as_it_was(training: bool) -> None:
    model = Bright().train(training)
    predict(model, make_batches((0, 1), (2,)), CPU)
    assert model.modes == [(False, False)] * 2
    assert model.training == training
    assert model.factors.grad is None


def test_half_precision_ends_at_the_logits() -> None:
    class Linear(Bright):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 2)

        def forward(self, images: Tensor) -> Tensor:
            logits = self.layer(images.flatten(1))
            assert logits.dtype == torch.bfloat16
            return logits

    probabilities = predict(Linear(), make_batches((0, 1)), CPU, "bf16")
    assert probabilities.dtype == np.float32


def test_precision_is_what_was_asked_for() -> None:
    layer, values = nn.Linear(2, 2), torch.ones(1, 2)
    with autocast(CPU, "fp32"):
        assert layer(values).dtype == torch.float32
    with autocast(CPU, "bf16"):
        assert layer(values).dtype == torch.bfloat16
    assert layer(values).dtype == torch.float32


# Four images, four classes, best first within each class:
# sun: 1 0 1 0 -> (1/1 + 2/3) / 2 = 5/6. moon: 0 1 -> 1/2. star: nobody -> 0. car: all four -> 1.
PROBABILITIES = np.array(
    [
        [0.9, 0.8, 0.1, 0.6],
        [0.7, 0.6, 0.2, 0.7],
        [0.4, 0.3, 0.3, 0.8],
        [0.2, 0.1, 0.4, 0.9],
    ],
    dtype=np.float32,
)
POSITIVE = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1]])
CLASSES = ("sun", "moon", "star", "car")


@pytest.mark.parametrize("rest", [0, -1])
def test_scores_are_those_of_a_hand_count(rest: int) -> None:
    labels = np.where(POSITIVE == 1, 1, rest).astype(np.int8)
    scores = score(PROBABILITIES, labels, CLASSES)
    assert scores.per_class == pytest.approx({"sun": 250 / 3, "moon": 50, "star": 0, "car": 100})
    assert scores.map == pytest.approx((250 / 3 + 150) / 4)
    assert (scores.classes_scored, scores.n_images) == (3, 4)
    # At 0.5: sun is said of images 0 and 1 (one right of two), moon of 0 and 1 (one right of one),
    # car of all. Pooled: 6 of 8 said, 6 of 7 there. Means: P (1/2 + 1/2 + 0 + 1) / 4 = 1/2,
    # R (1/2 + 1 + 0 + 1) / 4 = 5/8.
    assert scores.of1 == pytest.approx(100 * 2 * (6 / 8) * (6 / 7) / (6 / 8 + 6 / 7))
    assert scores.cf1 == pytest.approx(100 * 2 * (1 / 2) * (5 / 8) / (1 / 2 + 5 / 8))
    # The three best of each image leave out star, star, one of moon and star, and moon: all that
    # is there is among them, 2 + 2 + 2 + 1 of 12.
    assert scores.precision_at_3 == pytest.approx(100 * 7 / 12)
    assert scores.recall_at_3 == pytest.approx(100)


def test_two_classes_are_enough() -> None:
    labels = POSITIVE[:, [0, 3]].astype(np.int8)
    scores = score(PROBABILITIES[:, [0, 3]], labels, ("sun", "car"))
    assert scores.precision_at_3 == pytest.approx(100 * 6 / 8)  # of two, as there are no three
    assert list(scores.per_class) == ["sun", "car"]
