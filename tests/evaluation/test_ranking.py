"""Average precision of tensors, against the one of arrays, which equals scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from tacit.evaluation import metrics, ranking
from tacit.evaluation.ranking import average_precision

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-12}
ROUNDED = {"no ties": 9, "some ties": 2, "many ties": 1, "one value": 0}


def tables(decimals: int = 9, dtype: str = "float32") -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    scores = (random.random((300, 7)) * 0.4).round(decimals).astype(dtype)
    return scores, random.random(scores.shape) < 0.1


@pytest.mark.parametrize("decimals", ROUNDED.values(), ids=ROUNDED)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ties_are_one_threshold_at_every_width(dtype: str, decimals: int) -> None:
    scores, truth = tables(decimals, dtype)
    expected = [average_precision_score(truth[:, c], scores[:, c]) for c in range(7)]
    found = average_precision(torch.from_numpy(scores), torch.from_numpy(truth))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, **CLOSE)


def test_a_tie_worked_by_hand() -> None:
    # 0.6 is positive: 1/1 at half of the positives. 0.5 is a tie of three with one: 2/4 at all.
    scores = torch.tensor([[0.5], [0.5], [0.4], [0.6], [0.5]])
    truth = torch.tensor([[0], [1], [0], [1], [0]])
    assert average_precision(scores, truth).tolist() == [0.75]


def test_negative_zero_ties_with_zero() -> None:
    scores, truth = torch.tensor([[0.0], [-0.0], [-1.0]]), torch.tensor([[0], [1], [0]])
    assert average_precision(scores, truth).tolist() == [0.5]


def test_a_class_without_positives_gets_zero() -> None:
    assert average_precision(torch.rand(4, 2), torch.zeros(4, 2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("decimals", ROUNDED.values(), ids=ROUNDED)
def test_cells_that_are_not_known_do_not_count(decimals: int) -> None:
    scores, truth = tables(decimals)
    known = np.random.default_rng(1).random(truth.shape) < 0.6
    known[:, 3] = False
    expected = metrics.average_precision(scores, np.where(known, truth, -1), known)
    scores[~known] = np.nan
    found = average_precision(*map(torch.from_numpy, (scores, truth, known)))
    assert found[3] == 0
    np.testing.assert_allclose(found.numpy(), expected, **CLOSE)


def test_blocks_of_classes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, truth = map(torch.from_numpy, tables(2))
    whole = average_precision(scores, truth)
    monkeypatch.setattr(ranking, "_CELLS", 2 * len(scores))
    assert torch.equal(average_precision(scores, truth), whole)


def test_what_has_no_rank_is_refused() -> None:
    scores, truth = map(torch.from_numpy, tables())
    scores[4, 2] = torch.nan
    with pytest.raises(ValueError, match="Scores of 1 classes are NaN"):
        average_precision(scores, truth)


@pytest.mark.parametrize("shape", [(300, 6), (300,), (0, 7)], ids=str)
def test_tables_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    scores = torch.zeros(shape)
    truth = torch.zeros(300, 7) if len(scores) else scores
    with pytest.raises(ValueError, match="must be images by classes"):
        average_precision(scores, truth)
