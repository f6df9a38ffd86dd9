"""Suspects and evidence, judged by the truth, against hand counts and the metric on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import tacit.evaluation.diagnostics as module
from tacit.evaluation.diagnostics import Diagnostics
from tacit.evaluation.metrics import Identification, identification
from tacit.types import Batch, Step

CPU = torch.device("cpu")
Table = Sequence[Sequence[int]]

# Two images, four classes. Of the six unknown cells, (0, 2) and (1, 1) are missed positives, and
# both are suspects; (0, 1) and (1, 3) are suspects and absent; nothing is missed:
# precision 2/4, recall 2/2, F1 2/3.
REJECTED = [[0, 1, 1, 0], [0, 1, 0, 1]]
OBSERVED = [[1, 0, 0, 0], [0, 0, 1, 0]]
TRUTH = [[1, -1, 1, -1], [-1, 1, 1, -1]]


def make_batch(labels: Table | Tensor, rows: Sequence[int] | None = None) -> Batch:
    table = torch.as_tensor(labels, dtype=torch.int8)
    return Batch(torch.tensor(rows if rows is not None else range(len(table))), table, {})


def make_step(
    suspects: Table | Tensor | None = None, evidence: dict[str, Tensor] | None = None
) -> Step:
    table = None if suspects is None else torch.as_tensor(suspects).bool()
    return Step({"loss": torch.zeros(())}, table, evidence or {})


@pytest.fixture
def counted() -> Diagnostics:
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    diagnostics.update(make_batch(OBSERVED), make_step(REJECTED))
    return diagnostics


def test_missed_positives_are_counted(counted: Diagnostics) -> None:
    found = counted.identification()
    assert (found.tp, found.fp, found.fn) == (2, 2, 0)
    assert (found.precision, found.recall) == (0.5, 1.0)
    assert found.f1 == pytest.approx(0.6666666666666666)
    assert found.ratio == 1.0


def test_classes_are_counted_on_their_own(counted: Diagnostics) -> None:
    assert counted.per_class() == [
        Identification(),
        Identification(tp=1, fp=1),
        Identification(tp=1),
        Identification(fp=1),
    ]


def test_where_nobody_knows_the_truth_nothing_is_counted() -> None:
    truth = torch.tensor(TRUTH)
    truth[0, 1] = truth[1, 1] = 0  # two suspects, one of each kind
    diagnostics = Diagnostics(truth, CPU)
    gap = torch.arange(8.0).view(2, 4)
    diagnostics.update(make_batch(OBSERVED), make_step(REJECTED, {"gap": gap}))
    assert diagnostics.identification() == Identification(tp=1, fp=1)
    # Missed: cell 2 alone. Absent: cells 3, 4 and 7. Known, whatever the truth: 0 and 6.
    means = {"known": 3.0, "missed": 2.0, "negative": 14 / 3}
    assert diagnostics.evidence()["gap"] == pytest.approx(means)


def test_batches_of_an_epoch_add_up_to_the_metric_on_the_whole() -> None:
    generator = np.random.default_rng(3)
    truth = generator.choice(np.array([1, -1, 0], dtype=np.int8), (60, 7), p=[0.4, 0.5, 0.1])
    suspects = generator.random(truth.shape) < 0.3
    # Three states: some positives known, some absences known, the rest unknown.
    seen = generator.random(truth.shape) < 0.35
    labels = np.where(seen, truth, 0).astype(np.int8)
    diagnostics = Diagnostics(torch.from_numpy(truth), CPU)
    order = generator.permutation(60)
    for rows in np.split(order, 5):
        batch = make_batch(torch.from_numpy(labels[rows]), rows.tolist())
        diagnostics.update(batch, make_step(torch.from_numpy(suspects[rows])))
    expected = identification(suspects, labels, truth)
    assert min(expected.tp, expected.fp, expected.fn) > 0
    assert diagnostics.identification() == expected
    by_class = [identification(suspects[:, [c]], labels[:, [c]], truth[:, [c]]) for c in range(7)]
    assert diagnostics.per_class() == by_class


def test_a_method_that_suspects_nothing_is_not_judged() -> None:
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    diagnostics.update(make_batch(OBSERVED), make_step(None))
    assert diagnostics.identification() == Identification()
    # To suspect no cell is something else: then both missed positives were not found.
    diagnostics.update(make_batch(OBSERVED), make_step([[0] * 4] * 2))
    assert diagnostics.identification() == Identification(fn=2)


def test_evidence_is_averaged_by_what_the_cells_are() -> None:
    labels = [[1, 0, 0, -1], [0, 0, 1, -1]]  # the last class is known to be absent
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    gap = torch.tensor([[1.0, 2.0, 3.0, 100.0], [4.0, 5.0, 6.0, 100.0]])
    diagnostics.update(make_batch(labels), make_step(evidence={"gap": gap, "logit": -gap}))
    # Known: 1 and 6. Missed: 3 and 5. Unknown and absent: 2 and 4. Known absences: no group.
    assert diagnostics.evidence() == {
        "gap": {"known": 3.5, "missed": 4.0, "negative": 3.0},
        "logit": {"known": -3.5, "missed": -4.0, "negative": -3.0},
        "said present": {"known": 0.0, "missed": 0.0, "negative": 0.0},
    }
    assert diagnostics.count_cells() == {"known": 2, "missed": 2, "negative": 2}


def test_evidence_of_batches_is_weighted_by_cells() -> None:
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    for row, value in ((0, 1.0), (1, 2.0), (1, 2.0)):
        batch = make_batch([OBSERVED[row]], [row])
        diagnostics.update(batch, make_step(evidence={"gap": torch.full((1, 4), value)}))
    means = diagnostics.evidence()["gap"]
    assert means == pytest.approx({"known": 5 / 3, "missed": 5 / 3, "negative": 10 / 6})


def test_a_group_without_cells_has_no_mean() -> None:
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    diagnostics.update(make_batch(TRUTH), make_step(evidence={"logit": torch.ones(2, 4)}))
    none = {"known": 1.0, "missed": None, "negative": None}
    assert diagnostics.evidence() == {"logit": none, "said present": none}


def test_evidence_outside_a_group_does_not_spoil_it() -> None:
    diagnostics = Diagnostics(torch.tensor(TRUTH), CPU)
    gap = torch.tensor([[1.0, float("nan"), 3.0, 2.0], [2.0, 5.0, 6.0, 2.0]])  # nan is negative
    diagnostics.update(make_batch(OBSERVED), make_step(evidence={"gap": gap}))
    means = diagnostics.evidence()["gap"]
    assert (means["known"], means["missed"]) == (3.5, 4.0)
    assert means["negative"] != means["negative"]


def test_a_restart_forgets(counted: Diagnostics) -> None:
    counted.update(make_batch(OBSERVED), make_step(evidence={"gap": torch.ones(2, 4)}))
    counted.restart()
    assert counted.identification() == Identification()
    assert counted.evidence() == {}
    counted.update(make_batch(OBSERVED), make_step(REJECTED, {"gap": torch.ones(2, 4)}))
    assert counted.identification() == Identification(2, 2, 0)
    assert counted.evidence()["gap"] == {"known": 1.0, "missed": 1.0, "negative": 1.0}


def test_an_interrupted_epoch_goes_on(counted: Diagnostics) -> None:
    counted.update(make_batch(OBSERVED), make_step(REJECTED, {"gap": torch.ones(2, 4)}))
    other = Diagnostics(torch.tensor(TRUTH), CPU)
    other.load_state_dict(counted.state_dict())
    for diagnostics in (counted, other):
        step = make_step([[0] * 4] * 2, {"gap": torch.full((2, 4), 2.0)})
        diagnostics.update(make_batch(OBSERVED), step)
    assert other.identification() == counted.identification() == Identification(4, 4, 2)
    assert other.evidence() == counted.evidence()


def test_a_saved_state_does_not_move_with_what_follows(counted: Diagnostics) -> None:
    state = counted.state_dict()
    other = Diagnostics(torch.tensor(TRUTH), CPU)
    other.load_state_dict(state)
    other.update(make_batch(OBSERVED), make_step(REJECTED))
    assert counted.identification() == Identification(2, 2, 0)


def test_what_all_counted_is_the_first_processs_when_it_goes_on(
    counted: Diagnostics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over processes would count it once for each of them."""
    counted.update(make_batch(OBSERVED), make_step(evidence={"gap": torch.ones(2, 4)}))
    state = counted.state_dict()
    monkeypatch.setattr(module, "rank", lambda: 1)
    second = Diagnostics(torch.tensor(TRUTH), CPU)
    second.load_state_dict(state)
    assert second.identification() == Identification()
    assert second.evidence() == {"gap": {"known": None, "missed": None, "negative": None}}
    assert all(not sums.any() for sums in second.state_dict()["sums"].values())
    # Whole numbers, since a float of 32 bits stops counting at 16 million.
    assert not any(state[name].is_floating_point() for name in ("counts", "cells"))
