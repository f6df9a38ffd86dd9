"""Large losses: how many, which ones, and what becomes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.methods import build_method, method_class
from tacit.methods.base import Method
from tacit.models import build_model
from tacit.types import Clock, Step
from toys import annotations_of, make_batch

EVERY = ("ll_r", "ll_ct", "ll_cp", "boostlu")
ROWS, CLASSES = 10, 10
CELLS = ROWS * CLASSES


def logits_without_ties() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 2 * torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64)


def three_states() -> Tensor:
    """One known positive on each row, and known negatives where the logits are highest."""
    labels = torch.eye(ROWS, CLASSES, dtype=torch.int8)
    highest = logits_without_ties().flatten().topk(9).indices
    labels.view(-1)[highest] = -1
    return labels.masked_fill(torch.eye(ROWS, CLASSES) == 1, 1)


LOGITS, LABELS = logits_without_ties(), three_states()


def prepared(name: str, labels: Tensor = LABELS, **options: Any) -> Method:
    method = build_method(name, **options)
    method.setup(annotations_of(labels))
    return method


def look(method: Method, epoch: int, logits: Tensor = LOGITS, labels: Tensor = LABELS) -> Step:
    return method.step(lambda images: logits, make_batch(labels), Clock(epoch, 10))


def suspects_of(step: Step) -> Tensor:
    assert step.suspects is not None
    return step.suspects


def assumed_negative_losses(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.where(labels == 1, (1 + (-logits).exp()).log(), (1 + logits.exp()).log())


@pytest.mark.parametrize("name", EVERY)
def test_the_first_epoch_assumes_negatives_and_nothing_else(name: str) -> None:
    step = look(prepared(name, rate=0.5), 1)
    assert not suspects_of(step).any()
    expected = assumed_negative_losses(LOGITS, LABELS).mean()
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_with_a_rate_of_0_it_is_assume_negative(name: str) -> None:
    step = look(prepared(name, rate=0.0), 9)
    assert not suspects_of(step).any()
    assert step.loss.item() == look(prepared("an"), 9).loss.item()


@pytest.mark.parametrize("name", ["ll_r", "ll_ct", "boostlu"])
def test_every_epoch_adds_the_same_share_of_all_cells(name: str) -> None:
    method = prepared(name, rate=0.02)
    counts = [int(suspects_of(look(method, epoch)).sum()) for epoch in range(1, 8)]
    assert counts == [0, 2, 4, 6, 8, 10, 12]


def test_a_fraction_of_a_cell_counts_as_one() -> None:
    assert suspects_of(look(prepared("ll_r", rate=0.0001), 2)).sum() == 1
    assert suspects_of(look(prepared("ll_r", rate=0.011), 2)).sum() == 2


def test_the_release_often_counts_one_more_by_floats() -> None:
    # 1 - 0.02 - 0.02 is a little less than 0.96 in binary.
    assert math.ceil(CELLS * (1 - (1 - 0.02 - 0.02))) == 5
    for name in ("ll_r", "ll_ct", "boostlu"):
        method = prepared(name, rate=0.02, count_by_floats=True)
        assert suspects_of(look(method, 3)).sum() == 5
    growing = prepared("ll_cp", rate=0.02, schedule="growing", count_by_floats=True)
    assert suspects_of(look(growing, 3)).sum() == 5


@pytest.mark.parametrize("name", EVERY)
def test_suspects_are_the_unknown_cells_with_the_largest_losses(name: str) -> None:
    step = look(prepared(name, rate=0.13), 2)
    unknown = LOGITS.masked_fill(LABELS != 0, -torch.inf)  # of an absent cell, the loss rises
    expected = torch.zeros(CELLS, dtype=torch.bool)
    expected[unknown.flatten().topk(13).indices] = True
    assert torch.equal(suspects_of(step), expected.view(ROWS, CLASSES))


def test_ties_go_together() -> None:
    logits = torch.tensor([[3.0, 1.0, 1.0, 1.0], [1.0, 0.0, -1.0, -2.0]], dtype=torch.float64)
    labels = torch.zeros(2, 4)
    for rate, count in ((0.125, 1), (0.25, 5), (0.5, 5), (0.625, 5), (0.75, 6)):
        step = look(prepared("ll_r", labels, rate=rate), 2, logits, labels)
        assert suspects_of(step).sum() == count


@pytest.mark.parametrize("name", EVERY)
def test_known_cells_are_never_selected_whatever_they_cost(name: str) -> None:
    loud = torch.where(LABELS == 0, LOGITS, -50.0 * LABELS)  # as wrong as can be
    method = prepared(name, rate=1.0)
    for epoch in (2, 10):
        assert torch.equal(suspects_of(look(method, epoch, loud)), LABELS == 0)


@pytest.mark.parametrize("name", EVERY)
def test_known_negatives_cost_the_negative_loss_in_every_epoch(name: str) -> None:
    method = prepared(name, rate=0.3)
    for epoch in (1, 2, 10):
        logits = LOGITS.clone().requires_grad_()
        look(method, epoch, logits).loss.backward()
        assert logits.grad is not None
        known = LABELS == -1
        torch.testing.assert_close(logits.grad[known] * CELLS, LOGITS.sigmoid()[known])


def test_rejection_drops_the_suspects_and_keeps_the_denominator() -> None:
    step = look(prepared("ll_r", rate=0.1), 3)
    assert suspects_of(step).sum() == 20
    kept = assumed_negative_losses(LOGITS, LABELS).masked_fill(suspects_of(step), 0)
    assert step.loss.item() == pytest.approx(kept.sum().item() / CELLS, rel=1e-9)


@pytest.mark.parametrize("name", ["ll_ct", "ll_cp"])
def test_correction_differs_from_rejection_by_the_suspects_as_positives(name: str) -> None:
    rejected, corrected = (look(prepared(each, rate=0.2), 2) for each in ("ll_r", name))
    assert torch.equal(suspects_of(rejected), suspects_of(corrected))
    as_positives = (1 + (-LOGITS[suspects_of(rejected)]).exp()).log().sum() / CELLS
    difference = corrected.loss.item() - rejected.loss.item()
    assert difference == pytest.approx(as_positives.item(), rel=1e-9)


def test_a_temporary_correction_is_gone_in_the_next_step() -> None:
    method = prepared("ll_ct", rate=0.05)
    first = suspects_of(look(method, 2))
    assert not (first & suspects_of(look(method, 2, -LOGITS))).any()


def test_permanent_corrections_are_written_down_and_hold() -> None:
    method: Any = prepared("ll_cp", rate=0.05)
    first = suspects_of(look(method, 2))
    assert first.sum() == 5
    assert torch.equal(method.flipped.values, first)
    # Nothing about these cells is large now, but a correction is not doubted.
    second = look(method, 3, -LOGITS)
    added = suspects_of(second) & ~first
    assert (suspects_of(second) & first).sum() == 5
    assert added.sum() == 5
    assert torch.equal(method.flipped.values, first | added)
    present = suspects_of(second) | (LABELS == 1)
    expected = assumed_negative_losses(-LOGITS, present.to(torch.int8)).mean()
    assert second.loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_permanent_corrections_belong_to_images_and_not_to_places_in_a_batch() -> None:
    method: Any = prepared("ll_cp", rate=0.05)
    first = suspects_of(look(method, 2))
    order = torch.arange(ROWS).flip(0)
    batch = make_batch(LABELS[order])
    moved = type(batch)(order, batch.labels, batch.views)
    step = method.step(lambda images: torch.zeros(ROWS, CLASSES), moved, Clock(1, 10))
    assert torch.equal(suspects_of(step), first[order])


def test_a_constant_share_is_corrected_from_the_second_epoch_on() -> None:
    for epoch, count in ((1, 0), (2, 5), (7, 5)):
        assert suspects_of(look(prepared("ll_cp", rate=0.05), epoch)).sum() == count
        growing = look(prepared("ll_cp", rate=0.05, schedule="growing"), epoch)
        assert suspects_of(growing).sum() == 5 * (epoch - 1)


@pytest.mark.parametrize(("record", "count"), [("inclusive", 5), ("strict", 4), ("never", 0)])
def test_which_corrections_are_kept_is_a_switch(record: str, count: int) -> None:
    method: Any = prepared("ll_cp", rate=0.05, record=record)
    for epoch, kept in ((1, 0), (2, count)):
        look(method, epoch)
        assert method.flipped.values.sum() == kept
    if record == "strict":  # all but the least of the selected
        selected = LOGITS.masked_fill(LABELS != 0, -torch.inf).flatten().topk(5).indices
        assert method.flipped.values.flatten().nonzero().flatten().tolist() == sorted(
            selected[:4].tolist()
        )


def test_as_released_permanent_correction_is_the_temporary_one() -> None:
    released = build_method("ll_cp", preset="released", rate=0.02)
    released.setup(annotations_of(LABELS))
    temporary = prepared("ll_ct", rate=0.02, count_by_floats=True)
    for epoch in range(1, 6):
        one, other = look(released, epoch), look(temporary, epoch)
        assert one.loss.item() == other.loss.item()
        assert torch.equal(suspects_of(one), suspects_of(other))
    assert suspects_of(look(released, 3)).sum() == 5


def test_the_boost_is_asked_of_the_model_and_the_rest_is_rejection() -> None:
    options = method_class("boostlu").model_options
    assert options == {"boost": 5.0}
    assert not any(method_class(name).model_options for name in ("ll_r", "ll_ct", "ll_cp"))
    images, maps = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)), []
    for asked in ({}, options):
        torch.manual_seed(0)
        model = build_model(classes=("a", "b", "c"), size=24, trunk="tiny", **asked).eval()
        maps.append(model.localise(images)[1].detach())
    plain, boosted = maps
    assert (plain > 0).any()
    torch.testing.assert_close(boosted, torch.where(plain > 0, 5 * plain, plain))
    for epoch in (1, 4):
        one = look(prepared("boostlu", rate=0.02), epoch)
        assert one.loss.item() == look(prepared("ll_r", rate=0.02), epoch).loss.item()
