"""Scores of images by whole trainings that left them out: one for each fold, of a run's own recipe.

It is what heads cannot be where the trunk learned from the labels, too. It takes as many trainings
as there are folds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.data.source import Source, Splits
from tacit.errors import UsageError
from tacit.runs.folder import Run
from tacit.runs.score import predict_split
from tacit.training.report import Reporter
from tacit.training.run import train


def cross_train(
    run: Run,
    source: Source,
    folds: NDArray[np.int64],
    device: torch.device,
    reporter: Reporter | None = None,
) -> NDArray[np.float32]:
    """Train once for each fold without its images, and score them, (N, C).

    The trainings are kept in the run's folder. What was finished is not trained again, and what
    was stopped goes on.

    Args:
        run: Whose recipe it is.
        source: The images and their labels.
        folds: (N,) the fold of each image.
        device: Where images are scored.
        reporter: Receives the progress of all trainings.
    """
    config, splits = run.config, run.splits()
    if source.classes != splits.train.classes:
        raise UsageError(
            f"The recipe of {run.folder} has other classes than '{source.name}', so that it cannot "
            f"be trained on these labels; leave --folds out."
        )
    scores = np.zeros((len(source), len(source.classes)), np.float32)
    count = int(folds.max()) + 1
    for fold in range(count):
        out = np.flatnonzero(folds == fold)
        rest = source.take(np.flatnonzero(folds != fold))
        folder = run.repair / "folds" / f"{rest.fingerprint()[:12]}-{fold + 1}-of-{count}"
        parts = Splits(rest, splits.validation, splits.test)
        title = f"fold {fold + 1} of {count}"
        train(config, folder, resume=True, splits=parts, reporter=reporter, title=title)
        scores[out] = _score(folder, source.take(out), device)
    return scores


def _score(folder: Path, source: Source, device: torch.device) -> NDArray[np.float32]:
    run = Run(folder)
    model: Any = run.model().to(device).eval()
    return predict_split(model, source, run.config, device)
