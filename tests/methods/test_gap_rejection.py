"""Rejection by information gap: worked values, thresholds, and what may never be rejected."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.losses import assumed_negative
from tacit.methods import build_method, gap_rejection
from tacit.methods.gap_rejection import Ignore
from tacit.methods.parts.cam import Salient
from tacit.types import Clock, Step
from toys import PatchModel, ScriptedModel, Table, annotations_of, make_batch

WEAK = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]]
STRONG = [[0.2, -0.9, 1.1, -0.4], [-1.0, 0.7, 0.9, -1.6]]
MASKED = [[0.3, -1.3, -1.0, -0.2], [-0.9, -0.7, -0.2, -2.3]]
OBSERVED = [[1, 0, 0, 0], [0, 0, 1, 0]]
PARTIAL = [[1, 0, 0, -1], [0, 0, 0, 0]]
TAU = 0.25
MU = [-1.0, 1.6, -0.2, -1.0]
RELEASED_WEIGHTS = {"spbc_weight": 0.5, "consistency_weight": 0.5, "epsilon": 1e-5}
LATE = Clock(4, 25)
CLOSE = {"rtol": 1e-7, "atol": 1e-12}
PRESETS = [None, "paper", "released", "robust"]


def ready(labels: Table | Tensor, preset: str | None = None, **options: Any) -> Ignore:
    """Build the method in double precision, with classes but before its first batch."""
    at_once = {"warmup_epochs": 3, "least_lift": 0.0}
    method = build_method("ignore", preset=preset, **{**at_once, **options})
    assert isinstance(method, Ignore)
    method.setup(annotations_of(labels))
    return method.double()


def with_thresholds(
    labels: Table | Tensor, tau: float = TAU, mu: Any = MU, **options: Any
) -> Ignore:
    """Build the method with averages that stay where they are."""
    still = {"bias_correction": False, "gap_decay": 1.0, "average_decay": 1.0}
    method = ready(labels, **{**still, **options})
    method.gap_average.value.fill_(tau)
    method.logit_average.value.copy_(torch.as_tensor(mu))
    return method


def cells(suspects: Tensor | None) -> list[list[int]]:
    assert suspects is not None
    return suspects.nonzero().tolist()


def assert_gradient(parameter: Tensor | None, expected: Table) -> None:
    assert parameter is not None
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(parameter.grad, wanted, **CLOSE)  # type: ignore[arg-type]


# Computed in float64 by an independent implementation of the equations; the functions released
# with the literature, by both papers of the authors, give the same: the value, the rejected
# cells, and the gradient by the logits of the strong view.
REFERENCES: dict[str, tuple[dict[str, Any], float, Table, Table]] = {
    "after the warm-up": (
        {},
        0.9319227030740582,
        [[0, 2]],
        [
            [-0.10180825936127053, 0.0787923473907978, -0.1125, 0.04482937668557866],
            [0.013419677517986318, -0.004547480678861668, 0.05870765260920219, 0.09899708513216589],
        ],
    ),
    "during the warm-up": (
        {"warmup_epochs": 4},
        1.0447329798120109,
        [],
        [
            [
                -0.09376972694111171,
                0.07363080396694807,
                -0.018721241857781498,
                0.03766320459988133,
            ],
            [0.00861721782823803, -0.016479045594003955, 0.06386919603305191, 0.09599744949064515],
        ],
    ),
    "without the average threshold": (
        {"average_threshold": False},
        0.8288655628308429,
        [[0, 2], [1, 1]],
        [
            [-0.11252630258814894, 0.0856744052892641, -0.1125, 0.05438427279984177],
            [0.019822957104317376, -0.1, 0.05182559471073589, 0.10299659932086021],
        ],
    ),
}
# All three have the same gradient by the logits of the weak view.
WEAK_GRADIENT = [
    [-0.056883650897246944, -0.0375, 0.1125, 0.0125],
    [0.025, 0.1, -0.2187529410798083, -0.075],
]


@pytest.mark.parametrize(
    ("options", "value", "rejected", "gradient"), REFERENCES.values(), ids=REFERENCES.keys()
)
def test_value_and_gradients_are_the_literatures(
    options: dict[str, Any], value: float, rejected: list[list[int]], gradient: Table
) -> None:
    model = ScriptedModel(WEAK, STRONG, MASKED)
    method = with_thresholds(OBSERVED, **RELEASED_WEIGHTS, **options)
    step = method.step(model, make_batch(OBSERVED), LATE)
    step.loss.backward()
    assert step.loss.item() == pytest.approx(value, rel=1e-9)
    assert cells(step.suspects) == rejected
    assert_gradient(model.weak, WEAK_GRADIENT)
    assert_gradient(model.strong, gradient)
    assert model.masked.grad is None
    gap = [[0.2, 0.1, 3.0, 0.1], [0.1, 2.2, 0.3, 0.1]]
    torch.testing.assert_close(step.evidence["gap"], torch.tensor(gap, dtype=torch.float64))


def hide_nothing(images: Tensor, *_: Any, **__: Any) -> Salient:
    whole = torch.ones(len(images), *images.shape[-2:], dtype=torch.bool)
    return Salient(images, whole, located=whole.all((1, 2)))


def test_partial_rows_cost_what_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    # Computed in float64 by an independent implementation of the equations, with the second row
    # open to rejection although it has no known object: hence every row counts as located here.
    monkeypatch.setattr(gap_rejection, "keep_salient", hide_nothing)
    model = ScriptedModel(WEAK, STRONG, MASKED)
    method = with_thresholds(PARTIAL, **RELEASED_WEIGHTS)
    step = method.step(model, make_batch(PARTIAL), LATE)
    step.loss.backward()
    assert step.loss.item() == pytest.approx(0.9132890733909624, rel=1e-9)
    assert cells(step.suspects) == [[0, 2], [1, 2]]
    weak = [[-0.15126730179449388, -0.0375, 0.1125, 0.0125], [0.025, 0.1, -0.1, -0.075]]
    strong = [
        [-0.11252630258814894, 0.0856744052892641, -0.1125, 0.05438427279984177],
        [0.019822957104317376, 0.011361272541328057, 0.1, 0.10299659932086021],
    ]
    assert_gradient(model.weak, weak)
    assert_gradient(model.strong, strong)


def test_a_row_without_a_known_object_loses_nothing() -> None:
    # As above, but the row was never masked, so its cell (1, 2) is kept: worked by hand, the mean
    # over 6 kept cells becomes one over 7, with -log(1 - sigmoid(0.9) + epsilon) added.
    method = with_thresholds(PARTIAL, **RELEASED_WEIGHTS)
    step = method.step(ScriptedModel(WEAK, STRONG, MASKED), make_batch(PARTIAL), LATE)
    added = -math.log(1 / (1 + math.exp(0.9)) + 1e-5)
    others = (step.terms["spbc"] + step.terms["consistency"]).item()
    expected = others + ((0.9132890733909624 - others) * 6 + added) / 7
    assert cells(step.suspects) == [[0, 2]]
    assert step.loss.item() == pytest.approx(expected, rel=1e-9)


def test_a_map_that_points_nowhere_keeps_its_row_out() -> None:
    model = ScriptedModel(WEAK, STRONG, MASKED, pointless=[0])
    method = ready(OBSERVED, bias_correction=False, average_threshold=False, warmup_epochs=0)
    step = method.step(model, make_batch(OBSERVED), LATE)
    # Worked by hand: the known gap of row 1 alone, 0.001 * 0.3; every gap of that row is larger.
    assert method.gap_average.current().item() == pytest.approx(0.0003, rel=1e-9)
    assert cells(step.suspects) == [[1, 0], [1, 1], [1, 3]]


@pytest.mark.parametrize(
    ("scope", "mu"),
    [
        # Worked by hand: 0.001 times the column means, over all cells and over unknown ones.
        ("all", [-0.00015, 0.00015, 0.00105, -0.00125]),
        ("unknown", [-0.0008, 0.00015, 0.002, -0.00125]),
    ],
)
def test_one_step_moves_both_averages(scope: str, mu: list[float]) -> None:
    method = ready(OBSERVED, bias_correction=False, average_scope=scope)
    method.step(ScriptedModel(WEAK, STRONG, MASKED), make_batch(OBSERVED), Clock(1, 25))
    # Worked by hand: 0.001 * mean(0.2, 0.3).
    assert method.gap_average.current().item() == pytest.approx(0.00025, rel=1e-9)
    torch.testing.assert_close(
        method.logit_average.current(), torch.tensor(mu, dtype=torch.float64), rtol=1e-9, atol=0
    )


def rejecting_only(labels: Table, tau: float, mu: list[float]) -> tuple[ScriptedModel, Step]:
    model = ScriptedModel(WEAK, WEAK, MASKED)
    method = with_thresholds(labels, tau, mu, spbc_weight=0, consistency_weight=0)
    return model, method.step(model, make_batch(labels), LATE)


def test_a_threshold_out_of_reach_leaves_assume_negative() -> None:
    _, step = rejecting_only(OBSERVED, math.inf, MU)
    logits = torch.tensor(WEAK, dtype=torch.float64)
    expected = assumed_negative(logits, torch.tensor(OBSERVED), 1e-5).mean()
    assert list(step.terms) == ["ignore"]
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_thresholds_below_everything_leave_the_known_positives() -> None:
    _, step = rejecting_only(OBSERVED, -1.0, [-math.inf] * 4)
    assert step.suspects is not None
    assert torch.equal(step.suspects, torch.tensor(OBSERVED) == 0)
    # Worked by hand: the mean of -log(sigmoid(0.5) + 1e-5) and -log(sigmoid(0.1) + 1e-5).
    known = [-math.log(1 / (1 + math.exp(-logit)) + 1e-5) for logit in (0.5, 0.1)]
    assert step.loss.item() == pytest.approx(sum(known) / 2, rel=1e-12)


def test_known_cells_are_never_rejected_and_known_negatives_always_cost() -> None:
    labels = [[1, 0, -1, 0], [0, -1, 1, 0]]
    model, step = rejecting_only(labels, -1.0, [-math.inf] * 4)
    assert cells(step.suspects) == [[0, 1], [0, 3], [1, 0], [1, 3]]
    step.loss.backward()
    assert model.strong is not None and model.strong.grad is not None
    assert (model.strong.grad[torch.tensor(labels) == -1] > 0.1).all()
    assert (model.strong.grad[torch.tensor(labels) == 0] == 0).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_suspects_a_known_cell(preset: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 2, (40, 5), generator=generator)
    weak, strong, masked = torch.randn(3, 40, 5, generator=generator).mul(3).double()
    method = ready(labels, preset, warmup_epochs=0)
    step = method.step(
        ScriptedModel(weak.tolist(), strong.tolist(), masked.tolist()), make_batch(labels), LATE
    )
    assert step.suspects is not None
    assert step.suspects.any()
    assert not step.suspects[labels != 0].any()


@pytest.mark.parametrize("preset", PRESETS)
def test_cells_of_an_image_without_a_positive_are_rejected_as_released(preset: str | None) -> None:
    """Its masked view is the image itself, but in training mode the logits differ."""
    labels = [[1, 0, 0, 0], [0, 0, 0, 0]]
    method = ready(labels, preset, warmup_epochs=0)
    step = method.step(ScriptedModel(WEAK, STRONG, MASKED), make_batch(labels), LATE)
    of_the_second = [column for row, column in cells(step.suspects) if row == 1]
    if preset != "released":
        assert of_the_second == []
        return
    gap, tau, mu = (step.evidence["gap"], method.gap_average, method.logit_average)
    over = (gap[1] > tau.current()) & (step.evidence["logit"][1] > mu.current())
    assert of_the_second == over.nonzero().flatten().tolist() and of_the_second


def test_rejection_does_not_depend_on_the_weights_of_the_companions() -> None:
    found = []
    for weight in (0.0, 0.1, 10.0):
        method = with_thresholds(OBSERVED, spbc_weight=weight, consistency_weight=weight)
        step = method.step(ScriptedModel(WEAK, STRONG, MASKED), make_batch(OBSERVED), LATE)
        found.append((cells(step.suspects), step.terms["ignore"].item()))
    assert found[0] == found[1] == found[2]
    assert found[0][0] == [[0, 2]]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_masked_pass_builds_no_graph(preset: str | None) -> None:
    model = ScriptedModel(WEAK, STRONG, MASKED)
    step = ready(OBSERVED, preset).step(model, make_batch(OBSERVED), LATE)
    assert model.graph_wanted == [True, True, False]
    assert not any(
        value.requires_grad for value in (*step.evidence.values(), *step.readings.values())
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_hundred_batches_without_a_positive(preset: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    model = PatchModel(torch.randn(5, 2, generator=generator), torch.zeros(5))
    labels = torch.zeros(3, 5)
    method = ready(labels, preset, warmup_epochs=0)
    for _ in range(100):
        images = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
        batch = make_batch(labels, weak=images, strong=images.flip(3))
        step = method.step(model, batch, LATE)
        step.loss.backward()
        assert step.loss.isfinite()
        assert cells(step.suspects) == []
    assert method.gap_average.value.item() == 0
    assert method.gap_average.updates.item() == 0
    assert method.logit_average.updates.tolist() == [100] * 5
    assert method.logit_average.current().isfinite().all()
    assert model.weight.grad is not None and model.weight.grad.isfinite().all()
