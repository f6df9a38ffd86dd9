"""Deciding for the model of a run: what its recipe asks, on images it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.config import Config, DecideConfig
from tacit.data.source import Source
from tacit.devices import choose_device
from tacit.errors import DataError, UsageError
from tacit.evaluation.decisions import Decisions, decide
from tacit.evaluation.goals import parse_goal
from tacit.models.artefact import load_model
from tacit.runs.score import predict_split


def check_decide(settings: DecideConfig, source: Source) -> None:
    """Refuse a number of labels per image that labels already contradict."""
    parse_goal(settings.goal)
    stated = settings.labels_per_image
    if stated is None:
        return
    known = float(source.labels.per_image(1).mean())
    if not known - 0.005 <= stated <= len(source.classes):
        raise UsageError(
            f"decide.labels_per_image is {stated:g}, but an image of '{source.name}' has "
            f"{known:.2f} known labels on average, of {len(source.classes)} classes; state how "
            f"many there really are, or leave it out to have it estimated."
        )


def decide_for(
    settings: DecideConfig,
    source: Source,
    probabilities: NDArray[np.float32],
    images: str = "validation",
) -> dict[str, Any]:
    """Return what is stored beside a model: its thresholds, and what they rest on.

    Args:
        settings: Goal and side information.
        source: Images that the model was not trained on, with what is known of them.
        probabilities: (N, C), what the model says of them.
        images: What they are called in words.
    """
    found = _decide(settings, source.labels.dense(), source.classes, probabilities, images)
    return {"thresholds": {}} if found is None else _tell(found)


def decide_again(
    folder: Path,
    source: Source,
    config: Config,
    settings: DecideConfig,
    *,
    images: str = "validation",
    verdicts: Mapping[tuple[str, str], int] | None = None,
) -> dict[str, Any]:
    """Return other thresholds for the model of a run, and what they rest on; store nothing.

    Args:
        folder: The run folder.
        source: Images that the model was not trained on; classes are matched by their names.
        config: The configuration of the run.
        settings: Goal and side information.
        images: What the images are called in words.
        verdicts: What people said: 1 or -1 for an image and a class.
    """
    model = load_model(folder)
    shared = [name for name in model.classes if name in source.classes]
    labels = np.zeros((len(source), len(model.classes)), dtype=np.int8)
    places = [model.classes.index(name) for name in shared]
    labels[:, places] = source.labels.dense()[:, [source.classes.index(name) for name in shared]]
    seen = None if verdicts is None else _place(verdicts, source.images, model.classes)
    device = choose_device(config.run.device)
    told = predict_split(model.to(device), source, config, device)
    found = _decide(settings, labels, model.classes, told, images, seen)
    if found is None:
        raise DataError(
            f"No positive is known of the {len(source):,} images of '{source.name}' for any class "
            f"of the model in {folder}; nothing can be concluded from them."
        )
    return _tell(found)


def _place(
    verdicts: Mapping[tuple[str, str], int], images: Sequence[str], classes: Sequence[str]
) -> NDArray[np.int8]:
    """Return verdicts as a table of images and classes."""
    rows, columns = ({name: at for at, name in enumerate(names)} for names in (images, classes))
    seen = np.zeros((len(images), len(classes)), dtype=np.int8)
    for (image, label), state in verdicts.items():
        if image in rows and label in columns:
            seen[rows[image], columns[label]] = state
    return seen


def _decide(
    settings: DecideConfig,
    labels: NDArray[np.int8],
    classes: Sequence[str],
    told: NDArray[np.float32],
    images: str,
    seen: NDArray[np.int8] | None = None,
) -> Decisions | None:
    return decide(
        told,
        labels,
        classes,
        parse_goal(settings.goal),
        labels_per_image=settings.labels_per_image,
        verdicts=seen,
        images=images,
    )


def _tell(found: Decisions) -> dict[str, Any]:
    return {"thresholds": found.thresholds, "decisions": found.about}
