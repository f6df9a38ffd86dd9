"""Goals: each threshold against trying all of them, and coverage of images not yet seen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tacit.errors import UsageError
from tacit.evaluation.goals import Goal, choose_looks, draw_curve, parse_goal


def draw(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities, and labels drawn by them."""
    random = np.random.default_rng(seed)
    calibrated = random.beta(0.6, 2.0, (images, classes))
    return calibrated, random.random(calibrated.shape) < calibrated


def expect(calibrated: np.ndarray, decided: np.ndarray) -> tuple[float, float, float]:
    """Return labels per image, precision and F1 to be expected, cell by cell."""
    right = sum(p for p, d in zip(calibrated.flat, decided.flat, strict=True) if d)
    count = sum(1 for d in decided.flat if d)
    total = sum(calibrated.flat)
    return count / len(calibrated), right / count, 2 * right / (count + total)


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_serves_better(seed: int) -> None:
    calibrated, positive = draw(12, 3, seed)
    calibrated = calibrated.round(1) + 0.05  # with ties
    curve = draw_curve(calibrated, positive)
    tried = {
        value: expect(calibrated, calibrated >= value - 1e-9) for value in np.unique(calibrated)
    }

    def found(goal: str) -> tuple[float, float, float]:
        place = curve.choose(parse_goal(goal))
        assert place is not None
        return expect(calibrated, calibrated >= curve.threshold[place])

    assert found("f1")[2] == pytest.approx(max(f1 for _, _, f1 in tried.values()))
    reached = sorted(precision for _, precision, _ in tried.values())
    wanted = reached[len(reached) // 2]
    fit = [labels for labels, precision, _ in tried.values() if precision >= wanted - 1e-12]
    assert found(f"precision={wanted - 1e-9}")[0] == pytest.approx(max(fit))
    fit = [labels for labels, _, _ in tried.values() if labels <= 1.5]
    assert found("labels=1.5")[0] == pytest.approx(max(fit))


def test_what_is_expected_is_what_happens() -> None:
    calibrated, positive = draw(20_000, 5, 0)
    curve = draw_curve(calibrated, positive)
    best = curve.choose(Goal())
    assert best is not None
    decided = calibrated >= curve.threshold[best]
    f1 = f1_score(positive.ravel(), decided.ravel())
    assert curve.f1()[best] == pytest.approx(f1, abs=0.01)
    assert curve.precision[best] == pytest.approx(positive[decided].mean(), abs=0.01)
    assert curve.present == pytest.approx(positive.sum(1).mean(), abs=0.02)
    most = max(
        f1_score(positive.ravel(), (calibrated >= t).ravel()) for t in np.arange(0.1, 0.9, 0.02)
    )
    assert f1 > most - 0.005


def test_a_goal_beyond_reach_has_no_threshold() -> None:
    curve = draw_curve(np.array([[0.4, 0.2]]), np.array([[True, False]]))
    assert curve.choose(parse_goal("precision=0.5")) is None
    assert curve.choose(parse_goal("labels=0.5")) is None
    assert curve.choose(parse_goal("coverage=0.9")) is None  # one image promises nothing
    assert curve.choose(parse_goal("precision=0.4")) == 0


@pytest.mark.parametrize(("images", "share"), [(25, 0.8), (60, 0.9)])
def test_sets_cover_images_not_yet_seen(images: int, share: float) -> None:
    """Over draws of images, the mean share of found labels is what was promised, and no more."""
    found = []
    for seed in range(400):
        calibrated, positive = draw(images + 200, 6, seed)
        told = calibrated**2  # as wrong as can be: nothing is assumed of the probabilities
        curve = draw_curve(told[:images], positive[:images])
        place = curve.choose(Goal("coverage", share))
        threshold = 0.0 if place is None else curve.threshold[place]
        new, known = told[images:] >= threshold, positive[images:]
        some = known.any(1)
        found.append(((new & known).sum(1)[some] / known.sum(1)[some]).mean())
    spread = float(np.std(found) / np.sqrt(len(found)))
    assert share - 3 * spread < np.mean(found) < share + 2.5 / images


def test_looks_against_every_stretch_of_cells() -> None:
    calibrated, _ = draw(5, 3, 1)
    decided, looked, f1 = choose_looks(calibrated, 0.8)  # four cells
    ranked = np.sort(calibrated, axis=None)[::-1]
    worth = []
    for start in range(len(ranked) - 3):
        right = ranked[: start + 4].sum()
        said = start + ranked[start : start + 4].sum()
        worth.append(2 * right / (said + ranked.sum()))
    assert f1 == pytest.approx(max(worth))
    best = int(np.argmax(worth))
    assert np.count_nonzero(calibrated >= decided) == best
    assert np.count_nonzero((calibrated >= looked) & (calibrated < decided)) == 4


def test_looks_reach_what_they_promise() -> None:
    calibrated, positive = draw(5_000, 4, 2)
    decided, looked, promised = choose_looks(calibrated, 0.5)
    kept = np.where(calibrated >= decided, True, (calibrated >= looked) & positive)
    assert f1_score(positive.ravel(), kept.ravel()) == pytest.approx(promised, abs=0.02)
    assert choose_looks(calibrated, 99)[2] == pytest.approx(1.0)  # everything was looked at


def test_few_points_follow_the_same_curve() -> None:
    calibrated, positive = draw(300, 4, 3)
    whole, few = draw_curve(calibrated, positive), draw_curve(calibrated, positive, 40)
    assert len(few.threshold) <= 40
    assert np.isin(few.threshold, whole.threshold).all()
    places = np.searchsorted(-whole.threshold, -few.threshold)
    for name in ("labels", "precision", "missed"):
        assert np.array_equal(getattr(few, name), getattr(whole, name)[places])
    assert few.labels[-1] == 4  # down to the last cell
    assert few.f1().max() > whole.f1().max() - 0.01


@pytest.mark.parametrize(
    "text", ["f2", "precision", "f1=1", "precision=1", "coverage=0", "labels=-1", "labels=inf"]
)
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"goal '?" if "=" in text else r"goal"):
        parse_goal(text)


def test_goals_are_written_as_they_are_read() -> None:
    for text in ("f1", "precision=0.9", "labels=3", "coverage=0.95", "looks=0.5"):
        assert str(parse_goal(text)) == text
    kinds = [parse_goal(text).kind for text in ("f1", "labels=3")]
    assert [*itertools.chain(kinds)] == ["f1", "labels"]
