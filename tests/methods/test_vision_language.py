"""Methods with a teacher, against plain loops over cells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tacit.errors import DataError, UsageError
from tacit.methods import build_method, hyperparameters, method_class
from tacit.types import Annotations, Batch, Clock
from toys import make_batch

IMAGES, CLASSES = 6, 5
CLOCK = Clock(3, 10)


def scene(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels with three states, logits and a teacher's shares."""
    generator = torch.Generator().manual_seed(seed)
    labels = -(torch.rand(IMAGES, CLASSES, generator=generator) < 0.2).to(torch.int8)
    labels[range(IMAGES - 1), torch.randint(CLASSES, (IMAGES - 1,), generator=generator)] = 1
    logits = torch.randn(IMAGES, CLASSES, generator=generator).double()
    shares = torch.rand(IMAGES, CLASSES, generator=generator).mul(3).softmax(1)
    return labels, logits, shares


def prepared(name: str, labels: Tensor, shares: Any, **options: Any) -> Any:
    method = build_method(name, scores=shares, **options)
    method.setup(Annotations(labels, tuple("abcde")))
    return method


def take(method: Any, labels: Tensor, logits: Tensor) -> tuple[Any, Tensor]:
    """Take a step; return it and the gradient of its loss by logits."""
    leaf = logits.clone().requires_grad_()
    batch = Batch(torch.arange(IMAGES), labels, make_batch(labels.tolist()).views)
    step = method.step(lambda images: leaf, batch, CLOCK)
    step.loss.backward()
    assert leaf.grad is not None
    return step, leaf.grad


def test_the_release_builds_on_the_robust_loss_as_published() -> None:
    released = method_class("aevlp").presets["released"]
    robust = {**hyperparameters("gr"), **method_class("gr").presets.get("released", {})}
    shared = released.keys() & robust.keys()
    assert len(shared) >= 8
    assert {key: released[key] for key in shared} == {key: robust[key] for key in shared}


def bits(probability: float, target: float) -> float:
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def vlpl_by_hand(labels: Tensor, logits: Tensor, shares: Tensor) -> tuple[float, set[Any]]:
    total, suspects = 0.0, set()
    for i in range(IMAGES):
        order = sorted(range(CLASSES), key=lambda j, i=i: float(shares[i, j]))
        forgiven = set(order[: int(0.4 * CLASSES)])
        for j in range(CLASSES):
            p = 1 / (1 + math.exp(-float(logits[i, j])))
            if labels[i, j] != 0:
                total += bits(p, float(labels[i, j] == 1))
            elif shares[i, j] > 0.3:
                suspects.add((i, j))
                total += 0.7 * bits(p, 0.9)
            elif j not in forgiven:
                total -= 0.1 * bits(p, p)
    return total / (IMAGES * CLASSES), suspects


def aevlp_by_hand(
    labels: Tensor, logits: Tensor, scores: Tensor, chance: Tensor, weight: Tensor, expected: float
) -> tuple[float, set[Any]]:
    """The robust loss of other unknown cells is `gr`'s, which has tests of its own."""
    total, suspects, count = 0.0, set(), 0.0
    for i in range(IMAGES):
        order = sorted(range(CLASSES), key=lambda j, i=i: float(scores[i, j]))
        sure = {j for j in order[-2:] if scores[i, j] > 0.25}
        denied = set(order[: int(0.4 * CLASSES)])
        for j in range(CLASSES):
            p = 1 / (1 + math.exp(-float(logits[i, j])))
            v, k = float(weight[i, j]), float(chance[i, j])
            count += p / IMAGES
            if labels[i, j] != 0:
                total += bits(p, float(labels[i, j] == 1))
            elif j in sure:
                suspects.add((i, j))
                total += (1 - min(max(v, 0.3), 0.6)) * bits(p, 0.9)
            elif j in denied:
                total += v * bits(p, 0.0)
            else:
                total += v * (k * (1 - p**0.01) / 0.01 + (1 - k) * (1 - (1 - p)))
    surplus = (count - expected) / CLASSES
    return total / (IMAGES * CLASSES) + 0.05 * surplus**2, suspects


def gradient_by_differences(loss: Any, logits: Tensor) -> Tensor:
    found = torch.zeros_like(logits)
    for i in range(IMAGES):
        for j in range(CLASSES):
            step = torch.zeros_like(logits)
            step[i, j] = 1e-5
            found[i, j] = (loss(logits + step) - loss(logits - step)) / 2e-5
    return found


@pytest.mark.parametrize("seed", range(4))
def test_vlpl_is_what_its_equation_says(seed: int) -> None:
    labels, logits, shares = scene(seed)
    method = prepared("vlpl", labels, shares, negative_share=0.4)
    step, gradient = take(method, labels, logits)
    loss, suspects = vlpl_by_hand(labels, logits, shares)
    assert step.loss.item() == pytest.approx(loss, rel=1e-9)
    assert {tuple(cell) for cell in step.suspects.nonzero().tolist()} == suspects
    expected = gradient_by_differences(lambda z: vlpl_by_hand(labels, z, shares)[0], logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_aevlp_is_what_its_equation_says(seed: int) -> None:
    labels, logits, scores = scene(seed)
    options = {"negative_share": 0.4, "most": 2, "threshold": 0.25, "expected_positives": 1.7}
    method = prepared("aevlp", labels, scores, epsilon=0.0, **options).double()
    step, gradient = take(method, labels, logits)
    chance, weight = method.chance_and_weight(logits.sigmoid(), CLOCK)

    def by_hand(z: Tensor) -> tuple[float, set[Any]]:
        return aevlp_by_hand(labels, z, scores, chance, weight, 1.7)

    loss, suspects = by_hand(logits)
    assert step.loss.item() == pytest.approx(loss, rel=1e-7)
    assert {tuple(cell) for cell in step.suspects.nonzero().tolist()} == suspects
    expected = gradient_by_differences(lambda z: by_hand(z)[0], logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-8)


def test_somebody_is_suspected_somewhere() -> None:
    found = [vlpl_by_hand(*scene(seed))[1] for seed in range(4)]
    assert all(0 < len(suspects) < IMAGES * CLASSES for suspects in found)


def test_pseudo_labels_wait_for_the_warmup() -> None:
    labels, logits, shares = scene(0)
    step, _ = take(prepared("vlpl", labels, shares, warmup_epochs=3), labels, logits)
    assert not step.suspects.any() and not step.terms["pseudo"].any()


@pytest.mark.parametrize("name", ["vlpl", "aevlp"])
def test_a_teacher_is_needed_and_must_fit(name: str) -> None:
    labels, _, shares = scene(0)
    with pytest.raises(UsageError, match=r"needs the scores of an image-text teacher; .*scores="):
        build_method(name).setup(Annotations(labels, tuple("abcde")))
    with pytest.raises(DataError, match=r"scores \(6, 4\) images and classes"):
        prepared(name, labels, shares[:, :4])
    with pytest.raises(DataError, match="no numbers, for 1 images"):
        prepared(name, labels, shares.index_fill(0, torch.tensor([2]), torch.nan))


@pytest.mark.parametrize("name", ["vlpl", "aevlp"])
@pytest.mark.parametrize("state", [-1, 0, 1])
def test_a_batch_may_know_everything_or_nothing(name: str, state: int) -> None:
    """Where a selection is empty, nothing is divided by its size."""
    _, logits, shares = scene(1)
    labels = torch.full((IMAGES, CLASSES), state, dtype=torch.int8)
    options = {"epsilon": 0.0, "expected_weight": 0.0} if name == "aevlp" else {}
    step, gradient = take(prepared(name, labels, shares, **options), labels, logits)
    assert gradient.isfinite().all()
    assert all(term.isfinite() for term in step.terms.values())
    if state:
        cells = [bits(1 / (1 + math.exp(-z)), float(state == 1)) for z in logits.flatten().tolist()]
        assert step.loss.item() == pytest.approx(sum(cells) / len(cells))
        assert not step.suspects.any()


@pytest.mark.parametrize("name", ["vlpl", "aevlp"])
def test_only_unknown_cells_are_suspected(name: str) -> None:
    labels, logits, _ = scene(2)
    sure = torch.ones(IMAGES, CLASSES)
    options = {"most": CLASSES} if name == "aevlp" else {}
    step, _ = take(prepared(name, labels, sure, **options), labels, logits)
    assert torch.equal(step.suspects, labels == 0)


@pytest.mark.parametrize("most", [1, 2, 100])
def test_aevlp_takes_a_few_of_each_image(most: int) -> None:
    labels, logits, shares = scene(3)
    step, _ = take(prepared("aevlp", labels, shares, most=most, threshold=0.0), labels, logits)
    for row in range(IMAGES):
        order = sorted(range(CLASSES), key=lambda label, row=row: -float(shares[row, label]))
        expected = {label for label in order[:most] if labels[row, label] == 0}
        assert set(step.suspects[row].nonzero().flatten().tolist()) == expected


@pytest.mark.parametrize("name", ["vlpl", "aevlp"])
def test_a_score_has_to_be_above_the_threshold(name: str) -> None:
    labels, logits, _ = scene(0)
    labels = torch.zeros_like(labels)
    scores = torch.tensor([0.1, 0.25, 0.5, 0.0, 0.75]).repeat(IMAGES, 1)
    step, _ = take(prepared(name, labels, scores, threshold=0.5), labels, logits)
    assert step.suspects.tolist() == [[False, False, False, False, True]] * IMAGES


def test_rows_are_found_by_the_index_of_the_batch() -> None:
    labels, logits, shares = scene(4)
    method = prepared("vlpl", labels, shares)
    rows = torch.tensor([4, 1, 3])
    views = make_batch(labels[rows].tolist()).views
    step = method.step(lambda images: logits[rows], Batch(rows, labels[rows], views), CLOCK)
    assert torch.equal(step.evidence["share"], shares[rows])
    assert torch.equal(step.suspects, (labels[rows] == 0) & (shares[rows] > 0.3))


@pytest.mark.parametrize("name", ["vlpl", "aevlp"])
def test_scores_are_a_table_or_the_name_of_a_file(name: str, tmp_path: Path) -> None:
    labels, _, shares = scene(0)
    np.save(tmp_path / "t.npy", shares.numpy())
    for given in (shares, shares.numpy(), tmp_path / "t.npy", str(tmp_path / "t.npy")):
        assert torch.equal(prepared(name, labels, given).teacher.values, shares)
    with pytest.raises(UsageError, match="a file's name or a table, .* not 3"):
        prepared(name, labels, 3)
    with pytest.raises(DataError, match="There are no teacher scores at 'none.npz'"):
        prepared(name, labels, "none.npz")
