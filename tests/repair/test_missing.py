"""Posteriors of missing labels, against a simulation whose truth is known in closed form."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

import tacit
from tacit.errors import DataError, UsageError
from tacit.labels import SparseLabels
from tacit.repair.calibration import fit_correction
from tacit.repair.missing import Missing
from tacit.repair.ratios import count_scores, find_posteriors, fit_ratios, look_up

RATE = 0.5
SHARES = np.array([0.3, 0.1, 0.05])  # of the images that show each class


def simulate(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labels and scores: present cells score N(2, 1), absent ones N(0, 1).

    A present cell is labelled by `RATE`, whatever its score. The posterior of an unknown cell is
    then p (1 - RATE) a / (p (1 - RATE) a + (1 - p) b), with a and b the densities at its score.
    """
    generator = np.random.default_rng(seed)
    present = generator.random((images, 3)) < SHARES
    scores = generator.normal(2.0 * present)
    labels = (present & (generator.random(present.shape) < RATE)).astype(np.int8)
    ratio = np.exp(2 * scores - 2)  # of both normal densities
    missed = SHARES * (1 - RATE) * ratio
    posterior = np.where(labels == 0, missed / (missed + 1 - SHARES), 0)
    return labels, scores, posterior


def test_posteriors_are_those_of_bayes() -> None:
    labels, scores, expected = simulate(20_000)
    # What a model would say that learned these labels: how probably each cell is labelled.
    present = SHARES * np.exp(2 * scores - 2) / (SHARES * np.exp(2 * scores - 2) + 1 - SHARES)
    for given in (RATE * present, scores):  # as probabilities, and on a scale of their own
        counts = count_scores(lambda given=given: [(labels, given)])
        table = find_posteriors(counts, fit_ratios(counts), np.full(3, RATE), expected.sum())
        found = look_up(table, counts.scale.apply(given)) * (labels == 0)
        assert np.abs(found - expected).mean() < 0.012  # of 0.075 on average
        # As good an order as that of the true posteriors, but for a hair.
        best, ours = (np.argsort(-values.ravel())[:500] for values in (expected, found))
        assert expected.ravel()[ours].sum() > 0.99 * expected.ravel()[best].sum()


def test_the_rate_of_all_is_held_and_that_of_a_class_comes_near() -> None:
    labels, scores, expected = simulate(20_000)
    found = tacit.find_missing(labels, scores, labelling_rate=RATE)
    assert found.total == pytest.approx((labels == 1).sum(), rel=0.01)  # at a half, as many again
    assert found.prior.rates == pytest.approx(np.full(3, RATE), abs=0.08)
    assert np.abs(found.posterior - expected).mean() < 0.02


def test_scores_that_tell_nothing_fall_back_to_counting() -> None:
    labels, _, _ = simulate(20_000)
    noise = np.random.default_rng(1).normal(size=labels.shape)
    found = tacit.find_missing(labels, noise, labelling_rate=RATE)
    for column in range(3):  # whose shares are far apart
        unknown = labels[:, column] == 0
        share = (labels[:, column] == 1).sum() / unknown.sum()  # at this rate as many are missing
        assert np.median(found.posterior[unknown, column]) == pytest.approx(share, rel=0.35)
    guessed = tacit.find_missing(labels, noise)
    assert guessed.total < 0.2 * (labels == 1).sum()  # nothing tells that anything is missing
    assert guessed.interval[0] == 0 and guessed.interval[1] > 10_000  # and nothing that none is


def test_the_rate_is_estimated_where_scores_tell_classes_apart() -> None:
    labels, scores, expected = simulate(20_000)
    clear = np.where(scores > 1, scores + 3, scores)
    found = tacit.find_missing(labels, clear)
    assert 0.5 * expected.sum() < found.total < 2 * expected.sum()
    assert found.prior.rests_on == "estimated" and "estimated" in found.rests_on
    low, high = found.interval
    assert low == 0 and high > expected.sum()


def test_nothing_is_missing_of_labels_that_are_complete() -> None:
    labels, scores, _ = simulate(2_000)
    found = tacit.find_missing(labels, scores, labelling_rate=1)
    assert found.total == 0 and found.interval == (0, 0)
    stated = tacit.find_missing(labels, scores, labels_per_image=2 * (labels == 1).sum() / 2_000)
    assert stated.prior.rate == pytest.approx(0.5)
    assert stated.interval[0] < stated.total < stated.interval[1]


def test_known_negatives_are_no_suspects() -> None:
    labels, scores, _ = simulate(3_000)
    negative = (labels == 0) & (np.arange(3_000)[:, None] % 2 == 0)
    found = tacit.find_missing(np.where(negative, -1, labels), scores, labelling_rate=RATE)
    assert (found.posterior[negative] == 0).all() and not found.unknown[negative].any()


def take(values: Missing) -> np.ndarray:
    return values.posterior


@pytest.mark.parametrize("kind", ["sparse labels", "scipy", "arrow", "list"])
def test_labels_and_scores_may_come_as(kind: str) -> None:
    labels, scores, _ = simulate(500)
    expected = take(tacit.find_missing(labels, scores, labelling_rate=RATE))
    names = ("a", "b", "c")
    given = {
        "sparse labels": SparseLabels.of(labels),
        "scipy": sparse.csr_matrix(labels),
        "arrow": pa.table({name: labels[:, n] for n, name in enumerate(names)}),
        "list": labels.tolist(),
    }[kind]
    found = tacit.find_missing(given, scores, labelling_rate=RATE)
    np.testing.assert_array_equal(found.posterior, expected)
    assert found.classes == (names if kind == "arrow" else ("0", "1", "2"))


def test_the_ranking_begins_with_the_most_probable() -> None:
    labels, scores, _ = simulate(2_000)
    found = tacit.find_missing(labels, scores, labelling_rate=RATE, classes=("x", "y", "z"))
    ranked = list(found.ranking())
    posteriors = [posterior for _, _, posterior in ranked]
    assert len(ranked) == (labels == 0).sum() == len({row[:2] for row in ranked})
    assert posteriors == sorted(posteriors, reverse=True)
    assert found.top(3) == ranked[:3]
    row, kind, posterior = ranked[0]
    assert posterior == found.posterior[row, found.classes.index(kind)]
    assert set(found.per_class) == {"x", "y", "z"}


def test_posteriors_never_fall_with_the_score_and_make_the_total() -> None:
    labels, scores, _ = simulate(5_000)
    counts = count_scores(lambda: [(labels, scores)])
    table = find_posteriors(counts, fit_ratios(counts), np.full(3, 0.4), 700.0)
    assert (np.diff(table, axis=1) >= -1e-12).all()
    assert (counts.unknown * table).sum() == pytest.approx(700, rel=1e-6)
    assert look_up(table, counts.scale.apply(scores)).max() <= 1


def test_blocks_of_images_make_no_difference() -> None:
    labels, scores, _ = simulate(1_000)
    whole = count_scores(lambda: [(labels, scores)])
    parts = count_scores(lambda: [(labels[:300], scores[:300]), (labels[300:], scores[300:])])
    np.testing.assert_allclose(whole.unknown.sum(1), parts.unknown.sum(1))
    np.testing.assert_allclose(fit_ratios(whole), fit_ratios(parts), atol=0.05)


def test_looks_correct_what_was_thought() -> None:
    generator = np.random.default_rng(0)
    thought = generator.uniform(0.05, 0.6, 3_000)
    kinds = generator.integers(0, 2, 3_000)
    truth = np.where(kinds == 0, thought, thought / 3)  # the second class was thought too common
    correction = fit_correction(thought, kinds, generator.random(3_000) < truth, 2)
    corrected = correction.apply(np.full((1, 2), 0.3))
    assert corrected[0] == pytest.approx([0.3, 0.1], abs=0.04)
    none = fit_correction(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool), 2)
    assert none.apply(np.full((1, 2), 0.3))[0] == pytest.approx([0.3, 0.3])


def test_bad_input_is_refused() -> None:
    labels, scores, _ = simulate(50)
    with pytest.raises(UsageError, match=r"\(50, 3\) and \(50, 2\)"):
        tacit.find_missing(labels, scores[:, :2])
    with pytest.raises(DataError, match="1 of 150 scores"):
        tacit.find_missing(labels, np.where(np.arange(150).reshape(50, 3) == 7, np.nan, scores))
    with pytest.raises(DataError, match="alone"):
        tacit.find_missing(labels * 2, scores)
    with pytest.raises(DataError, match="no known positive"):
        tacit.find_missing(0 * labels, scores)
    with pytest.raises(UsageError, match="names"):
        tacit.find_missing(labels, scores, classes=("a",))
    with pytest.raises(UsageError, match="not both"):
        tacit.find_missing(labels, scores, labelling_rate=0.5, labels_per_image=2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        tacit.find_missing(labels, scores, labelling_rate=1.5)
    with pytest.raises(UsageError, match="known labels an image"):
        tacit.find_missing(labels, scores, labels_per_image=0.01)
