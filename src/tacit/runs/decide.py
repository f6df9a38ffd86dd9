"""Deciding for the model of a run: what its recipe asks, on images it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.config import DecideConfig
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.evaluation.decisions import decide
from tacit.evaluation.goals import parse_goal


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
    found = decide(
        probabilities,
        source.labels.dense(),
        source.classes,
        parse_goal(settings.goal),
        labels_per_image=settings.labels_per_image,
        images=images,
    )
    if found is None:
        return {"thresholds": {}}
    return {"thresholds": found.thresholds, "decisions": found.about}
