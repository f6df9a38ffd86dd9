"""Rejection by information gap from image to gradient, and against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.methods import build_method
from tacit.methods.gap_rejection import Ignore
from tacit.types import Batch, Clock
from toys import PatchModel, annotations_of, make_batch

Array = NDArray[np.float64]
LATE = Clock(4, 25)

IMAGES = [
    [[0.9, 0.8, -0.5, -0.6], [0.7, 1.0, -0.4, -0.2], [-0.3, 0.1, 1.5, 1.2], [-0.1, 0.2, 1.1, 1.4]],
    [
        [-0.6, -0.2, 0.3, 0.1],
        [-0.9, -0.4, 0.2, 0.5],
        [0.8, 0.6, -1.0, -0.7],
        [0.4, 0.9, -0.3, -0.8],
    ],
]
LABELS = [[1, 0, 0], [0, 0, 1]]
WEIGHT = [[1.5, -1.0], [2.5, 0.8], [-1.2, 1.4]]
BIAS = [-0.2, -0.9, 0.1]

# Computed in float64 by an independent implementation of the equations: the features of
# `PatchModel`, the strong view mirrored and times 0.9, decay 0.9, threshold 0.4, both weights 0.5.
MASKS = [
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1]],
    [[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]],
]
LOGITS = [[-0.015625, 1.010625, 0.3425], [-0.9125, 0.54875, 1.31125]]
GAP = [[0.1, 0.12625, 0.15125], [0.4375, 0.2975, 0.455]]
LOSS = 0.6758819503708149
WEIGHT_GRADIENT = [
    [-0.13709839410030172, -0.09881462792705223],
    [0.0014672200520833324, -0.00015686848958332972],
    [-0.028336219872452557, -0.13061977035613695],
]
BIAS_GRADIENT = [-0.20822041639495675, 0.0, -0.1227807785975542]
THRESHOLDS = [
    (0.02774999999999999, [-0.09124999999999997, 0.07796875, 0.03425]),
    (0.052725, [-0.173375, 0.148140625, 0.065075]),
]
CORRECTED = (0.2775, [-0.9125, 0.7796875, 0.3425])


def double(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def assert_close(actual: Tensor | None, expected: Any) -> None:
    torch.testing.assert_close(actual, double(expected), rtol=1e-7, atol=1e-12)


def ready(labels: Any, preset: str | None = None, **options: Any) -> Ignore:
    method = build_method("ignore", preset=preset, warmup_epochs=0, least_lift=0.0, **options)
    assert isinstance(method, Ignore)
    method.setup(annotations_of(labels))
    return method.double()


def two_images() -> tuple[PatchModel, Batch]:
    weak = double(IMAGES)[:, None]
    return PatchModel(WEIGHT, BIAS), make_batch(LABELS, weak=weak, strong=0.9 * weak.flip(3))


DECAYS = {"gap_decay": 0.9, "average_decay": 0.9}


def test_two_steps_from_image_to_gradient() -> None:
    model, batch = two_images()
    method = ready(LABELS, spbc_weight=0.5, bias_correction=False, **DECAYS)
    for tau, mu in THRESHOLDS:
        model.zero_grad()
        step = method.step(model, batch, LATE)
        step.loss.backward()
        masked = model.seen[-1]
        assert (masked != 0)[:, 0].int().tolist() == MASKS
        assert torch.equal(masked, batch["weak"] * double(MASKS)[:, None])
        assert_close(step.evidence["logit"], LOGITS)
        assert_close(step.evidence["gap"], GAP)
        assert_close(method.gap_average.current(), tau)
        assert_close(method.logit_average.current(), mu)
        assert_close(step.readings["tau"], tau)
        assert_close(step.readings["mu"], sum(mu) / 3)
        assert step.suspects is not None
        assert step.suspects.nonzero().tolist() == [[0, 1], [0, 2], [1, 1]]
        assert_close(step.loss, LOSS)
        assert_close(model.weight.grad, WEIGHT_GRADIENT)
        assert_close(model.bias.grad, BIAS_GRADIENT)


def test_bias_correction_gives_the_stationary_thresholds_at_once() -> None:
    model, batch = two_images()
    method = ready(LABELS, bias_correction=True, **DECAYS)
    for _ in range(2):
        step = method.step(model, batch, LATE)
        assert_close(method.gap_average.current(), CORRECTED[0])
        assert_close(method.logit_average.current(), CORRECTED[1])
        # The logit of the only unknown cell of a class equals its average, and rounding decides;
        # of such cells only (1, 0) has a gap above the threshold. Nothing else is a suspect.
        assert step.suspects is not None
        assert step.suspects.nonzero().tolist() in ([], [[1, 0]])


def loop_features(image: Array) -> Array:
    """Average both features over quarters, (2, 2, 2)."""
    features = np.zeros((2, 2, 2))
    for row in range(4):
        for column in range(4):
            value = image[row, column]
            features[0, row // 2, column // 2] += max(value, 0.0) / 4
            features[1, row // 2, column // 2] += max(1 - value, 0.0) / 4
    return features


def loop_maps(image: Array, weight: Array, bias: Array) -> Array:
    """Give a map for each class, (C, 2, 2)."""
    features = loop_features(image)
    maps = np.zeros((len(weight), 2, 2))
    for label in range(len(weight)):
        maps[label] = weight[label, 0] * features[0] + weight[label, 1] * features[1] + bias[label]
    return maps


def loop_enlarged(small: Array) -> Array:
    """Interpolate between pixel centres, 2 to 4 pixels a side."""
    large = np.zeros((4, 4))
    for row in range(4):
        for column in range(4):
            down, across = (max((place + 0.5) / 2 - 0.5, 0.0) for place in (row, column))
            top, left = int(down), int(across)
            bottom, right = min(top + 1, 1), min(left + 1, 1)
            upper = small[top, left] * (left + 1 - across) + small[top, right] * (across - left)
            lower = small[bottom, left] * (left + 1 - across)
            lower += small[bottom, right] * (across - left)
            large[row, column] = upper * (top + 1 - down) + lower * (down - top)
    return large


def minus_log(logit: float) -> float:
    return -math.log(1 / (1 + math.exp(-logit)) + 1e-5)


class LoopedRelease:
    """The arithmetic of the released code, cell by cell, one known object in each image."""

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.bias = weight, bias
        self.tau, self.mu = 0.0, np.zeros(len(weight))

    def masked(self, weak: Array, known: list[int], maps: list[Array]) -> Array:
        chosen = [maps[image][label] for image, label in enumerate(known)]
        scaled = np.zeros((len(weak), 2, 2))
        for row in range(2):
            for column in range(2):
                here = [one[row, column] for one in chosen]
                for image, value in enumerate(here):
                    scaled[image, row, column] = (value - min(here)) / max(here)
        return np.array(
            [one * (loop_enlarged(s) > 0.8) for one, s in zip(weak, scaled, strict=True)]
        )

    def step(self, weak: Array, strong: Array, known: list[int]) -> tuple[float, set[Any]]:
        images, classes = len(weak), len(self.weight)
        maps = [loop_maps(image, self.weight, self.bias) for image in weak]
        z = [[one[label].mean() for label in range(classes)] for one in maps]
        hidden = self.masked(weak, known, maps)
        z_strong, z_masked = (
            [
                [loop_maps(image, self.weight, self.bias)[label].mean() for label in range(classes)]
                for image in inputs
            ]
            for inputs in (strong, hidden)
        )
        gap = [[abs(z[i][j] - z_masked[i][j]) for j in range(classes)] for i in range(images)]
        of_known = sum(gap[i][known[i]] for i in range(images)) / images
        self.tau = 0.999 * self.tau + 0.001 * of_known
        for j in range(classes):
            self.mu[j] = 0.999 * self.mu[j] + 0.001 * sum(row[j] for row in z) / images
        rejected, costs, spbc, agreement = set(), [], 0.0, 0.0
        for i in range(images):
            spbc += minus_log(z[i][known[i]]) / images
            for j in range(classes):
                agreement += (z[i][j] - z_strong[i][j]) ** 2 / (images * classes)
                if j == known[i]:
                    costs.append(minus_log(z_strong[i][j]))
                elif z[i][j] > self.mu[j] and gap[i][j] > self.tau:
                    rejected.add((i, j))
                else:
                    costs.append(minus_log(-z_strong[i][j]))
        return 0.5 * spbc + sum(costs) / len(costs) + 0.5 * agreement, rejected


@pytest.mark.parametrize("seed", range(4))
def test_the_released_preset_is_the_released_arithmetic(seed: int) -> None:
    random = np.random.default_rng(seed)
    weight, bias = random.normal(size=(5, 2)), random.normal(size=5)
    model = PatchModel(torch.from_numpy(weight), torch.from_numpy(bias))
    looped = LoopedRelease(weight, bias)
    method = ready(np.eye(5), "released")
    ever_rejected, ever_hidden = False, False
    for _ in range(5):
        weak, strong = random.normal(size=(2, 6, 4, 4))
        known = random.integers(0, 5, 6).tolist()
        batch = make_batch(
            torch.eye(5)[known],
            weak=torch.from_numpy(weak)[:, None],
            strong=torch.from_numpy(strong)[:, None],
        )
        loss, rejected = looped.step(weak, strong, known)
        step = method.step(model, batch, LATE)
        assert step.loss.item() == pytest.approx(loss, rel=1e-9)
        assert step.suspects is not None
        assert {tuple(cell) for cell in step.suspects.nonzero().tolist()} == rejected
        assert method.gap_average.current().item() == pytest.approx(looped.tau, rel=1e-9)
        assert_close(method.logit_average.current(), looped.mu)
        ever_rejected |= bool(rejected)
        ever_hidden |= 0 < step.readings["visible"].item() < 1
    assert ever_rejected
    assert ever_hidden
