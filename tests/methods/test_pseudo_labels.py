"""Asymmetric pseudo-labels: how many are given, to whom, when, and what they cost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

from tacit.config import resolve
from tacit.methods import build_method, pseudo_labels
from tacit.runs.checkpoint import LAST
from tacit.runs.folder import Log
from tacit.training.run import train
from tacit.types import Clock
from toys import ScriptedModel, annotations_of, make_batch

EPOCHS, WARMUP, IMAGES = 10, 5, 40
# Classes with many unknown cells, with some, and with fewer than there are rounds.
UNKNOWN = (40, 23, 3)


def labels_with_unknown(counts: tuple[int, ...] = UNKNOWN) -> Tensor:
    """Make the first cells of each class unknown, and the others known by turns."""
    rows = torch.arange(IMAGES)[:, None]
    known = torch.where(rows % 2 == 0, 1, -1)
    return torch.where(rows < torch.tensor(counts), 0, known).to(torch.int8)


def prepared(**options: Any) -> Any:
    method = build_method("em_apl", warmup_epochs=WARMUP, **options)
    method.setup(annotations_of(labels_with_unknown()))
    return method


def scores(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.rand(IMAGES, len(UNKNOWN), generator=generator)


def forbidden() -> NoReturn:
    raise AssertionError("nobody needs predictions now")


def hold_rounds(method: Any, last: int = EPOCHS) -> None:
    for epoch in range(1, last + 1):
        method.end_epoch(Clock(epoch, EPOCHS), lambda epoch=epoch: scores(epoch))


class TestRounds:
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
    def test_every_round_labels_a_share_as_long_as_open_cells_are_left(self, share: float) -> None:
        """Of T - W rounds, and one more, which a second phase holds: T - W + 1 in all."""
        method = prepared(share=share)
        ends = [Clock(epoch, EPOCHS) for epoch in range(WARMUP, EPOCHS)]
        quotas = [int(share * unknown / (EPOCHS - WARMUP)) for unknown in UNKNOWN]
        before = method.pseudo.values.clone()
        for number, clock in enumerate([*ends, Clock(WARMUP, EPOCHS, phase=1)], start=1):
            method.end_epoch(clock, lambda number=number: scores(number))
            table = method.pseudo.values
            given = table.isfinite().sum(0).tolist()
            pairs = zip(quotas, UNKNOWN, strict=True)
            assert given == [min(number * quota, unknown) for quota, unknown in pairs]
            # A label is never revised.
            kept = before.isfinite()
            assert torch.equal(table[kept], before[kept])
            before = table.clone()

    def test_a_share_of_all_is_complete_after_the_last_round(self) -> None:
        method = prepared(share=1.0)
        hold_rounds(method)
        # 40 cells in five rounds of eight; of 23 cells five rounds of four; of three none.
        assert method.pseudo.values.isfinite().sum(0).tolist() == [40, 20, 0]

    def test_the_lowest_open_cells_get_their_present_probability(self) -> None:
        method, unknown = prepared(), labels_with_unknown() == 0
        open_cells = unknown.clone()
        for epoch in range(WARMUP, EPOCHS):
            found = scores(epoch)
            method.end_epoch(Clock(epoch, EPOCHS), lambda found=found: found)
            given = method.pseudo.values.isfinite() & open_cells
            for column, count in enumerate((7, 4, 0)):  # 0.9 * 40 / 5, 0.9 * 23 / 5, 0.9 * 3 / 5
                expected = found[open_cells[:, column], column].sort().values[:count]
                labels = method.pseudo.values[given[:, column], column].sort().values
                assert torch.equal(labels, expected)
            open_cells &= ~given
        assert not method.pseudo.values[~unknown].isfinite().any(), "known cells need no label"

    @pytest.mark.parametrize("epoch", [1, WARMUP - 1, EPOCHS])
    def test_nobody_is_scored_during_the_warmup_or_after_the_last_epoch(self, epoch: int) -> None:
        method = prepared()
        method.end_epoch(Clock(epoch, EPOCHS), forbidden)
        assert not method.pseudo.values.isfinite().any()

    @pytest.mark.parametrize("epochs", [1, WARMUP - 1, WARMUP])
    def test_a_phase_no_longer_than_the_warmup_has_no_round(self, epochs: int) -> None:
        method = prepared()
        for epoch in range(1, epochs + 1):
            method.end_epoch(Clock(epoch, epochs), forbidden)

    def test_every_known_cell_is_closed_however_many_rows_are_read_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pseudo_labels, "ROWS_AT_ONCE", 7)  # six reads, the last a short one
        values, unknown = prepared().pseudo.values, labels_with_unknown() == 0
        assert torch.equal(values.isnan(), unknown)
        assert torch.equal(values.isinf(), ~unknown)

    def test_among_equal_scores_the_first_images_are_labelled(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where a device sorts equal ones as it likes, unless it is told to keep them."""
        sort = Tensor.argsort

        def sort_as_it_likes(values: Tensor, *, stable: bool = False) -> Tensor:
            found = sort(values if stable else values.flip(0), stable=True)
            return found if stable else len(values) - 1 - found

        monkeypatch.setattr(Tensor, "argsort", sort_as_it_likes)
        method = prepared()
        method.end_epoch(Clock(WARMUP, EPOCHS), lambda: torch.full((IMAGES, len(UNKNOWN)), 0.5))
        given = method.pseudo.values.isfinite()
        for column, count in enumerate((7, 4, 0)):  # 0.9 * 40 / 5, 0.9 * 23 / 5, 0.9 * 3 / 5
            assert given[:, column].nonzero().flatten().tolist() == list(range(count))

    def test_scores_at_the_ends_are_labels_like_any_other(self) -> None:
        method = prepared(share=1.0)
        ends = torch.zeros(IMAGES, len(UNKNOWN))
        ends[0] = 1
        for epoch in range(WARMUP, EPOCHS):
            method.end_epoch(Clock(epoch, EPOCHS), lambda: ends)
        assert method.pseudo.values[:40, 0].isfinite().all()
        assert method.pseudo.values[0, 0] == 1 and not method.pseudo.values[1:, 0].any()

    def test_rounds_go_on_from_a_saved_table(self, tmp_path: Path) -> None:
        straight = prepared()
        hold_rounds(straight)
        for keep in ("device", "cpu", str(tmp_path / "labels.bin")):
            first, second = prepared(), prepared(keep=keep)
            hold_rounds(first, last=7)
            second.load_state_dict(first.state_dict())
            for epoch in range(8, EPOCHS + 1):
                second.end_epoch(Clock(epoch, EPOCHS), lambda epoch=epoch: scores(epoch))
            torch.testing.assert_close(
                second.pseudo.values, straight.pseudo.values, rtol=0, atol=0, equal_nan=True
            )


class TestTerms:
    def step(self, label: float, logit: float) -> tuple[Any, ScriptedModel]:
        """Take a step on a positive, an open cell and a pseudo-labelled one."""
        method = build_method("em_apl", entropy_weight=0.5, pseudo_weight=2.0)
        method.setup(annotations_of([[1, 0, 0]]))
        method.pseudo.write(torch.tensor([0]), torch.tensor([[math.nan, math.nan, label]]))
        model = ScriptedModel([[0.4, 1.0, logit]], None, [])
        return method.step(model, make_batch([[1, 0, 0]]), Clock(6, 10)), model

    def test_each_kind_of_cell_has_a_term_of_its_own(self) -> None:
        step, _ = self.step(0.2, -1.0)
        p = [1 / (1 + math.exp(-z)) for z in (0.4, 1.0, -1.0)]
        entropy = -p[1] * math.log(p[1]) - (1 - p[1]) * math.log(1 - p[1])
        soft = -0.2 * math.log(p[2]) - 0.8 * math.log(1 - p[2])
        expected = {"known": -math.log(p[0]) / 3, "entropy": -0.5 * entropy / 3, "pseudo": soft}
        expected["pseudo"] *= 2 / 3
        assert {k: v.item() for k, v in step.terms.items()} == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("logit", [-3.0, -1.0, 2.0])
    def test_a_pseudo_label_draws_its_cell_towards_itself(self, logit: float) -> None:
        step, model = self.step(0.2, logit)
        step.loss.backward()
        assert model.weak.grad is not None
        # The gradient of binary cross-entropy is p - s, here times 2 / 3.
        expected = 2 / 3 * (1 / (1 + math.exp(-logit)) - 0.2)
        assert model.weak.grad[0, 2].item() == pytest.approx(expected, rel=1e-6)

    def test_a_step_tells_how_many_unknown_cells_have_a_label(self) -> None:
        step, _ = self.step(0.2, -1.0)
        assert step.readings["labelled"].item() == 0.5
        method = build_method("em_apl")
        method.setup(annotations_of([[1, -1]]))
        known = method.step(
            ScriptedModel([[0.0, 0.0]], None, []), make_batch([[1, -1]]), Clock(1, 2)
        )
        assert known.readings["labelled"].item() == 0

    def test_a_label_in_the_table_means_nothing_for_a_known_cell(self) -> None:
        method = build_method("em_apl")
        method.setup(annotations_of([[1, -1]]))
        method.pseudo.write(torch.tensor([0]), torch.tensor([[0.1, 0.9]]))
        step = method.step(
            ScriptedModel([[2.0, 2.0]], None, []), make_batch([[1, -1]]), Clock(1, 2)
        )
        assert step.terms["pseudo"].item() == 0


def test_a_run_gives_its_labels_and_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    base = {
        "data": {"options": {"images": 60, "test_images": 20}},
        "method": {"name": "em_apl", "warmup_epochs": 1},
        "phases": [{"epochs": 4, "batch": 16}],
        "run": {"device": "cpu"},
    }
    train(resolve(base=base), tmp_path / "run")
    log = Log(tmp_path / "run" / "metrics.jsonl").read()
    labelled = [entry["readings"]["labelled"] for entry in log]
    assert labelled[0] == 0 and labelled == sorted(labelled) and labelled[3] > 0.7
    state = torch.load(tmp_path / "run" / "checkpoints" / LAST)["learner"]
    table = state["method.pseudo.values"]
    # 48 images, one positive on each; three rounds over the unknown cells of each class.
    given = table.isfinite().sum(0)
    assert (given % 3 == 0).all() and (given <= 0.9 * 48).all()
    # Where nothing moves, the second epoch is no better than the first, and no third one follows.
    still = ("phases.patience=0", "phases.lr=1e-12", "phases.freeze=['trunk']")
    train(resolve(base=base, settings=still), tmp_path / "stopped")
    assert len(Log(tmp_path / "stopped" / "metrics.jsonl").read()) == 2
