"""Choosing pictures for a page and asking a trained method what it makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.images.views import plain
from tacit.learner import Learner
from tacit.report.examples import Example
from tacit.runs.folder import Run
from tacit.types import Batch, Clock

EXAMPLES = 6


def collect_examples(run: Path, config: Config, splits: Splits) -> tuple[Example, ...]:
    """Show some training pictures through the eyes of a run's last state.

    The pictures are the first that lack at least two labels, one for each given class, so that
    nobody has picked the ones that went well.
    """
    source = splits.train
    learner = Run(run).learner(splits)
    rows = _choose(source)
    if not rows:
        return ()
    return _look(learner, config, source, rows)


def _choose(source: Source) -> list[int]:
    truth = source.require_truth("to show what is missing")
    rows: dict[int, int] = {}
    for row in range(len(source)):
        given = np.flatnonzero(source.labels[row] == 1)
        if len(given) == 1 and (truth[row] == 1).sum() >= 3:
            rows.setdefault(int(given[0]), row)
    return sorted(rows.values())[:EXAMPLES]


def _look(learner: Learner, config: Config, source: Source, rows: list[int]) -> tuple[Example, ...]:
    size, end = config.model.size, config.phases[-1].epochs
    pixels = torch.stack([plain(source.open(row), size) for row in rows])
    images = learner.model.normalise(pixels)  # type: ignore[operator]
    labels = torch.from_numpy(source.labels[rows])
    batch = Batch(torch.tensor(rows), labels, {"weak": images})
    judgement = learner.method.judge(learner.model, batch, Clock(end, end, len(config.phases) - 1))
    suspects = judgement.suspects.numpy()
    maps, visible = judgement.images.get("map"), judgement.images.get("visible")
    truth = source.require_truth("to show what is missing")

    def names(cells: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(source.classes[column] for column in np.flatnonzero(cells))

    examples = []
    for position, row in enumerate(rows):
        known, present = source.labels[row] == 1, truth[row] == 1
        given = int(np.flatnonzero(known)[0])
        image = pixels[position].permute(1, 2, 0).numpy()
        examples.append(
            Example(
                image,
                None if visible is None else _hide(image, visible[position]),
                None if maps is None else _scale(maps[position, given]),
                source.classes[given],
                names(known),
                names(suspects[position] & present),
                names(~suspects[position] & present & ~known),
                names(suspects[position] & ~present),
                source.images[row],
            )
        )
    return tuple(examples)


def _hide(image: NDArray[np.uint8], visible: Tensor) -> NDArray[np.uint8]:
    return np.where(visible.numpy()[..., None], image, np.uint8(128))


def _scale(heat: Tensor) -> NDArray[np.float64]:
    values: NDArray[np.float64] = heat.numpy().astype(np.float64)
    scaled: NDArray[np.float64] = (values - values.min()) / max(
        float(values.max() - values.min()), 1e-8
    )
    return scaled
