"""Losses that doubt the negatives: where they push, where they stop, and when they change."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.errors import UsageError
from tacit.methods import build_method
from tacit.types import Clock, Step
from toys import Table, make_batch

EPOCHS = 8
LATE = Clock(EPOCHS, EPOCHS)
# Probabilities from rare to certain, one row of unknown cells.
PROBABILITIES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
LOGITS = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]]
THREE_STATES = [[1, -1, 0, 0], [0, 0, 1, -1]]


def take(
    name: str, logits: Table | Tensor, labels: Table | Tensor, epoch: int = 5, **options: Any
) -> tuple[Step, Tensor]:
    """Take one step and return it with the gradient on the logits."""
    places = torch.as_tensor(logits, dtype=torch.float64).clone().requires_grad_()
    method = build_method(name, **options)
    step = method.step(lambda images: places, make_batch(labels), Clock(epoch, EPOCHS))
    step.loss.backward()
    assert places.grad is not None
    return step, places.grad


def unknown(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    return probabilities.logit()[None], torch.zeros(1, len(probabilities))


def suspects_of(step: Step) -> list[list[int]]:
    assert step.suspects is not None
    return step.suspects.nonzero().tolist()


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


# --- asymmetric loss


@pytest.mark.parametrize("detach_focus", [False, True])
def test_without_focus_and_shift_asymmetric_is_assume_negative(detach_focus: bool) -> None:
    neutral = {"positive_focus": 0, "negative_focus": 0, "shift": 0, "detach_focus": detach_focus}
    step, gradient = take("asl", LOGITS, THREE_STATES, reduction="sum", **neutral)
    plain, expected = take("an", LOGITS, THREE_STATES)
    assert step.loss.item() == pytest.approx(8 * plain.loss.item(), rel=1e-12)
    torch.testing.assert_close(gradient, 8 * expected, rtol=1e-9, atol=0)
    mean, _ = take("asl", LOGITS, THREE_STATES, **neutral, scale=1000)
    assert mean.loss.item() == pytest.approx(1000 * plain.loss.item(), rel=1e-12)


@pytest.mark.parametrize("detach_focus", [False, True])
@pytest.mark.parametrize("focus", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("state", [0, -1])
def test_negatives_below_the_shift_are_free(state: int, focus: float, detach_focus: bool) -> None:
    logits, labels = unknown(PROBABILITIES)
    options = {"negative_focus": focus, "shift": 0.3, "detach_focus": detach_focus}
    free = PROBABILITIES < 0.299
    step, gradient = take("asl", logits[:, free], labels[:, free] + state, **options)
    assert step.loss.item() == 0
    assert not gradient.any()
    _, gradient = take("asl", logits, labels + state, **options)
    assert torch.equal(gradient[0] > 0, PROBABILITIES > 0.301)


def test_a_detached_discount_is_a_constant_factor() -> None:
    def gradient(**options: Any) -> float:
        return take("asl", [[1.0]], [[0]], positive_focus=0, shift=0, **options)[1].item()

    probability, plain = sigmoid(1), gradient(negative_focus=0)
    detached = gradient(negative_focus=2)
    assert detached == pytest.approx(probability**2 * plain, rel=1e-9)
    moving = 2 * probability**2 * (1 - probability) * -math.log(1 - probability)
    attached = gradient(negative_focus=2, detach_focus=False)
    assert attached == pytest.approx(detached + moving, rel=1e-9)


# --- Hill loss


def test_hill_pushes_unknown_cells_down_hardest_at_one_half_and_never_up() -> None:
    _, gradient = take("hill", *unknown(PROBABILITIES), reduction="sum")
    assert (gradient > 0).all()
    assert PROBABILITIES[gradient.argmax()].item() == pytest.approx(0.5)
    expected = 3 * PROBABILITIES**2 * (1 - PROBABILITIES) ** 2
    torch.testing.assert_close(gradient[0], expected, rtol=1e-9, atol=0)


def test_a_lower_hill_pushes_likely_cells_up() -> None:
    _, gradient = take("hill", *unknown(PROBABILITIES), peak=1.5 * 0.805)
    assert torch.equal(gradient[0] > 0, PROBABILITIES < 0.805)
    assert torch.equal(gradient[0] < 0, PROBABILITIES > 0.805)


def test_hill_knows_known_negatives_from_unknown_cells() -> None:
    step, gradient = take("hill", LOGITS, THREE_STATES, reduction="sum")
    for row, column in ((0, 1), (1, 3)):
        expected = sigmoid(LOGITS[row][column])
        assert gradient[row, column].item() == pytest.approx(expected, rel=1e-9)
    assert step.suspects is None


def test_hill_wants_positives_to_clear_a_margin() -> None:
    step, _ = take("hill", [[0.7]], [[1]], margin=1.5, focus=3)
    shifted = sigmoid(0.7 - 1.5)
    assert step.loss.item() == pytest.approx(-((1 - shifted) ** 3) * math.log(shifted), rel=1e-9)


# --- self-paced correction


def test_corrections_begin_with_the_second_epoch() -> None:
    for epoch, found in ((1, []), (2, [[0, 2]]), (EPOCHS, [[0, 2]])):
        assert suspects_of(take("splc", LOGITS[:1], THREE_STATES[:1], epoch)[0]) == found
    later = [take("splc", LOGITS[:1], THREE_STATES[:1], e, from_epoch=4)[0] for e in (3, 4)]
    assert [suspects_of(step) for step in later] == [[], [[0, 2]]]


@pytest.mark.parametrize("threshold", [0.0, 0.305, 0.605, 1.0])
def test_cells_above_the_threshold_are_corrected(threshold: float) -> None:
    step, gradient = take("splc", *unknown(PROBABILITIES), threshold=threshold)
    assert step.suspects is not None
    assert torch.equal(step.suspects[0], threshold < PROBABILITIES)
    assert torch.equal(gradient[0] < 0, threshold < PROBABILITIES)  # pushed up, the rest down


def test_a_probability_at_the_threshold_is_not_above_it() -> None:
    assert suspects_of(take("splc", [[0.0]], [[0]], threshold=0.5)[0]) == []


def test_a_corrected_cell_costs_what_a_positive_without_a_margin_does() -> None:
    cells = {
        (2.0, 0): -((1 - sigmoid(2)) ** 2) * math.log(sigmoid(2)),  # corrected
        (2.0, 1): -((1 - sigmoid(1)) ** 2) * math.log(sigmoid(1)),  # known, with a margin of 1
        (-1.0, 0): -(sigmoid(-1) ** 2) * math.log(1 - sigmoid(-1)),  # taken for absent
        (2.0, -1): -(sigmoid(2) ** 2) * math.log(1 - sigmoid(2)),  # known to be absent
    }
    for (logit, label), expected in cells.items():
        step, gradient = take("splc", [[logit]], [[label]])
        assert step.loss.item() == pytest.approx(expected, rel=1e-9)
        assert suspects_of(step) == ([[0, 0]] if (logit, label) == (2.0, 0) else [])
        assert (gradient.item() > 0) == (label == -1 or logit < 0)


def test_a_correction_holds_for_one_step() -> None:
    method = build_method("splc")
    found = []
    for logit in (2.0, -2.0):
        step = method.step(lambda images, at=logit: torch.tensor([[at]]), make_batch([[0]]), LATE)
        found.append(suspects_of(step))
    assert found == [[[0, 0]], []]


# --- generalised robust loss


def chance_and_weight(epoch: int, probability: float, **options: Any) -> tuple[float, float]:
    method: Any = build_method("gr", **options)
    at = torch.tensor(probability, dtype=torch.float64)
    chance, weight = method.chance_and_weight(at, Clock(epoch, EPOCHS))
    return chance.item(), weight.item()


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_schedules_begin_and_end_where_they_should(probability: float) -> None:
    # The chance begins at its start and ends one epoch short of its end; the weight ends at its.
    first = chance_and_weight(1, probability)
    assert first[0] == pytest.approx(sigmoid(-2))
    centre, width = 0.5 + 0.3 / 8, 2 - 1.5 / 8
    assert first[1] == pytest.approx(math.exp(-0.5 * ((probability - centre) / width) ** 2))
    last = chance_and_weight(EPOCHS, probability)
    assert last[0] == pytest.approx(sigmoid(2 * 7 / 8 * probability - 2))
    assert last[1] == pytest.approx(math.exp(-0.5 * ((probability - 0.8) / 0.5) ** 2))


def test_initial_epochs_hold_the_schedules_back() -> None:
    for epoch, moved in ((1, 0), (4, 0), (5, 0), (6, 1 / 4), (8, 3 / 4)):
        chance, _ = chance_and_weight(epoch, 1.0, initial_epochs=4)
        assert chance == pytest.approx(sigmoid(2 * moved - 2))
    for epoch, moved in ((1, 0), (4, 0), (5, 1 / 4), (8, 1)):
        _, weight = chance_and_weight(epoch, 0.0, initial_epochs=4)
        centre, width = 0.5 + 0.3 * moved, 2 - 1.5 * moved
        assert weight == pytest.approx(math.exp(-0.5 * (centre / width) ** 2))


@pytest.mark.parametrize("absent_power", [0.5, 1.0, 1.5])
def test_unknown_cells_are_softly_both(absent_power: float) -> None:
    probability, chance, weight = 0.7, *chance_and_weight(EPOCHS, 0.7)
    step, _ = take(
        "gr", [[math.log(7 / 3)]], [[0]], EPOCHS, present_power=0.2, absent_power=absent_power
    )
    present = (1 - probability**0.2) / 0.2
    absent = (1 - (1 - probability) ** absent_power) / absent_power
    expected = weight * (chance * present + (1 - chance) * absent)
    assert step.loss.item() == pytest.approx(expected, rel=1e-9)


def test_nothing_is_suspicious_while_all_have_the_same_chance() -> None:
    for dtype in (torch.float32, torch.float64):
        logits, labels = unknown(PROBABILITIES.to(dtype))
        step = build_method("gr").step(lambda x, z=logits: z, make_batch(labels), Clock(1, EPOCHS))
        assert suspects_of(step) == []


@pytest.mark.parametrize("epoch", [2, 5, 8])
def test_suspects_have_more_than_the_middling_chance(epoch: int) -> None:
    step, _ = take("gr", *unknown(PROBABILITIES), epoch)
    slope = 2 * (epoch - 1) / EPOCHS
    middle = (sigmoid(-2) + sigmoid(slope - 2)) / 2
    line = (math.log(middle / (1 - middle)) + 2) / slope
    assert 0.52 < line < 0.6
    assert step.suspects is not None
    assert torch.equal(step.suspects[0], line < PROBABILITIES)


def test_a_steep_chance_draws_a_higher_line() -> None:
    step, _ = take(
        "gr", *unknown(PROBABILITIES), EPOCHS, chance_start=[10, -8], chance_end=[10, -8]
    )
    middle = (sigmoid(-8) + sigmoid(2)) / 2
    assert step.suspects is not None
    assert torch.equal(step.suspects[0], (10 * PROBABILITIES - 8).sigmoid() > middle)
    assert 20 < step.suspects.sum() < 25


@pytest.mark.parametrize("epoch", [1, EPOCHS])
def test_known_cells_pay_logarithms_and_are_not_suspicious(epoch: int) -> None:
    labels = [[1, -1, -1, 1], [-1, 1, 1, -1]]
    step, gradient = take("gr", LOGITS, labels, epoch, epsilon=0.0)
    plain, expected = take("an", LOGITS, labels)
    assert step.loss.item() == pytest.approx(plain.loss.item(), rel=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=0)
    assert suspects_of(step) == []


@pytest.mark.parametrize("name", ["asl", "hill", "splc", "gr"])
def test_known_negatives_are_pushed_down_in_every_epoch(name: str) -> None:
    for epoch in range(1, EPOCHS + 1):
        step, gradient = take(name, [[4.0, 4.0]], [[-1, 0]], epoch)
        assert gradient[0, 0] > 0
        assert step.suspects is None or not step.suspects[0, 0]


@pytest.mark.parametrize("pair", [0.5, (1.0,), (1.0, 2.0, 3.0), "ab", None])
def test_schedules_are_given_by_two_numbers(pair: Any) -> None:
    with pytest.raises(UsageError, match="weight_end must be a list of 2: a number from -100"):
        build_method("gr", weight_end=pair)
