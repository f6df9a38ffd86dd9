"""From probabilities to decided labels: thresholds for a goal, and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.evaluation.calibration import (
    Array,
    Calibration,
    Mask,
    calibrate_on_labels,
    calibrate_on_positives,
    calibrate_on_verdicts,
    estimate_labels_per_image,
)
from tacit.evaluation.goals import Curve, Goal, choose_looks, draw_curve
from tacit.evaluation.precision import bound_precision

# More says little more, and costs each epoch that is kept a second.
MOST_CELLS = 1_000_000
CURVE_POINTS = 200
# Where images without a known positive are rarer, and none has two, images have one each.
MOST_WITHOUT = 0.1


@dataclass(frozen=True, eq=False)
class Decisions:
    """What is decided from a model's probabilities, and why.

    Attributes:
        thresholds: From which probability on each class is decided. Classes of which no positive
            is known are left out.
        about: What `tacit.models.saved.Decisions` describes: goal, basis, expectations,
            calibration.
    """

    thresholds: dict[str, float]
    about: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Evidence:
    calibration: Calibration
    kind: str
    source: str
    words: str
    right: Array | None = None  # how many right labels each cell stands for, if that is known
    scale: Callable[[NDArray[np.intp]], float] | None = None

    def draw(self, calibrated: Array, positive: Mask, points: int | None = None) -> Curve:
        """Return what to expect at thresholds, and at least."""
        curve = draw_curve(calibrated, positive, points)
        if self.right is None:
            return curve
        counted = self.kind == "clean"
        least = bound_precision(
            calibrated, self.right, curve.threshold, counted=counted, scale=self.scale
        )
        return replace(curve, least=least)


def decide(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int8],
    classes: Sequence[str],
    goal: Goal | None = None,
    *,
    labels_per_image: float | None = None,
    verdicts: NDArray[np.int8] | None = None,
    images: str = "validation",
) -> Decisions | None:
    """Choose the thresholds that serve a goal; None where no positive is known at all.

    What may be concluded depends on what is known. Where nothing is unknown, labels are counted.
    Otherwise known positives are taken for a fair sample, and the number of labels per image is
    stated, or estimated from them. Verdicts correct what follows from that.

    Args:
        probabilities: (N, C), of images that the model was not trained on.
        labels: (N, C), 1, 0 where unknown, -1.
        classes: Their names.
        goal: What for; the largest expected OF1 if None.
        labels_per_image: How many labels an image has on average, if somebody knows.
        verdicts: (N, C), 1 and -1 where somebody looked whatever the answer, 0 elsewhere.
        images: What the images are called in the words of the basis.
    """
    goal = goal or Goal()
    rows = _choose_rows(*probabilities.shape)
    told, labels = probabilities[rows], labels[rows]
    seen = np.zeros_like(labels) if verdicts is None else verdicts[rows]
    used = ((labels == 1) | (seen == 1)).any(0)
    if not used.any():
        return None
    names = [name for name, use in zip(classes, used, strict=True) if use]
    told, labels, seen = told[:, used], labels[:, used], seen[:, used]
    found = _calibrate(told, labels, seen, labels_per_image, images)
    calibrated = found.calibration(told)
    thresholds, chosen = _choose(calibrated, labels == 1, found, goal)
    curve = found.draw(calibrated, labels == 1, CURVE_POINTS)
    about = {
        "goal": str(goal),
        "rests_on": found.words,
        "evidence": found.kind,
        "images": len(told),
        "labels_per_image": {"value": curve.present, "source": found.source},
        **{key: value for key, value in chosen.items() if key != "look_from"},
        "undecided": [name for name, use in zip(classes, used, strict=True) if not use],
        "calibration": {
            "slope": found.calibration.slope,
            "shifts": dict(zip(names, found.calibration.shifts.tolist(), strict=True)),
        },
        "curve": _tell_curve(curve),
    }
    if "look_from" in chosen:
        look_from = found.calibration.invert(chosen["look_from"]).tolist()
        about["look_from"] = dict(zip(names, look_from, strict=True))
    return Decisions(dict(zip(names, thresholds.tolist(), strict=True)), about)


def _choose_rows(images: int, classes: int) -> NDArray[np.intp]:
    """Return all rows, or as many as are enough, evenly spread."""
    kept = max(MOST_CELLS // classes, 1000)
    return np.unique(np.linspace(0, images - 1, min(kept, images)).astype(np.intp))


def _calibrate(
    told: NDArray[np.float32],
    labels: NDArray[np.int8],
    seen: NDArray[np.int8],
    stated: float | None,
    images: str,
) -> _Evidence:
    where = f"{len(labels):,} {images} images"
    merged = np.where(seen == 0, labels, seen)
    if not (merged == 0).any():
        calibration = calibrate_on_labels(told, merged == 1)
        right = (merged == 1).astype(np.float64)
        return _Evidence(calibration, "clean", "counted", f"clean labels of {where}", right)
    positive = labels == 1
    known, fewest = positive.sum(1), float(positive.sum() / len(positive))
    one_each = bool(known.max() == 1 and (known == 0).mean() <= MOST_WITHOUT)
    number = estimate_labels_per_image(told, positive) if stated is None else stated
    number = min(max(number, fewest), labels.shape[1])
    calibration, share = calibrate_on_positives(told, positive, number, one_each=one_each)
    each = ", one each" if one_each else ""
    words = f"{int(known.sum()):,} known positives of {where}{each}"
    how = "estimated from them" if stated is None else "as stated"
    source = "estimated" if stated is None else "stated"
    looks = np.count_nonzero(seen)
    if looks:
        calibration = calibrate_on_verdicts(calibration, told, seen)
        return _Evidence(calibration, "verdicts", "verdicts", f"{looks:,} verdicts, and {words}")
    words = f"{words}, and {number:.2f} labels per image, {how}"
    right = _weigh(calibration(told), positive, share, one_each)

    def scale(rows: NDArray[np.intp]) -> float:
        return float(estimate_labels_per_image(told[rows], positive[rows]) / number)

    return _Evidence(
        calibration, "positives", source, words, right, scale if stated is None else None
    )


def _weigh(calibrated: Array, positive: Mask, share: Array, one_each: bool) -> Array:
    """Return how many right labels each known positive stands for, so that classes are as common
    as they are; see `calibrate_on_positives`."""
    weights = positive.astype(np.float64)
    if one_each:
        weights *= 1 + calibrated.sum(1, keepdims=True) - calibrated
    scaled: Array = weights * (share / weights.mean(0))
    return scaled


def _choose(
    calibrated: Array, positive: Mask, found: _Evidence, goal: Goal
) -> tuple[Array, dict[str, Any]]:
    """Return the model's probability from which on each class is decided, and what to expect."""
    calibration = found.calibration
    if goal.kind == "looks" and goal.value is not None:
        decided, looked, f1 = choose_looks(calibrated, goal.value)
        sure = calibrated >= decided
        right = float(calibrated[calibrated >= looked].sum())
        precision = float(calibrated[sure].mean()) if sure.any() else 1.0
        labels = float(sure.sum() / len(calibrated))
        recall = right / float(calibrated.sum())
        expected = _tell_expected(labels, precision, recall, f1)
        told = {"met": True, "expected": expected, "look_from": looked}
        return calibration.invert(decided), told
    precise = goal.kind == "precision"
    curve = found.draw(calibrated, positive) if precise else draw_curve(calibrated, positive)
    place = curve.choose(goal)
    met = place is not None
    if place is None:
        place = len(curve.threshold) - 1 if goal.kind == "coverage" else 0
    labels, precision = float(curve.labels[place]), float(curve.precision[place])
    recall, f1 = labels * precision / curve.present, float(curve.f1()[place])
    return calibration.invert(float(curve.threshold[place])), {
        "met": met,
        "expected": _tell_expected(labels, precision, recall, f1),
    }


def _tell_expected(labels: float, precision: float, recall: float, f1: float) -> dict[str, float]:
    """Name what to expect; sums of all cells may exceed their whole by a rounding."""
    shares = {"precision": precision, "recall": recall, "f1": f1}
    return {"labels": labels, **{name: min(share, 1.0) for name, share in shares.items()}}


def _tell_curve(curve: Curve) -> dict[str, Any]:
    names = ("threshold", "labels", "precision", "missed", "least")
    lists = {name: getattr(curve, name) for name in names}
    rounded = {
        name: [float(f"{value:.6g}") for value in values]
        for name, values in lists.items()
        if values is not None
    }
    return {**rounded, "present": curve.present, "images": curve.images}
