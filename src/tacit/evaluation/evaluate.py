"""Run a model over a source and score what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.devices import predict_probabilities
from tacit.distributed import gather_rows
from tacit.evaluation.metrics import f1_scores, mean_average_precision, precision_recall_at_k
from tacit.types import Batch


@torch.inference_mode()
def predict(
    model: Any, batches: Iterable[Batch], device: torch.device, precision: str = "fp32"
) -> NDArray[np.float32]:
    """Return the probability of every class for every image, (N, C), in the order of the rows.

    Where several processes train together, each may be given some of the batches; all return the
    same.
    """
    rows, probabilities = [], []
    was_training = model.training
    model.eval()
    for batch in batches:
        probabilities.append(predict_probabilities(model, batch["plain"], device, precision))
        rows.append(batch.index)
    model.train(was_training)
    all_rows, found = gather_rows(torch.cat(rows)), gather_rows(torch.cat(probabilities))
    collected = np.empty((int(all_rows.max()) + 1, found.shape[1]), dtype=np.float32)
    collected[all_rows.numpy()] = found.numpy()
    return collected


@dataclass(frozen=True)
class Scores:
    """How well probabilities agree with labels, in percent where the literature uses percent."""

    map: float
    per_class: dict[str, float]
    classes_scored: int
    n_images: int
    of1: float
    cf1: float
    precision_at_3: float
    recall_at_3: float


def score(
    probabilities: NDArray[np.float32], labels: NDArray[np.int8], classes: tuple[str, ...]
) -> Scores:
    """Score probabilities; every cell that is not positive counts as negative."""
    truth = (labels == 1).astype(np.int8)
    ranking = mean_average_precision(probabilities, truth)
    decided = f1_scores(probabilities, truth)
    at_3 = precision_recall_at_k(probabilities, truth, k=min(3, len(classes)))
    return Scores(
        ranking.map,
        {name: 100 * float(ap) for name, ap in zip(classes, ranking.per_class, strict=True)},
        ranking.classes_scored,
        len(probabilities),
        100 * decided.of1,
        100 * decided.cf1,
        100 * at_3[0],
        100 * at_3[1],
    )
