"""The risk with class priors, and when it takes over."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tacit.methods import build_method
from tacit.methods.base import Method
from tacit.types import Clock
from toys import ScriptedModel, annotations_of, make_batch

LABELS = [[1, 0], [0, 1], [0, 0], [1, 0]]
LOGITS = [[0.3, -0.6], [-1.0, 0.8], [0.1, 0.2], [1.2, -0.4]]


def crisp(priors: tuple[float, float] = (0.7, 0.4), told: float = 1.0, **options: str) -> Method:
    method = build_method("crisp", **options)
    method.setup(annotations_of(LABELS))
    method.expected.priors.copy_(torch.tensor(priors))
    method.expected.told_apart.fill_(told)
    return method


def worked(positives: list[float], rows: int) -> float:
    """Equation 7 by hand, for the first rows: 2 pi_j mean(1 - p) over positives, and |mean - pi_j|.

    A class's positives are divided by ``positives``.
    """
    p, labels, priors = (
        torch.tensor(LOGITS)[:rows].sigmoid(),
        torch.tensor(LABELS)[:rows],
        (0.7, 0.4),
    )
    total = 0.0
    for column, prior in enumerate(priors):
        missed = sum(1 - p[i, column].item() for i in range(rows) if labels[i, column])
        total += 2 * prior * missed / positives[column]
        total += abs(p[:, column].mean().item() - prior)
    return total / 2  # the mean over classes


@pytest.mark.parametrize("positives", ["dataset", "batch"])
def test_over_all_images_it_is_the_risk_of_the_paper(positives: str) -> None:
    step = crisp(positives=positives).step(
        ScriptedModel(LOGITS, None, LOGITS), make_batch(LABELS), Clock(5, 10)
    )
    assert step.terms["risk"].item() == pytest.approx(worked([2, 1], 4), abs=1e-6)


def test_positives_are_counted_over_the_batch_or_the_data_set() -> None:
    # The first two images hold one positive of each class; all four hold two and one, so that a
    # batch of two expects one and a half.
    for positives, counts in (("batch", [1.0, 1.0]), ("dataset", [1.0, 0.5])):
        step = crisp(positives=positives).step(
            ScriptedModel(LOGITS[:2], None, LOGITS[:2]), make_batch(LABELS[:2]), Clock(5, 10)
        )
        assert step.terms["risk"].item() == pytest.approx(worked(counts, 2), abs=1e-6)


def test_a_known_negative_costs_its_probability_as_a_share_of_the_batch() -> None:
    labels = [[1, -1], [0, 1], [0, -1], [1, 0]]
    terms = [
        crisp().step(ScriptedModel(LOGITS, None, LOGITS), make_batch(known), Clock(5, 10)).terms
        for known in (LABELS, labels)
    ]
    p = torch.tensor(LOGITS)[:, 1].sigmoid()
    # Two of four images, and the mean over two classes.
    expected = (p[0] + p[2]) / 4 / 2
    found = terms[1]["risk"] - terms[0]["risk"]
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_half_of_the_known_classes_are_not_most_of_them() -> None:
    method = crisp()
    method.expected.told_apart.copy_(torch.tensor([1.0, 0.0]))
    assert not method.ready
    # A class without a known positive is not counted.
    method = build_method("crisp")
    method.setup(annotations_of([[1, 0], [1, 0]]))
    method.expected.told_apart.copy_(torch.tensor([1.0, 0.0]))
    assert method.ready


def terms(method: Method, clock: Clock) -> set[str]:
    """Name the terms that cost anything."""
    model = ScriptedModel(LOGITS, None, LOGITS)
    found = method.step(model, make_batch(LABELS), clock).terms
    return {name for name, term in found.items() if term.item()}


def test_the_risk_waits_until_scores_tell_classes_apart_but_not_for_ever() -> None:
    assert terms(crisp(told=1.0), Clock(1, 10)) == {"an"}
    assert terms(crisp(told=1.0), Clock(2, 10)) == {"risk"}
    assert terms(crisp(told=0.2), Clock(5, 10)) == {"an"}
    assert terms(crisp(told=0.2), Clock(6, 10)) == {"risk"}


def test_before_that_a_class_that_is_not_known_costs_what_assuming_negative_does() -> None:
    model, batch = ScriptedModel(LOGITS, None, LOGITS), make_batch(LABELS)
    step = crisp().step(model, batch, Clock(1, 10))
    labels, p = torch.tensor(LABELS), torch.tensor(LOGITS).sigmoid()
    cells = -torch.where(labels == 1, p, 1 - p).log()
    assert step.loss.item() == pytest.approx(cells.mean().item(), rel=1e-6)


def test_priors_follow_the_scores_of_all_images_and_are_saved() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(600, 3, generator=generator) < 0.4
    known = truth & (torch.rand(600, 3, generator=generator) < 0.4)
    scores = torch.randn(600, 3, generator=generator) + 6 * truth
    method = build_method("crisp")
    method.setup(annotations_of(known.int()))
    before = method.expected.value.item()

    def predict() -> Tensor:
        return scores

    method.end_epoch(Clock(1, 10), predict)
    assert before == pytest.approx(known.float().mean(0).sum().item())
    assert method.ready and 1.05 < method.expected.value.item() < 1.3
    again = build_method("crisp")
    again.setup(annotations_of(known.int()))
    again.load_state_dict(method.state_dict())
    assert again.ready and torch.equal(again.expected.priors, method.expected.priors)


@pytest.mark.parametrize("name", ["epr", "role", "crisp"])
def test_the_expected_number_is_in_the_log(name: str) -> None:
    method = build_method(name)
    method.setup(annotations_of(LABELS))
    step = method.step(ScriptedModel(LOGITS, None, LOGITS), make_batch(LABELS), Clock(1, 10))
    assert step.readings["expected_positives"].item() == pytest.approx(0.75)
