"""Decisions: better than the best few of each image, and honest about what they rest on."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.evaluation.calibration import to_probabilities
from tacit.evaluation.decisions import decide
from tacit.evaluation.goals import parse_goal
from tacit.evaluation.metrics import f1_of_decided
from tacit.models.saved import SavedDecisions

NAMES = tuple("abcdefgh")


def draw(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a model's probabilities and the truth: rare and common classes, timid and wrong."""
    random = np.random.default_rng(seed)
    latent = random.normal(np.linspace(-4, 0.5, 8), 2.0, (images, 8))
    truth = np.where(random.random(latent.shape) < to_probabilities(latent), 1, -1)
    # The model is squeezed by how often positives of a class go unlabelled.
    told = to_probabilities(0.6 * latent - 2 + np.linspace(1, -1, 8))
    return told.astype(np.float32), truth.astype(np.int8)


def show_one(truth: np.ndarray, seed: int) -> np.ndarray:
    """Return labels of which each image keeps a single positive."""
    random = np.random.default_rng(seed)
    labels = np.zeros_like(truth)
    for row in np.flatnonzero((truth == 1).any(1)):
        labels[row, random.choice(np.flatnonzero(truth[row] == 1))] = 1
    return labels


def cells(told: np.ndarray, thresholds: dict[str, float]) -> np.ndarray:
    return told >= np.array([thresholds.get(name, 0.5) for name in NAMES], dtype=np.float32)


def of1(told: np.ndarray, truth: np.ndarray, thresholds: dict[str, float]) -> float:
    return f1_of_decided(cells(told, thresholds), truth == 1).of1


@pytest.mark.parametrize("stated", [True, False])
def test_single_positives_decide_better_than_the_best_few(stated: bool) -> None:
    told, truth = draw(2_000, 0)
    new, new_truth = draw(5_000, 1)
    mean = float((truth == 1).sum(1).mean())
    labels = show_one(truth, 2)
    found = decide(told, labels, NAMES, labels_per_image=mean if stated else None)
    clean = decide(told, truth, NAMES)
    assert found and clean
    reached = of1(new, new_truth, found.thresholds)
    best_few = (-new).argsort(1).argsort(1) < round(mean)
    assert reached > f1_of_decided(best_few, new_truth == 1).of1 + 0.05
    assert reached > f1_of_decided(new >= 0.5, new_truth == 1).of1 + 0.05
    assert reached > of1(new, new_truth, clean.thresholds) - (0.02 if stated else 0.04)


def test_clean_labels_find_the_best_of_a_search() -> None:
    """No multiple of the thresholds, for all classes or any one of them, is better by much."""
    told, truth = draw(3_000, 3)
    found = decide(told, truth, NAMES)
    assert found
    best = of1(told, truth, found.thresholds)
    for factor in np.geomspace(0.3, 3, 25):
        assert of1(told, truth, {n: factor * t for n, t in found.thresholds.items()}) < best + 0.002
        for name in NAMES:
            moved = {**found.thresholds, name: factor * found.thresholds[name]}
            assert of1(told, truth, moved) < best + 0.003
    assert found.about["expected"]["f1"] == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize("clean", [True, False])
def test_goals_are_met_on_new_images(clean: bool) -> None:
    told, truth = draw(4_000, 4)
    new, new_truth = draw(8_000, 5)
    labels = truth if clean else show_one(truth, 6)
    mean = float((truth == 1).sum(1).mean())

    def at(goal: str) -> np.ndarray:
        found = decide(told, labels, NAMES, parse_goal(goal), labels_per_image=mean)
        assert found and found.about["met"] and found.about["goal"] == goal
        return cells(new, found.thresholds)

    positive = new_truth == 1
    decided = at("precision=0.8")
    assert positive[decided].mean() == pytest.approx(0.8, abs=0.04)
    assert at("labels=1.2").sum(1).mean() == pytest.approx(1.2, abs=0.1)
    some = positive.any(1)
    covered = ((at("coverage=0.9") & positive).sum(1)[some] / positive.sum(1)[some]).mean()
    assert covered == pytest.approx(0.9, abs=0.02)


def test_looks_are_told_apart_from_decisions() -> None:
    told, truth = draw(4_000, 7)
    found = decide(told, truth, NAMES, parse_goal("looks=0.5"))
    usual = decide(told, truth, NAMES)
    assert found and usual
    sure, looked = cells(told, found.thresholds), cells(told, found.about["look_from"])
    assert (sure & ~looked).sum() == 0
    assert (looked & ~sure).sum(1).mean() == pytest.approx(0.5, abs=0.02)
    after = f1_of_decided(sure | (looked & (truth == 1)), truth == 1).of1
    assert after > of1(told, truth, usual.thresholds) + 0.04
    assert found.about["expected"]["f1"] == pytest.approx(after, abs=0.01)


def test_what_it_rests_on_is_said() -> None:
    told, truth = draw(400, 8)
    labels = show_one(truth, 9)
    labels[[0, 1]], truth[[0, 1]] = 0, -1
    known = int((labels == 1).sum())

    def words(labels: np.ndarray, **more: object) -> tuple[str, str, str]:
        found = decide(told, labels, NAMES, **more)  # type: ignore[arg-type]
        assert found
        SavedDecisions.model_validate(found.about)
        number = found.about["labels_per_image"]
        return found.about["evidence"], number["source"], found.about["rests_on"]

    assert words(truth) == ("clean", "counted", "clean labels of 400 validation images")
    assert words(labels, labels_per_image=3) == (
        "positives",
        "stated",
        f"{known} known positives of 400 validation images, one each, and 3.00 labels per image, "
        f"as stated",
    )
    assert words(labels)[:2] == ("positives", "estimated")
    assert words(labels)[2].endswith("labels per image, estimated from them")
    verdicts = np.zeros_like(truth)
    verdicts[:40] = truth[:40]
    assert words(labels, verdicts=verdicts)[:2] == ("verdicts", "verdicts")
    assert words(labels, verdicts=verdicts)[2] == (
        f"320 verdicts, and {known} known positives of 400 validation images, one each"
    )
    assert words(labels, verdicts=truth)[0] == "clean"


def test_verdicts_help_where_the_stated_number_is_wrong() -> None:
    told, truth = draw(4_000, 10)
    labels = show_one(truth, 11)
    verdicts = np.zeros_like(truth)
    cells = np.random.default_rng(12).choice(truth.size, 1_500, replace=False)
    verdicts.flat[cells] = truth.flat[cells]
    wrong = 2.5 * float((truth == 1).sum(1).mean())
    without = decide(told, labels, NAMES, labels_per_image=wrong)
    found = decide(told, labels, NAMES, labels_per_image=wrong, verdicts=verdicts)
    clean = decide(told, truth, NAMES)
    assert without and found and clean
    reached, least, most = (of1(told, truth, d.thresholds) for d in (found, without, clean))
    assert least + 0.02 < reached
    assert reached > most - 0.015


def test_a_class_that_no_image_shows_is_left_at_its_usual_threshold() -> None:
    told, truth = draw(200, 13)
    truth[:, 3] = -1
    for labels in (truth, show_one(truth, 14)):
        found = decide(told, labels, NAMES)
        assert found
        assert set(found.thresholds) == set(NAMES) - {"d"}
        assert found.about["undecided"] == ["d"]
    assert decide(told, np.zeros_like(truth), NAMES) is None
    verdicts = np.zeros_like(truth)
    verdicts[:, 3] = np.where(np.arange(200) % 20, -1, 1)  # until somebody sees it
    found = decide(told, show_one(truth, 14), NAMES, verdicts=verdicts)
    assert found and found.about["undecided"] == [] and np.isfinite(found.thresholds["d"])


def test_a_number_below_what_is_known_is_raised_to_it() -> None:
    told, truth = draw(500, 15)
    found = decide(told, show_one(truth, 16), NAMES, labels_per_image=0.1)
    assert found
    assert (
        found.about["labels_per_image"]["value"] >= (show_one(truth, 16) == 1).sum(1).mean() - 1e-3
    )


def test_large_tables_are_decided_by_some_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    told, truth = draw(6_000, 17)
    whole = decide(told, truth, NAMES)
    monkeypatch.setattr("tacit.evaluation.decisions.MOST_CELLS", 16_000)
    some = decide(told, truth, NAMES)
    assert whole and some
    assert (whole.about["images"], some.about["images"]) == (6_000, 2_000)
    assert of1(told, truth, some.thresholds) > of1(told, truth, whole.thresholds) - 0.01
