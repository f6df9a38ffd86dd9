"""The estimator for scikit-learn: its own checks, pipelines and grids, and labels with gaps."""

from __future__ import annotations

import doctest
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from tacit import MultiLabelClassifier
from tacit import estimator as module
from tacit.errors import UsageError
from test_trained_model import assert_nothing_changed, everything_global

PAGE = Path(__file__).parent.parent / "docs" / "python.md"

# What scikit-learn expects of a classifier of single labels, and why it is otherwise here.
A_COLUMN_A_CLASS = "predictions have a column for each class, also where y has one class an image"
EXPECTED_FAILURES = {
    "check_classifiers_train": A_COLUMN_A_CLASS,
    "check_classifiers_classes": A_COLUMN_A_CLASS,
    "check_decision_proba_consistency": A_COLUMN_A_CLASS,
}


def name_of_check(check: Any) -> str:
    return str(getattr(check, "func", check).__name__)


def list_checks() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        found = estimator_checks_generator(MultiLabelClassifier(device="cpu", epochs=3))
        return [
            pytest.param(*each, id=f"{number}-{name_of_check(each[1])}")
            for number, each in enumerate(found)
        ]


@pytest.mark.parametrize(("estimator", "check"), list_checks())
def test_scikit_learn_checks_it(
    estimator: MultiLabelClassifier, check: Any, recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("ignore")  # of scikit-learn's own checks
    if name_of_check(check) in EXPECTED_FAILURES:
        with pytest.raises(AssertionError):
            check(estimator)
    else:
        check(estimator)


def test_the_page_states_what_fails() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in EXPECTED_FAILURES if f"`{name}`" in text} == set(EXPECTED_FAILURES)
    assert text.count("`check_") == len(EXPECTED_FAILURES)


@pytest.fixture(scope="module")
def features() -> tuple[Any, Any, Any]:
    """Three classes that a line tells apart, and one positive kept of each row that has any."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 6))
    truth = (X[:, :3] > 0.3).astype(np.int64)
    seen = np.zeros_like(truth)
    for row in np.flatnonzero(truth.any(1)):
        seen[row, generator.choice(np.flatnonzero(truth[row]))] = 1
    return X, truth, seen


def quick(**options: Any) -> MultiLabelClassifier:
    return MultiLabelClassifier(lr=0.05, device="cpu", **options)


def test_it_learns_from_single_positives(features: tuple[Any, Any, Any]) -> None:
    X, truth, seen = features
    model = quick().fit(X[:200], seen[:200])
    scores = model.predict_proba(X[200:])
    assert average_precision_score(truth[200:], scores, average="macro") > 0.9
    assert model.score(X[200:], truth[200:]) == pytest.approx(
        average_precision_score(truth[200:], scores, average="macro"), abs=1e-6
    )
    assert model.predict(X[:5]).tolist() == (model.predict_proba(X[:5]) >= 0.5).tolist()
    assert ((model.decision_function(X) > 0) == (model.predict_proba(X) > 0.5)).all()
    assert not model.fit(X, seen).model_.training


def test_what_is_unknown_is_said_once(features: tuple[Any, Any, Any]) -> None:
    X, truth, seen = features
    # Known negatives where the first column is absent; the rest is unknown.
    states = seen.copy()
    states[:, 0] = np.where(truth[:, 0] == 1, 1, -1)
    as_nan = np.where(states == 0, np.nan, (states + 1) / 2)
    as_minus = np.where(states == 0, -1, (states + 1) // 2)
    expected = quick().fit(X, states).decision_function(X)
    for unknown, y in (("nan", as_nan), (float("nan"), as_nan), (-1, as_minus), (0, states)):
        for given in (y, y.tolist(), list(y)):
            found = quick(unknown=unknown).fit(X, given).decision_function(X)
            np.testing.assert_array_equal(found, expected)
    other = quick().fit(X, seen).decision_function(X)
    assert not np.allclose(other, expected)


def test_one_class_an_image_is_one_known_positive(features: tuple[Any, Any, Any]) -> None:
    X, _, seen = features
    rows = seen.any(1)
    names = np.array(["ant", "bee", "cow"])[seen[rows].argmax(1)]
    by_name = quick().fit(X[rows], names)
    assert by_name.classes_.tolist() == ["ant", "bee", "cow"]
    by_column = quick().fit(X[rows], seen[rows])
    np.testing.assert_array_equal(by_name.predict_proba(X), by_column.predict_proba(X))
    assert by_name.score(X[rows], names) == by_column.score(X[rows], seen[rows])


def test_a_pipeline_and_a_grid(features: tuple[Any, Any, Any]) -> None:
    X, truth, seen = features
    steps = make_pipeline(StandardScaler(), quick(epochs=4))
    grid = {
        "multilabelclassifier__method": ["an", "em"],
        "multilabelclassifier__lr": [1e-5, 0.05],
    }
    search = GridSearchCV(steps, grid, cv=3).fit(X, seen)
    assert search.best_params_["multilabelclassifier__lr"] == 0.05
    assert search.predict(X).shape == truth.shape
    assert len(cross_val_score(quick(epochs=4), X, truth, scoring="average_precision")) == 5
    with_gaps = np.where(seen == 1, 1.0, np.nan)
    gaps = cross_val_score(quick(epochs=4, unknown="nan"), X, with_gaps, cv=KFold(3))
    assert np.isfinite(gaps).all()


def test_it_is_cloned_and_pickled(features: tuple[Any, Any, Any]) -> None:
    X, _, seen = features
    model = quick(settings={"method.delta": 0.5}, method="an_ls", classes=("a", "b", "c"))
    with pytest.raises(UsageError, match="no hyperparameter of 'an_ls' called 'delta'"):
        clone(model).fit(X, seen)
    model.set_params(settings=None).fit(X, seen)
    again = clone(model)
    assert again.get_params() == model.get_params() and not hasattr(again, "model_")
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert copy.classes_.tolist() == ["a", "b", "c"]


def test_a_seed_decides_and_none_draws(features: tuple[Any, Any, Any]) -> None:
    X, _, seen = features

    def scores(state: Any) -> Any:
        return quick(epochs=2, random_state=state).fit(X, seen).decision_function(X)

    np.testing.assert_array_equal(scores(3), scores(3))
    assert not np.array_equal(scores(3), scores(4))
    assert not np.array_equal(scores(None), scores(None))
    fixed = [scores(np.random.RandomState(5)) for _ in range(2)]
    np.testing.assert_array_equal(*fixed)


@pytest.mark.parametrize("method", ["wan", "role", "ll_ct", "plc", "plc_lac", "crisp", "em_apl"])
def test_methods_of_every_kind_learn_a_matrix(method: str, features: tuple[Any, Any, Any]) -> None:
    X, truth, seen = features
    model = quick(method=method, epochs=3).fit(X, seen)
    assert np.isfinite(model.decision_function(X)).all()


@pytest.mark.parametrize("method", ["ignore", "calr"])
def test_a_method_that_looks_for_places_is_refused(
    method: str, features: tuple[Any, Any, Any]
) -> None:
    X, _, seen = features
    with pytest.raises(UsageError, match="images of its own making|places in images"):
        quick(method=method).fit(X, seen)


COLOURS = {"red": (1, 0, 0), "lime": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}
SETTINGS = {"model.trunk": "tiny", "model.size": 16}


def test_images_of_every_kind(tmp_path: Path) -> None:
    names = list(COLOURS) * 6
    opened = [Image.new("RGB", (20, 16), name) for name in names]
    paths = []
    for number, image in enumerate(opened):
        paths.append(tmp_path / f"{number:02}.png")
        image.save(paths[-1])
    y = np.array([COLOURS[name] for name in names])
    arrays = np.stack([np.asarray(image) for image in opened])
    scores = []
    for X in (opened, paths, [str(path) for path in paths], arrays, list(arrays), tmp_path):
        model = MultiLabelClassifier("an", epochs=2, batch=8, settings=SETTINGS, device="cpu")
        scores.append(model.fit(X, y).predict_proba(X))
        assert model.predict(X).shape == (24, 3) and not hasattr(model, "n_features_in_")
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=1e-6)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(paths), model.predict_proba(paths))
    assert len(set(np.round(scores[0][:4, 0], 6))) > 1
    twice = clone(model).fit([paths[0]] * 12 + paths[:12], y)
    assert twice.decision_function(paths[0]).shape == (1, 3)
    with pytest.raises(ValueError, match="has learned from images"):
        model.predict(np.zeros((2, 5)))


def test_nothing_global_changes(features: tuple[Any, Any, Any]) -> None:
    X, _, seen = features
    torch.manual_seed(5)
    before = everything_global()
    model = quick(epochs=2, random_state=None).fit(X, seen)
    model.predict(X)
    model.score(X, seen)
    assert_nothing_changed(before)


def test_its_example_runs() -> None:
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(MultiLabelClassifier, "example", module):
        runner.run(example)
    assert runner.tries >= 4 and not runner.failures
