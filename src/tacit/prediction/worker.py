"""The worker: a shard of names in, a table of predictions out, and nothing else changes.

Every engine runs this. Batches are those of the plan, so an image meets the same neighbours
whoever predicts it, and predictions are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.devices import predict_probabilities
from tacit.models.artefact import load_model
from tacit.models.folding import fold, prepare_for_inference
from tacit.prediction.columns import Columns
from tacit.prediction.plan import Plan, Settings, Shard
from tacit.prediction.reading import Images, Portion, list_requests
from tacit.prediction.stored_goals import choose_looks, choose_thresholds


class Predictor:
    """A model that only predicts, and how its predictions are written down."""

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.device, self.precision = device, settings.precision
        if device.type == "cpu" and settings.threads:
            torch.set_num_threads(settings.threads)
        model = load_model(Path(settings.model))
        self.model: Any = prepare_for_inference(fold(model), device, settings.precision)
        self.size: int = model.size
        said = Path(settings.model), settings.threshold, settings.goal
        self.columns = Columns(
            model.classes,
            choose_thresholds(*said),
            settings.scores,
            settings.half,
            choose_looks(*said),
        )

    def probabilities(self, pixels: Tensor) -> NDArray[np.float32]:
        """Return the probability of every class for every image, (B, C)."""
        found = predict_probabilities(self.model, pixels, self.device, self.precision)
        return found.numpy()

    def table(self, portion: Portion) -> pa.Table:
        """Return the predictions for a portion, a row for each image."""
        probabilities = self.probabilities(portion.pixels)
        return self.columns.table(portion.images, portion.errors, probabilities)


def predict_shard(plan: Plan, shard: Shard, predictor: Predictor) -> pa.Table:
    """Return the predictions for a shard."""
    images = Images(predictor.size, plan.settings.reading)
    read = (images[request] for request in list_requests(plan, [shard]))
    return next(predict_shards(read, predictor))[1]


def predict_shards(
    portions: Iterable[Portion],
    predictor: Predictor,
    advance: Callable[[int], None] = lambda images: None,
) -> Iterator[tuple[int, pa.Table]]:
    """Return the number and the predictions of every shard whose portions come in order.

    Args:
        portions: Images that go through the model together.
        predictor: The model.
        advance: Called with the number of images after each portion.
    """
    tables = []
    for portion in portions:
        tables.append(predictor.table(portion))
        advance(len(portion.images))
        if portion.last:
            yield portion.shard, pa.concat_tables(tables)
            tables = []
