"""Where two trained models disagree, in test images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.data.source import Source
from tacit.evaluation.evaluate import predict
from tacit.experiments.finished import FinishedRun
from tacit.images.loader import build_evaluation_loader
from tacit.images.views import plain
from tacit.models.artefact import load_model
from tacit.report.examples import Example
from tacit.report.page import Gallery
from tacit.runs.folder import Run

LOOKED_AT = 300
"""So many of the first test images are looked at."""
EACH_WAY = 3
BATCH, SIDE = 64, 168


def collect_disagreements(one: FinishedRun, other: FinishedRun) -> Gallery:
    """Show test images that one of two runs gets right and the other does not, and the reverse.

    Of each image a model is asked for as many classes as the image shows, those it finds most
    probable. Half of the images speak most for the one, half for the other, so that nobody has
    chosen the winner by choosing images.
    """
    source = Run(one.folder).splits().test
    source = source.take(np.arange(min(LOOKED_AT, len(source))))
    truth = source.labels.dense() == 1
    ours, theirs = (_most_probable(run, source, truth) for run in (one, other))
    lead = (ours & truth).sum(1) - (theirs & truth).sum(1)
    order = np.argsort(lead, kind="stable")
    rows = [row for row in order[::-1][:EACH_WAY].tolist() if lead[row] > 0]
    rows += [row for row in order[:EACH_WAY].tolist() if lead[row] < 0]
    examples = tuple(_draw(source, row, truth[row], ours[row], theirs[row]) for row in rows)
    words = {
        "known": ("both", "there, and both see it"),
        "found": (one.name, "there, and only this one sees it"),
        "missed": (other.name, "there, and only this one sees it"),
        "wrong": ("wrong", "not there, or seen by neither"),
    }
    return Gallery("Where they disagree", examples, words)


def _most_probable(run: FinishedRun, source: Source, truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark as many of the most probable classes of each image as it shows."""
    model = load_model(run.folder)
    loader = build_evaluation_loader(source, model.size, BATCH, 0)
    scores = predict(model, loader, torch.device("cpu"))
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
    marked: NDArray[np.bool_] = places < truth.sum(1, keepdims=True)
    return marked


def _draw(
    source: Source,
    row: int,
    truth: NDArray[np.bool_],
    ours: NDArray[np.bool_],
    theirs: NDArray[np.bool_],
) -> Example:
    def names(cells: NDArray[np.bool_], word: str = "") -> tuple[str, ...]:
        return tuple(word + source.classes[column] for column in np.flatnonzero(cells))

    return Example(
        plain(source.open(row), SIDE).permute(1, 2, 0).numpy(),
        None,
        None,
        "",
        names(truth & ours & theirs),
        names(truth & ours & ~theirs),
        names(truth & ~ours & theirs),
        names(truth & ~ours & ~theirs, "neither saw ") + names(~truth & (ours | theirs), "no "),
        source.images[row],
    )
