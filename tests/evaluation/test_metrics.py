"""Metrics against scikit-learn, to the last bit where they promise it, and against hand counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from tacit.evaluation.metrics import (
    F1Scores,
    Identification,
    average_precision,
    f1_scores,
    identification,
    mean_average_precision,
    precision_recall_at_k,
)

both_widths = pytest.mark.parametrize("dtype", ["float32", "float64"])

# Five images, three classes, average precision worked by hand.
# Class 0, best first: 1 0 1 0 1 -> (1/1 + 2/3 + 3/5) / 3 = 0.7555...
# Class 1 has no positive -> 0.
# Class 2: 0.6 is positive (P 1/1, R 1/2); 0.5 is a tie of three with one positive (P 2/4, R 1);
# 0.4 adds nothing -> 1/2 * 1 + 1/2 * 1/2 = 0.75.
COLUMNS = [[0.9, 0.8, 0.7, 0.2, 0.1], [0.2, 0.1, 0.3, 0.2, 0.9], [0.5, 0.5, 0.4, 0.6, 0.5]]
SCORES = np.array(COLUMNS).T
TRUTH = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]])

# The same scores, -1 where nobody annotated.
# Class 0: images 0, 1, 3, 4 count, best first 1 0 0 1 -> (1/1 + 2/4) / 2 = 0.75.
# Class 1: no annotated image, skipped.
# Class 2: images 1, 2, 4 count; 0.5 is a tie of two with the positive -> P 1/2 at R 1 -> 0.5.
PARTIAL_TRUTH = np.array([[1, -1, -1], [0, -1, 1], [-1, -1, 0], [0, -1, -1], [1, -1, 0]])

REGIMES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "no ties": lambda logits: 1 / (1 + np.exp(-logits)),
    "logits": lambda logits: logits,
    "half precision": lambda logits: (1 / (1 + np.exp(-logits))).astype(np.float16),
    "two decimals": lambda logits: np.round(1 / (1 + np.exp(-logits)), 2),
    "saturated": lambda logits: 1 / (1 + np.exp(-12 * logits)),
    "whole numbers with both zeros": np.round,
    "tiny": lambda logits: logits * 1e-44,
    "constant": lambda logits: np.full_like(logits, 0.3),
}


def make_table(seed: int, images: int = 600) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Make logits that know something of the truth; classes go from absent to always present."""
    random = np.random.default_rng(seed)
    truth = (random.random((images, 21)) < np.linspace(0, 1, 21) ** 2).astype(np.int8)
    return random.normal(size=truth.shape) + 1.5 * truth - 1, truth


def reference(
    scores: NDArray[np.floating], truth: NDArray[np.integer], known: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Call scikit-learn on each class, or on its known cells, and put 0 where it would warn."""
    known = np.ones(truth.shape, dtype=bool) if known is None else known
    result = np.zeros(truth.shape[1])
    for column, cells in enumerate(known.T):
        if (truth[cells, column] == 1).any():
            result[column] = average_precision_score(truth[cells, column], scores[cells, column])
    return result


@both_widths
@pytest.mark.parametrize("regime", REGIMES)
def test_average_precision_equals_sklearn_to_the_last_bit(regime: str, dtype: str) -> None:
    for seed in range(3):
        logits, truth = make_table(seed)
        scores = REGIMES[regime](logits).astype(dtype)
        assert np.array_equal(average_precision(scores, truth), reference(scores, truth))


@both_widths
@pytest.mark.parametrize("images", [1, 2, 3, 17, 20_011])
def test_average_precision_equals_sklearn_at_any_length(images: int, dtype: str) -> None:
    logits, truth = make_table(images, images)
    for scores in (logits.astype(dtype), np.round(logits, 2).astype(dtype)):
        assert np.array_equal(average_precision(scores, truth), reference(scores, truth))


@both_widths
@pytest.mark.parametrize("regime", REGIMES)
def test_masked_average_precision_equals_sklearn_on_the_subset(regime: str, dtype: str) -> None:
    logits, truth = make_table(7)
    scores = REGIMES[regime](logits).astype(dtype)
    known = np.random.default_rng(8).random(truth.shape) < 0.3
    known[:, 4] = False
    known[:, 5] = truth[:, 5] == 0
    masked = average_precision(scores, np.where(known, truth, -1), known)
    assert np.array_equal(masked, reference(scores, truth, known))
    assert masked[4] == masked[5] == 0


def test_double_precision_scores_are_not_rounded_to_single_precision() -> None:
    # Both scores are 0.5 in float32, where the tie would give 1/2.
    scores = np.array([[0.5 + 1e-12], [0.5]])
    assert average_precision(scores, np.array([[1], [0]])) == 1.0
    assert average_precision(scores.astype(np.float32), np.array([[1], [0]])) == 0.5


@both_widths
def test_both_zeros_are_one_tie_and_infinity_has_a_rank(dtype: str) -> None:
    scores = np.array([[0.0], [-0.0]], dtype=dtype)
    assert average_precision(scores, np.array([[1], [0]])) == 0.5
    assert average_precision(scores, np.array([[0], [1]])) == 0.5
    assert np.signbit(scores[1, 0]), "the input must not be written to"
    scores = np.array([[-np.inf], [3.0], [np.inf], [-3.0]], dtype=dtype)
    # Best first: 1 0 0 1 -> (1/1 + 2/4) / 2.
    assert average_precision(scores, np.array([[1], [0], [1], [0]])) == 0.75


def test_layout_type_and_writability_of_the_input_do_not_matter() -> None:
    logits, truth = make_table(5)
    scores = logits.astype(np.float32)
    expected = average_precision(scores, truth)
    for table in (
        np.asfortranarray(scores),
        np.repeat(scores, 2, axis=1)[:, ::2],
        scores.astype(">f4"),
    ):
        table.setflags(write=False)
        assert np.array_equal(average_precision(table, truth.astype(bool)), expected)
    assert np.array_equal(average_precision(scores, truth.astype(np.float64)), expected)
    halves = scores.astype(np.float16)
    assert np.array_equal(average_precision(halves, truth), reference(halves, truth))


@both_widths
def test_mean_average_precision_counts_a_class_without_positives_as_zero(dtype: str) -> None:
    result = mean_average_precision(SCORES.astype(dtype), TRUTH)
    assert result.per_class == pytest.approx([0.7555555555555555, 0, 0.75], rel=1e-15)
    assert result.map == pytest.approx(50.18518518518519, rel=1e-15)
    assert result.map_scored == pytest.approx(100 * (0.7555555555555555 + 0.75) / 2, rel=1e-15)
    assert result.classes_scored == 2


def test_mean_average_precision_skips_a_class_without_known_cells() -> None:
    result = mean_average_precision(SCORES, PARTIAL_TRUTH, PARTIAL_TRUTH >= 0)
    assert np.array_equal(result.per_class, [0.75, 0, 0.5])
    assert (result.map, result.map_scored, result.classes_scored) == (62.5, 62.5, 2)
    # Known negatives alone count as 0.
    truth = PARTIAL_TRUTH.copy()
    truth[0, 1] = 0
    result = mean_average_precision(SCORES, truth, truth >= 0)
    assert result.map == pytest.approx(100 * (0.75 + 0 + 0.5) / 3, rel=1e-15)
    assert (result.map_scored, result.classes_scored) == (62.5, 2)
    result = mean_average_precision(SCORES, TRUTH, TRUTH == 0)
    assert (result.map, result.map_scored, result.classes_scored) == (0, 0, 0)


def test_f1_by_hand() -> None:
    probabilities = np.array([[0.9, 0.5, 0.1], [0.8, 0.2, 0.1], [0.1, 0.7, 0.2]])
    truth = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0]])
    # Hits 1, 1, 0; predicted 2, 2, 0 (0.5 reaches the threshold); present 2, 2, 1.
    scores = f1_scores(probabilities, truth)
    # OF1 is 2 * (1/2) * (2/5) / (1/2 + 2/5) = 4/9; the class means are (1/2 + 1/2 + 0) / 3.
    expected = F1Scores(2 / 4, 2 / 5, 4 / 9, 1 / 3, 1 / 3, 1 / 3)
    assert vars(scores) == pytest.approx(vars(expected))


def test_a_class_that_is_chosen_once_and_present_once_divides_by_one() -> None:
    # Hits 1, 1; predicted 1, 2; present 2, 1.
    scores = f1_scores(np.array([[0.9, 0.9], [0.1, 0.9]]), np.array([[1, 1], [1, 0]]))
    assert (scores.class_precision, scores.class_recall) == (3 / 4, 3 / 4)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_f1_agrees_with_sklearn(threshold: float) -> None:
    logits, truth = make_table(11)
    probabilities = 1 / (1 + np.exp(-logits))
    scores = f1_scores(probabilities, truth, threshold)
    predicted = probabilities >= threshold
    metrics = (precision_score, recall_score, f1_score)
    overall = [metric(truth, predicted, average="micro", zero_division=0) for metric in metrics]
    means = [metric(truth, predicted, average="macro", zero_division=0) for metric in metrics]
    assert [scores.overall_precision, scores.overall_recall, scores.of1] == pytest.approx(overall)
    assert [scores.class_precision, scores.class_recall] == pytest.approx(means[:2])
    # The mean of the F1 of each class is another number than the F1 of the means.
    assert scores.cf1 == pytest.approx(2 / (1 / means[0] + 1 / means[1]))
    assert scores.cf1 != pytest.approx(means[2], rel=1e-4)


def test_f1_is_zero_where_undefined() -> None:
    nothing = f1_scores(np.zeros((2, 2)), np.zeros((2, 2), dtype=int))
    assert set(vars(nothing).values()) == {0.0}


def test_precision_and_recall_at_k_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3], [0.5, 0.4, 0.3]])
    truth = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]])
    # k = 2: hits 1, 1, 0; precision (1/2 + 1/2 + 0) / 3; recall over two images (1/2 + 1/1) / 2.
    assert precision_recall_at_k(scores, truth, 2) == pytest.approx((1 / 3, 3 / 4))
    # k = 1: hits 1, 1, 0.
    assert precision_recall_at_k(scores, truth, 1) == pytest.approx((2 / 3, 3 / 4))
    # k = C: all positives are found.
    assert precision_recall_at_k(scores, truth, 3) == pytest.approx((3 / 9, 1))
    assert precision_recall_at_k(scores, np.zeros_like(truth), 2) == (0, 0)


def test_ties_at_k_go_to_the_lower_class() -> None:
    # Two values over many classes, which an unstable sort mixes up, and more than one block.
    scores = np.random.default_rng(2).integers(0, 2, (5_000, 200)).astype(np.float64)
    truth = np.zeros(scores.shape, dtype=np.int8)
    for row, values in enumerate(scores):
        truth[row, np.flatnonzero(values == 1)[:7]] = 1
    assert precision_recall_at_k(scores, truth, 7) == (1.0, 1.0)


def test_identification_by_hand() -> None:
    suspects = np.array([[0, 1, 1, 0], [0, 1, 0, 1]], dtype=bool)
    labels = np.array([[1, 0, 0, 0], [0, 0, 1, 0]])
    truth = np.array([[1, -1, 1, -1], [-1, 1, 1, -1]])
    # Suspects are cells (0, 1) negative, (0, 2) positive, (1, 1) positive, (1, 3) negative, and
    # there is no other positive with label 0.
    counts = identification(suspects, labels, truth)
    assert counts == Identification(tp=2, fp=2, fn=0)
    assert (counts.precision, counts.recall, counts.ratio) == (0.5, 1.0, 1.0)
    assert counts.f1 == pytest.approx(2 / 3)


def test_identification_looks_at_unknown_labels_only() -> None:
    labels, truth = np.array([1, -1, -1, 0, 0]), np.array([1, -1, 1, 0, 1])
    assert identification(np.ones(5, dtype=bool), labels, truth) == Identification(1, 0, 0)
    assert identification(np.zeros(5, dtype=bool), labels, truth) == Identification(0, 0, 1)


def test_identification_adds_up_from_nothing() -> None:
    random = np.random.default_rng(1)
    suspects = random.random((90, 8)) < 0.3
    labels, truth = random.integers(-1, 2, (90, 8)), random.integers(-1, 2, (90, 8))
    batches = [slice(start, start + 32) for start in range(0, 90, 32)]
    counts = [identification(suspects[rows], labels[rows], truth[rows]) for rows in batches]
    nothing = Identification()
    assert sum(counts, nothing) == identification(suspects, labels, truth)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    assert math.isnan(nothing.ratio)
    assert math.isnan(Identification(tp=3).ratio)


def test_missing_scores_name_the_class_and_the_count() -> None:
    scores = SCORES.copy()
    scores[:2, 1] = np.nan
    at_one = partial(precision_recall_at_k, k=1)
    for metric in (average_precision, mean_average_precision, f1_scores, at_one):
        with pytest.raises(ValueError, match="2 scores of class 1 are NaN"):
            metric(scores, TRUTH)
    # A score that does not count may be missing.
    masked = average_precision(scores, PARTIAL_TRUTH, PARTIAL_TRUTH >= 0)
    assert np.array_equal(masked, [0.75, 0, 0.5])


@pytest.mark.parametrize("metric", [average_precision, mean_average_precision, f1_scores])
def test_tables_that_do_not_fit_are_refused(metric: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"truth must have shape \(5, 3\), but has \(5, 2\)"):
        metric(SCORES, TRUTH[:, :2])
    for part in (np.s_[:, 0], np.s_[:0]):
        with pytest.raises(ValueError, match="scores must be images by classes"):
            metric(SCORES[part], TRUTH[part])
    with pytest.raises(ValueError, match="truth must be 1, 0 or -1, but 5 cells are not: 2"):
        metric(SCORES, TRUTH * 2)


def test_truth_with_blanks_needs_a_mask() -> None:
    for metric in (average_precision, mean_average_precision):
        with pytest.raises(ValueError, match=r"-1 \(not annotated\) in 8 cells that count"):
            metric(SCORES, PARTIAL_TRUTH)
        with pytest.raises(ValueError, match="known must be boolean"):
            metric(SCORES, PARTIAL_TRUTH, (PARTIAL_TRUTH >= 0).astype(int))
        with pytest.raises(ValueError, match=r"of shape \(5, 3\), but is bool of shape \(3, 3\)"):
            metric(SCORES, PARTIAL_TRUTH, (PARTIAL_TRUTH >= 0)[:3])
    with pytest.raises(ValueError, match="no class to score"):
        mean_average_precision(SCORES, TRUTH, np.zeros(TRUTH.shape, dtype=bool))
    with pytest.raises(ValueError, match="not annotated"):
        precision_recall_at_k(SCORES, PARTIAL_TRUTH, 1)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="1 probabilities are not from 0 to 1"):
        f1_scores(SCORES + (np.arange(15).reshape(5, 3) == 0), TRUTH)
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"k must be from 1 to .*, but is {k}"):
            precision_recall_at_k(SCORES, TRUTH, k)


def test_identification_refuses_tables_that_do_not_fit() -> None:
    suspects, labels = np.zeros((2, 3), dtype=bool), np.zeros((2, 3), dtype=int)
    with pytest.raises(ValueError, match="suspects must be boolean"):
        identification(suspects.astype(float), labels, labels)
    with pytest.raises(ValueError, match="truth must have shape"):
        identification(suspects, labels, labels[:1])
    with pytest.raises(ValueError, match="labels must be 1, 0 or -1"):
        identification(suspects, labels + 2, labels)
    with pytest.raises(ValueError, match="truth must be 1, 0 or -1"):
        identification(suspects, labels, labels - 2)


def test_of_many_classes_with_one_score_the_first_are_the_best() -> None:
    scores, truth = np.zeros((3, 70), dtype=np.float32), np.zeros((3, 70), dtype=np.int8)
    truth[:, [0, 3, 60]] = 1
    assert precision_recall_at_k(scores, truth, 5) == pytest.approx((2 / 5, 2 / 3))
