"""Where a phase gets its batches from, and predictions of whole splits of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.data.source import Source
from tacit.distributed import own_share
from tacit.evaluation.evaluate import predict
from tacit.images.device_views import make_strong_views
from tacit.images.loader import (
    EVALUATION_BATCH,
    ShuffledBatches,
    build_evaluation_loader,
    build_training_loader,
)
from tacit.images.mixing import mix_logically
from tacit.images.views import Strength
from tacit.training.context import Context
from tacit.training.prefetch import Prefetch
from tacit.types import Batch


class ImageFeed:
    """Images, read and changed anew for every step.

    Args:
        context: The data and the run.

    Attributes:
        learner: What takes the steps over these batches.
    """

    def __init__(self, context: Context) -> None:
        self.context, self.learner, self.config = context, context.learner, context.config
        data = self.config.data
        self.strength = Strength(data.strong_operations, data.strong_magnitude)

    def fill(self, between: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Read what is read once for a whole phase; nothing here.

        Args:
            between: Called before each batch; it may raise.
            tell: Called with what a person should know before it begins.
        """

    def received(self, order: ShuffledBatches) -> Iterable[Batch]:
        """Return the batches as a step takes them, on the device, each time they are asked."""
        return Prefetch(self.batches(order), self.receive, order, self.context.device)

    def batches(self, order: ShuffledBatches) -> Iterable[Batch]:
        """Return the batches of the epoch that the order is set to, each time they are asked."""
        config, views = self.config, self.learner.method.views
        if config.data.strong == "device":
            views = tuple(view for view in views if view != "strong")
        return build_training_loader(
            self.context.splits.train,
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
        batch = batch.to(self.context.device)
        layout = torch.channels_last if self.config.run.channels_last else torch.contiguous_format
        normalise: Any = self.learner.model.normalise
        pixels = dict(batch.views)
        if "strong" in self.learner.method.views and "strong" not in pixels:
            pixels["strong"] = make_strong_views(
                pixels["weak"], rows, self.config.run.seed, place[0], self.strength
            )
        views = {
            name: normalise(view).contiguous(memory_format=layout) for name, view in pixels.items()
        }
        batch = Batch(batch.index, batch.labels, views)
        if self.config.data.mix == "none":
            return batch
        return mix_logically(batch, self.config.run.seed, *place)

    def predict(self, model: Any, source: Source) -> NDArray[np.float32]:
        """Return what a model says of a split of the data, (N, C) probabilities in its order."""
        fast = self.config.data.reading == "fast"
        size = self.config.model.size
        own = own_share(len(source))
        loader = build_evaluation_loader(source, size, EVALUATION_BATCH, 0, fast, own)
        with self.context.parallel.gather(model):
            return predict(model, loader, self.context.device, self.config.run.precision)
