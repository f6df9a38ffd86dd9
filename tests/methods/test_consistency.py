"""Consistency of views: what counts as sure, when embeddings come in, what is remembered."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.config import resolve
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.methods.consistency import contrastive
from tacit.models import build_model
from tacit.runs.folder import Log
from tacit.training.run import train
from tacit.types import Clock
from toys import Table, make_batch

LENGTH = 128
FIRST, SECOND = Clock(1, 10), Clock(1, 10, phase=1)
# Probabilities 0.95, 0.7, 0.5, 0.05: sure at both thresholds, at the lower one, not, and absent.
SURE, LIKELY, UNDECIDED, ABSENT = (math.log(p / (1 - p)) for p in (0.95, 0.7, 0.5, 0.05))


class TwoViews(nn.Module):
    """Gives prescribed logits, (2B, C), and embeddings, (2B, C, D): weak rows, then strong ones."""

    def __init__(self, weak: Table, strong: Table | None = None, length: int = LENGTH) -> None:
        super().__init__()
        rows = torch.tensor([*weak, *(strong or weak)], dtype=torch.float64)
        self.logits = nn.Parameter(rows)
        directions = torch.randn(*rows.shape, length, generator=torch.Generator().manual_seed(3))
        self.directions = nn.Parameter(directions.double())
        self.calls: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        return self.logits * 1

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self(images), F.normalize(self.directions, dim=-1)


def small_run(folder: Path, *settings: str) -> list[dict[str, Any]]:
    base = {
        "data": {"options": {"images": 60, "test_images": 20}},
        "method": {"name": "plc_lac"},
        "phases": [{"epochs": 2, "batch": 16}],
        "run": {"device": "cpu"},
    }
    train(resolve(base=base, settings=settings), folder)
    return Log(folder / "metrics.jsonl").read()


class TestPseudoLabels:
    def test_the_weak_view_labels_the_strong_one_where_it_is_sure(self) -> None:
        model = TwoViews([[SURE, UNDECIDED, ABSENT, SURE]], [[0.3, 0.3, 0.3, 0.3]])
        step = build_method("plc").step(model, make_batch([[0, 0, 0, 1]]), FIRST)
        # Present, does not count, absent, known: three cells share the mean.
        present, absent = F.softplus(torch.tensor(-0.3)), F.softplus(torch.tensor(0.3))
        expected = float(2 * present + absent) / 3
        assert step.terms["consistency"].item() == pytest.approx(expected, rel=1e-6)
        assert step.suspects is not None
        assert step.suspects.tolist() == [[True, False, False, False]]

    def test_a_known_negative_is_sure_and_absent_whatever_the_weak_view_says(self) -> None:
        model = TwoViews([[SURE, UNDECIDED]], [[0.3, 0.3]])
        step = build_method("plc").step(model, make_batch([[-1, -1]]), FIRST)
        absent = float(F.softplus(torch.tensor(0.3)))
        assert step.terms["consistency"].item() == pytest.approx(absent, rel=1e-6)
        assert step.suspects is not None and not step.suspects.any()
        step.loss.backward()
        assert model.logits.grad is not None and (model.logits.grad > 0).all()

    def test_the_threshold_itself_is_present_and_nothing_below_it(self) -> None:
        method, logits = build_method("plc"), torch.tensor([[0.0, -1e-9]] * 2).double()
        present, sure = method.pseudo_labels(make_batch([[0, 0]]), logits, 0.5)
        assert present.tolist() == [[True, False]]
        assert sure.tolist() == [[True, True]]

    def test_absent_is_what_is_below_one_minus_the_threshold(self) -> None:
        method: Any = build_method("plc")
        probability = torch.tensor([[0.75, 0.7499, 0.25, 0.2499]])
        present, sure = method.sort_cells(make_batch([[0, 0, 0, 0]]), probability, 0.75)
        assert present.tolist() == [[True, False, False, False]]
        assert sure.tolist() == [[True, False, False, True]]

    def test_agreement_moves_the_strong_view_alone(self) -> None:
        model = TwoViews([[SURE, ABSENT]], [[0.3, 0.3]])
        build_method("plc").step(model, make_batch([[0, 0]]), FIRST).terms["consistency"].backward()
        assert model.logits.grad is not None
        assert model.logits.grad[0].tolist() == [0, 0]
        assert model.logits.grad[1, 0] < 0 < model.logits.grad[1, 1]

    def test_without_anything_sure_nothing_is_agreed_on(self) -> None:
        model = TwoViews([[UNDECIDED, UNDECIDED]], [[4.0, -4.0]])
        step = build_method("plc").step(model, make_batch([[0, 0]]), FIRST)
        assert step.terms["consistency"].item() == 0
        step.loss.backward()
        assert model.logits.grad is not None and model.logits.grad.isfinite().all()

    @pytest.mark.parametrize("name", ["plc", "plc_lac"])
    def test_both_views_go_through_the_model_at_once(self, name: str) -> None:
        model = TwoViews([[SURE, 0.0], [0.0, SURE]])
        build_method(name).step(model, make_batch([[1, 0], [0, 0]]), SECOND)
        assert model.calls == [4]


class TestStages:
    @pytest.mark.parametrize(
        ("late_from", "clock", "late"),
        [
            (0.5, Clock(12, 24), False),
            (0.5, Clock(13, 24), True),
            (0.5, Clock(1, 3), False),
            (0.5, Clock(2, 3), True),
            (0.5, Clock(1, 1), True),
            (0.5, Clock(1, 40, phase=1), True),
            (0.0, Clock(1, 40), True),
            (1.0, Clock(40, 40), False),
            (1.0, Clock(1, 40, phase=1), True),
            # After a phase for the head alone, halfway through the second one.
            (1.5, Clock(5, 10, phase=1), False),
            (1.5, Clock(6, 10, phase=1), True),
        ],
    )
    def test_the_second_stage_begins_when_it_should(
        self, late_from: float, clock: Clock, late: bool
    ) -> None:
        method = build_method("plc_lac", late_from=late_from)
        step = method.step(TwoViews([[SURE, LIKELY]]), make_batch([[1, 0]]), clock)
        assert ("contrast" in step.terms) == late
        # And with it the higher threshold.
        assert step.suspects is not None and step.suspects.tolist() == [[False, not late]]

    def test_the_first_stage_is_pseudo_label_consistency(self) -> None:
        model = TwoViews([[SURE, LIKELY], [ABSENT, 0.1]], [[0.2, 0.4], [0.1, -1.0]])
        batch = make_batch([[1, 0], [0, -1]])
        alone = build_method("plc").step(model, batch, FIRST)
        both = build_method("plc_lac").step(model, batch, FIRST)
        assert {k: v.item() for k, v in alone.terms.items()} == {
            k: v.item() for k, v in both.terms.items()
        }

    def test_in_one_phase_the_later_half_has_the_contrast(self, tmp_path: Path) -> None:
        log = small_run(tmp_path / "run", "run.average=0.9")
        assert [list(entry["terms"]) for entry in log] == [
            ["an", "consistency"],
            ["an", "consistency", "contrast"],
        ]
        assert log[1]["terms"]["contrast"] > 0

    @pytest.mark.parametrize("clock", [FIRST, SECOND])
    def test_a_model_without_embeddings_is_refused_at_the_first_step(self, clock: Clock) -> None:
        model = build_model(classes=("boat", "car"), size=16, trunk="tiny")
        learner = Learner(model, build_method("plc_lac"))
        images = torch.zeros(1, 3, 16, 16)
        with pytest.raises(UsageError, match=r"has no embeddings; set model\.embedding_dim"):
            learner(make_batch([[1, 0]], weak=images, strong=images), clock)

    def test_embeddings_of_another_length_are_refused_at_the_first_step(self) -> None:
        model = TwoViews([[SURE, 0.0]], length=64)
        with pytest.raises(UsageError) as caught:
            build_method("plc_lac").step(model, make_batch([[1, 0]]), FIRST)
        assert str(caught.value) == (
            "This method remembers embeddings of 128 numbers, but the model's have 64; set "
            "model.embedding_dim = 128, or leave it out."
        )

    def test_a_recipe_that_asks_for_other_embeddings_fails_before_the_first_epoch_is_over(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match="have 64"):
            small_run(tmp_path / "run", "model.embedding_dim=64")
        assert not (tmp_path / "run" / "metrics.jsonl").exists()


def remembering(queue_size: int = 8) -> Any:
    """Build the method as it is in its second stage, in double precision."""
    return build_method("plc_lac", queue_size=queue_size, late_from=0).double()


class TestMemory:
    @pytest.mark.parametrize("queue_size", [1, 3, 4, 8, 100])
    def test_the_contrast_is_over_what_the_queue_holds_afterwards(self, queue_size: int) -> None:
        """Also when a batch brings more entries than the queue has room for."""
        method = remembering(queue_size)
        for number in range(6):
            logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(number)) * 4
            model = TwoViews(logits.tolist())
            torch.nn.init.normal_(model.directions, generator=torch.Generator().manual_seed(number))
            step = method.step(
                model, make_batch([[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, -1]]), FIRST
            )
            held = method.queue.names >= 0
            expected = contrastive(method.queue.entries[held], method.queue.names[held], 0.5)
            assert step.terms["contrast"].item() == pytest.approx(expected.item(), rel=1e-9)
        assert held.all() == (queue_size < 100)

    def test_of_more_entries_than_the_queue_holds_the_last_count(self) -> None:
        model, method = TwoViews([[SURE, SURE], [SURE, SURE]]), remembering(3)
        step = method.step(model, make_batch([[1, 1], [1, 1]]), FIRST)
        weak, strong = F.normalize(model.directions.detach(), dim=-1).chunk(2)
        last = torch.stack([weak, strong], 2).flatten(0, 1)[1:]
        assert method.queue.names.tolist() == [1, 0, 1]
        assert torch.equal(method.queue.entries, last)
        expected = contrastive(last, torch.tensor([1, 0, 1]), 0.5)
        assert step.terms["contrast"].item() == pytest.approx(expected.item(), rel=1e-9)

    def test_both_views_of_what_is_present_are_remembered(self) -> None:
        model, method = TwoViews([[SURE, SURE, SURE], [LIKELY, 0.0, ABSENT]]), remembering()
        method.step(model, make_batch([[0, -1, 1], [0, 1, 0]]), FIRST)
        # Surely present, a known negative, known; not sure enough, known, absent.
        assert method.queue.names.tolist()[:3] == [0, 2, 1]
        assert int((method.queue.names >= 0).sum()) == 3
        weak, strong = F.normalize(model.directions.detach(), dim=-1).chunk(2)
        expected = torch.stack([weak, strong], 2)[[0, 0, 1], [0, 2, 1]]
        assert torch.equal(method.queue.entries[:3], expected)

    def test_no_gradient_reaches_what_was_remembered(self) -> None:
        method, batch = remembering(), make_batch([[1, 0], [1, 0]])
        first, second = TwoViews([[0.0, 0.0]] * 2), TwoViews([[0.0, 0.0]] * 2)
        torch.nn.init.normal_(second.directions, generator=torch.Generator().manual_seed(9))
        method.step(first, batch, FIRST).loss.backward()
        first.directions.grad = None
        old = method.queue.entries[:2].clone()
        method.step(second, batch, FIRST).terms["contrast"].backward()
        assert first.directions.grad is None
        assert not method.queue.entries.requires_grad
        # Old entries still push and pull the new ones: as constants in the same sum.
        free = second.directions.detach().clone().requires_grad_()
        views = F.normalize(free, dim=-1)[:, 0].chunk(2)
        pairs = torch.cat([old, torch.stack(views, 1)])
        contrastive(pairs, torch.zeros(4, dtype=torch.long), 0.5).backward()
        torch.testing.assert_close(second.directions.grad, free.grad)
        assert free.grad is not None and free.grad.abs().sum() > 0

    def test_batches_without_a_positive_are_finite_and_remember_nothing(self) -> None:
        method, model = remembering(), TwoViews([[UNDECIDED, ABSENT, SURE]])
        for _ in range(100):
            step = method.step(model, make_batch([[0, 0, -1]]), FIRST)
            assert step.terms["contrast"].item() == 0
            step.loss.backward()
        assert (method.queue.names == -1).all()
        assert model.directions.grad is None or not model.directions.grad.any()
        assert model.logits.grad is not None and model.logits.grad.isfinite().all()

    def test_a_batch_without_a_positive_leaves_what_is_remembered(self) -> None:
        method = remembering()
        method.step(TwoViews([[0.0, 0.0]]), make_batch([[1, 1]]), FIRST)
        before = {name: value.clone() for name, value in method.state_dict().items()}
        model = TwoViews([[UNDECIDED, ABSENT]])
        step = method.step(model, make_batch([[0, 0]]), FIRST)
        held = contrastive(method.queue.entries[:2], torch.tensor([0, 1]), 0.5)
        assert step.terms["contrast"].item() == pytest.approx(held.item())
        step.loss.backward()
        assert model.directions.grad is None or not model.directions.grad.any()
        assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())

    def test_training_goes_on_from_a_saved_queue(self) -> None:
        first, second = remembering(5), remembering(5)
        batch = make_batch([[1, 0], [0, 1], [1, 1]])
        for _ in range(3):
            first.step(TwoViews([[SURE, 0.0]] * 3), batch, FIRST)
        second.load_state_dict(first.state_dict())
        losses = [m.step(TwoViews([[0.0, SURE]] * 3), batch, FIRST).loss for m in (first, second)]
        assert losses[0].item() == losses[1].item()
        assert torch.equal(first.queue.entries, second.queue.entries)
