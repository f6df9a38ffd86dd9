"""Where a phase gets its batches from, and predictions of whole parts of the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.distributed import own_share
from tacit.evaluation.evaluate import predict
from tacit.images.device_views import batch_strong
from tacit.images.loader import (
    EVALUATION_BATCH,
    ShuffledBatches,
    evaluation_loader,
    training_loader,
)
from tacit.images.mixing import logic_mix
from tacit.images.views import Strength
from tacit.learner import Learner
from tacit.training.prefetch import Prefetch
from tacit.training.sharding import gathered
from tacit.types import Batch


class PictureFeed:
    """Pictures, read and changed anew for every step.

    Attributes:
        learner: What takes the steps over these batches.
    """

    def __init__(
        self, learner: Learner, splits: Splits, config: Config, device: torch.device
    ) -> None:
        self.learner, self.splits, self.config, self.device = learner, splits, config, device
        self.strength = Strength(config.data.strong_operations, config.data.strong_magnitude)

    def received(self, order: ShuffledBatches) -> Iterable[Batch]:
        """Return the batches as a step takes them, on the device, each time they are asked."""
        return Prefetch(self.batches(order), self.receive, order, self.device)

    def batches(self, order: ShuffledBatches) -> Iterable[Batch]:
        """Return the batches of the epoch that the order is set to, each time they are asked."""
        config, views = self.config, self.learner.method.views
        if config.data.strong == "device":
            views = tuple(view for view in views if view != "strong")
        return training_loader(
            self.splits.train,
            views,
            config.model.size,
            config.run.seed,
            order,
            config.data.workers,
            config.data.reading == "fast",
            self.strength,
        )

    def receive(self, batch: Batch, *place: int) -> Batch:
        """Move a batch to the device and turn its 8-bit pixels into what the model reads.

        Args:
            batch: The batch.
            place: Where in the run it is; a mixture of its images depends on nothing else.
        """
        rows = batch.index.tolist()  # while it is still at the host
        batch = batch.to(self.device)
        layout = torch.channels_last if self.config.run.channels_last else torch.contiguous_format
        normalise: Any = self.learner.model.normalise
        pixels = dict(batch.views)
        if "strong" in self.learner.method.views and "strong" not in pixels:
            pixels["strong"] = batch_strong(
                pixels["weak"], rows, self.config.run.seed, place[0], self.strength
            )
        views = {
            name: normalise(view).contiguous(memory_format=layout) for name, view in pixels.items()
        }
        batch = Batch(batch.index, batch.labels, views)
        if self.config.data.mix == "none":
            return batch
        return logic_mix(batch, self.config.run.seed, *place)

    def predict(self, model: Any, source: Source) -> NDArray[np.float32]:
        """Return what a model says of a part of the data, (N, C) probabilities in its order."""
        fast = self.config.data.reading == "fast"
        size = self.config.model.size
        own = own_share(len(source))
        loader = evaluation_loader(source, size, EVALUATION_BATCH, 0, fast, own)
        with gathered(model):
            return predict(model, loader, self.device, self.config.run.precision)
