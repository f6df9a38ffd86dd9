"""Heads out of fold, and the loop that learns while somebody looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tacit.errors import UsageError
from tacit.repair.audit import draw_audit
from tacit.repair.heads import apply_heads, draw_folds, find_basis, fit_heads
from tacit.repair.loop import Loop
from tacit.repair.out_of_fold import CrossFitter, cross_fit


def simulate(images: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features, truth of four classes, and one known positive for each image that has any."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(images, 12)).astype(np.float32)
    logits = 3 * features[:, :4] - np.array([0.5, 2, 3, 2])
    truth = generator.random((images, 4)) < 1 / (1 + np.exp(-logits))
    labels = np.zeros((images, 4), np.int8)
    for row in np.flatnonzero(truth.any(1)):
        labels[row, generator.choice(np.flatnonzero(truth[row]))] = 1
    return features, truth, labels


def test_heads_are_those_of_logistic_regression() -> None:
    features, truth, _ = simulate()
    basis = find_basis(torch.from_numpy(features), 12)
    turned = basis.project(torch.from_numpy(features))
    assert turned.var(0, correction=0) == pytest.approx(basis.spectrum, abs=1e-4)
    heads = fit_heads(
        turned, torch.from_numpy(truth).float(), basis.spectrum, ridge=0.01, steps=200
    )
    ours = apply_heads(turned, heads)
    for column in range(4):  # which adds its losses up, where ours are a mean
        theirs = LogisticRegression(C=1 / (0.01 * len(turned)), tol=1e-8, max_iter=1000)
        theirs.fit(turned.numpy(), truth[:, column])
        expected = theirs.decision_function(turned.numpy())
        assert ours[:, column].numpy() == pytest.approx(expected, abs=0.02)


def test_weights_count_images_as_often() -> None:
    features, truth, _ = simulate(200)
    turned, targets = torch.from_numpy(features), torch.from_numpy(truth).float()
    spectrum, twice = torch.ones(12), torch.ones(200, 1)
    twice[:50] = 2
    repeated = fit_heads(
        torch.cat([turned, turned[:50]]), torch.cat([targets, targets[:50]]), spectrum, steps=200
    )
    weighted = fit_heads(turned, targets, spectrum, weights=twice, steps=200)
    torch.testing.assert_close(repeated, weighted, atol=5e-3, rtol=0)


def test_a_start_that_is_right_needs_no_steps() -> None:
    features, truth, _ = simulate(300)
    turned, targets = torch.from_numpy(features), torch.from_numpy(truth).float()
    done = fit_heads(turned, targets, torch.ones(12), steps=300)
    again = fit_heads(turned, targets, torch.ones(12), start=done, steps=1)
    torch.testing.assert_close(done, again, atol=1e-2, rtol=0)


def test_folds_are_even_and_keep_groups_together() -> None:
    assert np.bincount(draw_folds(103, 5)).tolist() == [21, 21, 21, 20, 20]
    groups = np.random.default_rng(0).integers(0, 40, 300)
    folds = draw_folds(300, 5, 1, groups)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(40))
    assert np.bincount(folds).max() - np.bincount(folds).min() < 20


def test_an_image_is_scored_by_heads_that_did_not_see_it() -> None:
    features, _, labels = simulate(200)
    fitter = CrossFitter.of(torch.from_numpy(features), 4, axes=12)
    first, _ = fitter.fit(torch.from_numpy((labels == 1).astype(np.float32)))
    changed = (labels == 1).astype(np.float32)
    row = int(np.flatnonzero(fitter.folds == 2)[0])
    changed[row] = 1 - changed[row]  # seen by the three other folds' heads alone
    second, _ = fitter.fit(torch.from_numpy(changed))
    own = fitter.folds == 2
    np.testing.assert_array_equal(first[own], second[own])
    assert np.abs(first[~own] - second[~own]).max() > 1e-3


def test_what_is_truly_missing_comes_first() -> None:
    features, truth, labels = simulate()
    fitter = CrossFitter.of(torch.from_numpy(features), axes=12)
    found = cross_fit(fitter, labels, labelling_rate=(labels == 1).sum() / truth.sum())
    posterior = np.where(labels == 0, found.judge.judge(found.scores), -1)
    first = np.argsort(-posterior.ravel())[:100]
    unknown = labels.ravel() == 0
    assert truth.ravel()[first].mean() > 3 * truth.ravel()[unknown].mean()


def test_the_loop_takes_verdicts_as_they_are() -> None:
    features, truth, labels = simulate()
    loop = Loop(features, labels)
    before = loop.posterior.copy()
    answers = {q.cell: bool(truth.ravel()[q.cell]) for q in loop.next_page(40)}
    assert len(answers) == 40 and all(labels.ravel()[cell] == 0 for cell in answers)
    loop.update(answers)
    assert (loop.posterior.ravel()[list(answers)] == 0).all()
    assert not np.array_equal(before, loop.posterior)
    page = {question.cell for question in loop.next_page(40)}
    assert len(page) == 40 and not page & set(answers)
    loop.update({})  # everything is taken back
    assert (loop.posterior > 0).sum() == (before > 0).sum()


def test_the_loop_learns_that_a_class_was_complete() -> None:
    features, truth, labels = simulate()
    loop = Loop(features, labels, labelling_rate=0.5)
    rows = np.flatnonzero(labels[:, 0] == 0)[:200]
    before = loop.posterior[:, 0].sum()
    loop.update({int(row) * 4: False for row in rows})
    assert loop.posterior[:, 0].sum() < 0.3 * before


def test_a_page_mixes_queue_and_audit() -> None:
    features, _, labels = simulate()
    loop = Loop(features, labels)
    cells = np.flatnonzero(labels.ravel() == 0)
    audit = draw_audit(cells, loop.posterior.ravel()[cells], 4, 50)
    page = loop.next_page(20, audit=audit)
    drawn = [question for question in page if question.stream == "audit"]
    assert [question.cell for question in drawn] == audit.cells[:4].tolist()
    assert [question.probability for question in drawn] == audit.probabilities[:4].tolist()
    assert len({question.cell for question in page}) == 20
    skipped = loop.next_page(20, audit=audit, skip=dict.fromkeys(audit.cells[:2].tolist()))
    assert audit.cells[0] not in {question.cell for question in skipped}
    only = loop.next_page(20, class_weights=np.array([0.0, 1, 0, 0]))
    assert sum(question.cell % 4 == 1 for question in only) >= 18


def test_features_and_labels_are_of_the_same_images() -> None:
    with pytest.raises(UsageError, match="3 images and labels of 5"):
        Loop(np.zeros((3, 2)), np.zeros((5, 2), np.int8))
