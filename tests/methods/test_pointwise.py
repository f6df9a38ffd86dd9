"""Methods that look at each cell on its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.errors import UsageError
from tacit.methods import build_method
from tacit.types import Clock
from toys import ScriptedModel, Table, annotations_of, make_batch

LOGITS = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]]
OBSERVED = [[1, 0, 0, 0], [0, 0, 1, 0]]
FULL = [[1, -1, 1, -1], [-1, 1, 1, -1]]
THREE_STATES = [[1, -1, 0, 0], [0, 0, 1, -1]]
CLOCK = Clock(1, 10)

# Computed in float64 by an independent implementation of the equations; with epsilon the
# functions released with the literature give the same. Gradients of the exact loss worked by
# hand: (sigmoid of the logit - target) / 8.
REFERENCES = [
    ("an", OBSERVED, 1e-5, 0.7800508492448474),
    ("an", OBSERVED, 0.0, 0.7800795788503043),
    ("bce", FULL, 1e-5, 0.34256523898428537),
    ("bce", FULL, 0.0, 0.3425795788503043),
]


@pytest.mark.parametrize(("name", "labels", "epsilon", "value"), REFERENCES)
def test_value_and_gradient(name: str, labels: Table, epsilon: float, value: float) -> None:
    method = build_method(name, epsilon=epsilon)
    method.setup(annotations_of(labels))
    model = ScriptedModel(LOGITS, LOGITS, LOGITS)
    step = method.step(model, make_batch(labels), CLOCK)
    step.loss.backward()
    assert list(step.terms) == ["bce"]
    assert step.loss.item() == pytest.approx(value, rel=1e-9)
    expected = (model.weak.sigmoid() - (torch.tensor(labels) == 1).double()) / 8
    tolerance = 1e-7 if epsilon == 0 else 1e-4
    torch.testing.assert_close(model.weak.grad, expected, rtol=tolerance, atol=0)


def test_a_known_negative_costs_what_an_assumed_one_does() -> None:
    losses = [
        build_method("an").step(ScriptedModel(LOGITS, LOGITS, LOGITS), make_batch(labels), CLOCK)
        for labels in (OBSERVED, [[1, -1, 0, -1], [0, 0, 1, -1]])
    ]
    assert losses[0].loss.item() == losses[1].loss.item()


@pytest.mark.parametrize(("strong_view", "view"), [(False, "weak"), (True, "strong")])
@pytest.mark.parametrize("name", ["an", "bce"])
def test_the_view_is_the_one_asked_for(name: str, strong_view: bool, view: str) -> None:
    method = build_method(name, strong_view=strong_view)
    assert method.views == (view,)
    inputs = {"weak": torch.zeros(2, 3, 4, 4), "strong": torch.ones(2, 3, 4, 4)}
    seen = []

    def model(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return torch.zeros(2, 4, requires_grad=True)

    method.step(model, make_batch(FULL, **inputs), CLOCK)
    assert len(seen) == 1
    assert torch.equal(seen[0], inputs[view])


def test_nothing_is_suspicious_and_logits_are_shown() -> None:
    model = ScriptedModel(LOGITS, LOGITS, LOGITS)
    step = build_method("an").step(model, make_batch(OBSERVED), CLOCK)
    assert step.suspects is None
    assert not step.evidence["logit"].requires_grad
    assert step.evidence["logit"].tolist() == LOGITS


def test_full_labels_refuses_unknown_cells_and_counts_them() -> None:
    method = build_method("bce")
    assert method.labels == "full"
    method.setup(annotations_of(FULL))
    with pytest.raises(UsageError, match="6 of 8 cells are unknown.*'an'"):
        method.setup(annotations_of(OBSERVED))


def test_assume_negative_takes_any_labels() -> None:
    method = build_method("an")
    assert method.labels == "observed"
    for labels in (OBSERVED, FULL):
        method.setup(annotations_of(labels))


def loss_and_gradient(name: str, labels: Table, **options: Any) -> tuple[float, Tensor]:
    """Take one step from the same logits as everywhere here."""
    model = ScriptedModel(LOGITS, LOGITS, LOGITS)
    loss = build_method(name, **options).step(model, make_batch(labels), CLOCK).loss
    loss.backward()
    assert model.weak.grad is not None
    return loss.item(), model.weak.grad


def losses_of(logit: float) -> tuple[float, float]:
    """Work out what one cell costs if it is present, and if it is absent."""
    return math.log1p(math.exp(-logit)), math.log1p(math.exp(logit))


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
@pytest.mark.parametrize("labels", [OBSERVED, THREE_STATES])
@pytest.mark.parametrize(
    ("name", "options"), [("wan", {"weight": 1.0}), ("an_ls", {"smoothing": 0.0})]
)
def test_without_its_hyperparameter_it_is_assume_negative(
    name: str, options: dict[str, float], labels: Table, epsilon: float
) -> None:
    loss, gradient = loss_and_gradient(name, labels, epsilon=epsilon, **options)
    expected = loss_and_gradient("an", labels, epsilon=epsilon)
    assert loss == pytest.approx(expected[0], rel=1e-12)
    torch.testing.assert_close(gradient, expected[1], rtol=1e-12, atol=1e-15)


def test_weak_negatives_weigh_as_much_as_the_positive_and_known_ones_in_full() -> None:
    present, absent = losses_of(0.5)[0], [losses_of(logit)[1] for logit in LOGITS[0][1:]]
    method = build_method("wan")
    only = ScriptedModel(LOGITS[:1], None, LOGITS[:1])
    assumed = method.step(only, make_batch([[1, 0, 0, 0]]), CLOCK).loss.item()
    assert assumed == pytest.approx((present + sum(absent) / 3) / 4, rel=1e-9)
    known = method.step(only, make_batch([[1, -1, 0, 0]]), CLOCK).loss.item()
    assert known == pytest.approx((present + absent[0] + (absent[1] + absent[2]) / 3) / 4, rel=1e-9)


def test_weak_negatives_of_a_single_class_weigh_one() -> None:
    step = build_method("wan").step(
        ScriptedModel([[0.3], [0.7]], None, [[0.0]]), make_batch([[0], [1]]), CLOCK
    )
    expected = (losses_of(0.3)[1] + losses_of(0.7)[0]) / 2
    assert step.loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["an", "wan", "iu", "iun", "em"])
def test_known_negatives_are_pushed_down_at_full_strength(name: str) -> None:
    _, gradient = loss_and_gradient(name, THREE_STATES)
    # The derivative of the exact negative loss is the probability, over eight cells.
    for row, column in ((0, 1), (1, 3)):
        expected = 1 / (1 + math.exp(-LOGITS[row][column])) / 8
        assert gradient[row, column].item() == pytest.approx(expected, rel=1e-9)


def test_entropy_pulls_unknown_cells_to_the_middle_from_both_sides() -> None:
    places = torch.linspace(-6, 6, 25, dtype=torch.float64)
    model = ScriptedModel(places[None], None, places[None])
    method = build_method("em", weight=0.2)
    method.step(model, make_batch(torch.zeros(1, 25)), CLOCK).loss.backward()
    assert model.weak.grad is not None
    gradient = model.weak.grad[0] * 25
    assert gradient[12].item() == 0
    torch.testing.assert_close(gradient, -gradient.flip(0), rtol=1e-9, atol=1e-15)
    probability = places.sigmoid()
    expected = 0.2 * probability * (1 - probability) * places
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["iu", "iun"])
def test_unknown_cells_have_no_say_and_may_be_left_out_of_the_mean(name: str) -> None:
    over_all, gradient = loss_and_gradient(name, THREE_STATES)
    over_known, _ = loss_and_gradient(name, THREE_STATES, average_over="known")
    assert not gradient[torch.tensor(THREE_STATES) == 0].any()
    assert over_known == pytest.approx(2 * over_all, rel=1e-12)  # four of eight are known


@pytest.mark.parametrize(
    ("name", "remedy"), [("iu", "data.negatives = 1"), ("iun", 'data.labels = "true_negatives"')]
)
def test_methods_that_live_on_known_negatives_refuse_to_do_without(name: str, remedy: str) -> None:
    method = build_method(name)
    method.setup(annotations_of(THREE_STATES))
    with pytest.raises(UsageError, match="labels hold none") as refused:
        method.setup(annotations_of(OBSERVED))
    assert remedy in str(refused.value)


def test_the_smoothed_bound_refuses_unknown_cells_too() -> None:
    with pytest.raises(UsageError, match="6 of 8 cells are unknown"):
        build_method("bce_ls").setup(annotations_of(OBSERVED))
