"""Thresholds for another goal, from what a model stores of its calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.errors import DataError, UsageError
from tacit.evaluation.calibration import Calibration
from tacit.evaluation.goals import Curve, Goal, parse_goal
from tacit.models.artefact import read_config, read_thresholds


def choose_thresholds(
    folder: Path, threshold: float | None, goal: str | None
) -> NDArray[np.float32]:
    """Return from which probability on each class is decided.

    Args:
        folder: Where the model is.
        threshold: The same for all classes, in place of what is stored.
        goal: What for, in place of the goal that was stored.
    """
    if goal is None:
        return read_thresholds(folder, threshold)
    if threshold is not None:
        raise UsageError("--threshold and --goal both say where to cut; leave one of them out.")
    wanted = parse_goal(goal)
    decisions = read_config(folder).get("decisions")
    if decisions is None:
        raise DataError(
            f"The model in {folder} does not store what its probabilities are worth, so nothing "
            f"can be decided for {goal}; `tacit decide` stores it for a run that an earlier tacit "
            f"trained."
        )
    if wanted.kind == "looks":
        raise UsageError(
            f"What is looked at is decided before: tacit decide {folder} --goal {goal}."
        )
    return _choose(folder, decisions, wanted)


def choose_looks(
    folder: Path, threshold: float | None, goal: str | None
) -> NDArray[np.float32] | None:
    """Return from which probability on a person looks at each class, if that was decided."""
    config = read_config(folder)
    stored = (config.get("decisions") or {}).get("look_from")
    if stored is None or threshold is not None or goal is not None:
        return None
    chosen = read_thresholds(folder)
    for column, name in enumerate(config["model"]["classes"]):
        chosen[column] = stored.get(name, chosen[column])
    return chosen


def _choose(folder: Path, decisions: dict[str, Any], goal: Goal) -> NDArray[np.float32]:
    told, classes = decisions["curve"], read_config(folder)["model"]["classes"]
    names = ("threshold", "labels", "precision", "missed", "least")
    lists = {name: np.array(told[name]) for name in names if told.get(name) is not None}
    curve = Curve(**lists, present=told["present"], images=told["images"])
    place = curve.choose(goal)
    if place is None:
        least = curve.precision[0] if curve.least is None else curve.least[0]
        reach = f"precision {least:.2f} and {curve.labels[0]:.4f} labels an image"
        raise UsageError(
            f"Nothing that the model in {folder} stores serves {goal}: at its strictest it expects "
            f"{reach}, and it rests on {decisions['rests_on']}."
        )
    chosen = read_thresholds(folder)
    stored = decisions["calibration"]
    known = [column for column, name in enumerate(classes) if name in stored["shifts"]]
    shifts = np.array([stored["shifts"][classes[column]] for column in known])
    chosen[known] = Calibration(stored["slope"], shifts).invert(float(curve.threshold[place]))
    return chosen
