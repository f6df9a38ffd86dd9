"""Label estimates: dense parameters, or rows that move by themselves."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from tacit.config import Phase
from tacit.learner import Learner
from tacit.methods import build_method, role
from tacit.methods.base import Method, undecayed
from tacit.methods.role import initial_estimates
from tacit.models import build_model
from tacit.training.optim import build_optimiser
from tacit.types import Batch, Clock
from toys import ScriptedModel, annotations_of, make_batch

LABELS = [[1, 0, 0], [0, 1, -1], [0, 0, 1], [1, 0, 0]]
LOGITS = [[0.5, -1.0, 0.2], [0.1, 0.9, -0.4]]


def test_estimates_start_undecided_and_known_ones_certain() -> None:
    start = initial_estimates(torch.tensor([[1, 0, -1]] * 500))
    # logit(0.995) = 5.293305 and logit(0.6) = 0.405465
    assert start[:, 0].unique().tolist() == [pytest.approx(5.293305, abs=1e-5)]
    assert start[:, 2].unique().tolist() == [pytest.approx(-5.293305, abs=1e-5)]
    assert 0.39 < start[:, 1].abs().max() < 0.405466


@pytest.mark.parametrize("update", ["dense", "rows"])
def test_a_cell_takes_four_bytes_and_all_blocks_are_filled(
    update: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "ROWS_AT_ONCE", 3)
    method = build_method("role", update=update)
    method.setup(annotations_of(LABELS * 2))
    table = method.estimates.detach() if update == "dense" else method.rows.values
    assert table.shape == (8, 3) and table.dtype.itemsize == 4
    labels = torch.tensor(LABELS * 2)
    certain = table.abs() > 5
    assert torch.equal(certain, labels != 0) and torch.equal(
        table[certain] > 0, labels[certain] > 0
    )
    assert table[~certain].abs().max() < 0.405466 and len(table[~certain].unique()) > 10


def test_dense_estimates_are_no_weights() -> None:
    method = build_method("role")
    method.setup(annotations_of(LABELS))
    assert [id(each) for each in undecayed(method)] == [id(method.estimates)]
    moved = build_method("role", update="rows")
    moved.setup(annotations_of(LABELS))
    assert undecayed(moved) == []


def test_decay_spares_what_a_method_names_and_nothing_else() -> None:
    class Both(Method):
        without_decay: ClassVar[tuple[str, ...]] = ("table", "not there")

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(2, 3))
            self.weights = nn.Linear(3, 3)

    method = Both()
    model = build_model(classes=("sun", "moon", "star"), size=16, trunk="tiny")
    groups = build_optimiser(Learner(model, method), Phase(weight_decay=0.125)).param_groups
    decay = {id(each): group["weight_decay"] for group in groups for each in group["params"]}
    assert decay[id(method.table)] == 0
    assert {decay[id(each)] for each in method.weights.parameters()} == {0.125}


def test_rows_of_the_batch_descend_and_others_stay() -> None:
    method = build_method("role", update="rows", row_rate=0.1, expected_positives=1.0)
    method.setup(annotations_of(LABELS))
    before = method.rows.values.clone()
    model = ScriptedModel(LOGITS, None, LOGITS)
    batch = make_batch(LABELS[:2])
    batch = Batch(torch.tensor([3, 1]), batch.labels, batch.views)

    rows = nn.Parameter(before[[3, 1]].clone())
    descent = torch.optim.SGD([rows], lr=0.1 * rows.numel())
    for _ in range(3):
        logits = model(batch["weak"]).detach()
        half = method._half(logits, rows, batch) + method._half(rows, logits, batch)
        descent.zero_grad()
        half.backward()
        descent.step()
        method.step(model, batch, Clock(1, 5)).loss.backward()
    moved = method.rows.values
    assert torch.equal(moved[[0, 2]], before[[0, 2]])
    torch.testing.assert_close(moved[[3, 1]], rows.detach())
    assert (moved[[3, 1]] - before[[3, 1]]).abs().max() > 0.01


def test_both_halves_swap_with_their_sides() -> None:
    method = build_method("role", expected_positives=1.0)
    batch = make_batch([[1, 0, 0], [0, 1, -1]])
    first, second = torch.tensor(LOGITS), torch.tensor(LOGITS).flip(1)
    swapped = method._half(second, first, batch) + method._half(first, second, batch)
    assert torch.equal(
        method._half(first, second, batch) + method._half(second, first, batch), swapped
    )
