"""Choosing pictures for a page and asking a trained method what it makes of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.images.views import plain
from tacit.learner import Learner
from tacit.methods.parts.cam import keep_salient
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


@torch.no_grad()
def _look(learner: Learner, config: Config, source: Source, rows: list[int]) -> tuple[Example, ...]:
    size = config.model.size
    pixels = torch.stack([plain(source.open(row), size) for row in rows])
    images = learner.model.normalise(pixels)  # type: ignore[operator]
    labels = torch.from_numpy(source.labels[rows])
    batch = Batch(torch.tensor(rows), labels, {"weak": images, "strong": images})
    after_warmup = Clock(10_000, 10_000)
    # On a copy: a step moves the method's running averages.
    suspects = copy.deepcopy(learner)(batch, after_warmup).suspects.numpy()
    _, cam = learner.model.localise(images)  # type: ignore[operator]
    method: Any = learner.method  # one with maps and masks, such as IGNORE
    salient = keep_salient(
        images,
        cam,
        batch.positive,
        method.cam_threshold,
        how=method.cam_normalisation,
        relu=method.cam_relu,
    )
    truth = source.require_truth("to show what is missing")

    def names(cells: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(source.classes[column] for column in np.flatnonzero(cells))

    examples = []
    for position, row in enumerate(rows):
        known, present = source.labels[row] == 1, truth[row] == 1
        given = int(np.flatnonzero(known)[0])
        heat = cam[position, given].numpy().astype(np.float64)
        spread = max(float(heat.max() - heat.min()), 1e-8)
        picture = pixels[position].permute(1, 2, 0).numpy()
        hidden = ~salient.mask[position].numpy()
        masked = np.where(hidden[..., None], np.uint8(128), picture)
        examples.append(
            Example(
                picture,
                masked,
                (heat - heat.min()) / spread,
                source.classes[given],
                names(known),
                names(suspects[position] & present),
                names(~suspects[position] & present & ~known),
                names(suspects[position] & ~present),
                source.images[row],
            )
        )
    return tuple(examples)
