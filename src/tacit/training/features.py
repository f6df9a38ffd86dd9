"""Features of a frozen trunk, computed once: what is left of a step is the head."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tacit.config import Phase
from tacit.data.source import Source
from tacit.distributed import exchange_shares, own_share
from tacit.errors import UsageError
from tacit.evaluation.evaluate import predict
from tacit.features.compute import build_reading, compute_features
from tacit.files import partial_beside, reserve
from tacit.images.loader import EVALUATION_BATCH, Item, ShuffledBatches
from tacit.learner import Learner
from tacit.models.wrappers import HeadModel
from tacit.training.context import Context
from tacit.training.feeds import ImageFeed
from tacit.types import Batch

IN_MEMORY = 2**30
"""Bytes of features that are kept in memory; more than that go into a file."""


class FeatureBatches:
    """Batches of stored features, which stand for every view."""

    def __init__(
        self, features: Tensor, source: Source, views: Sequence[str], order: Iterable[list[Item]]
    ) -> None:
        self.features, self.source, self.views, self.order = features, source, views, order

    def __iter__(self) -> Iterator[Batch]:
        for items in self.order:
            rows = [row for _, row in items]
            labels = torch.from_numpy(self.source.labels[rows])
            yield Batch(torch.tensor(rows), labels, dict.fromkeys(self.views, self.features[rows]))


class FeatureFeed(ImageFeed):
    """What a frozen trunk makes of every image's plain view, as at inference.

    Training and validation split are read once, when the feed is filled. The features stand for
    every view of an image, so that there is no augmentation. Those that are too many for the
    memory go into a file of the run's folder, as long as they are needed.

    Args:
        context: The data and the run; the feed's own learner shares its model and its method.
        pooled: Keep the features' mean over space instead of whole maps.
    """

    def __init__(self, context: Context, pooled: bool) -> None:
        self.model: Any = context.learner.model
        head = Learner(HeadModel(self.model, pooled), context.learner.method)
        super().__init__(replace(context, learner=head))
        self.pooled = pooled
        self.stored: list[tuple[Source, Tensor]] = []

    def fill(self, between: Callable[[], None]) -> None:
        """Compute the features of training and validation split."""
        self.model.eval()
        for source in (self.context.splits.train, self.context.splits.validation):
            self.stored.append((source, self._compute(source, between)))

    def batches(self, order: ShuffledBatches) -> Iterable[Batch]:
        source, features = self.stored[0]
        return FeatureBatches(features, source, self.learner.method.views, order)

    def predict(self, model: Any, source: Source) -> NDArray[np.float32]:
        for read, features in self.stored:
            if read is source and self._shares_trunk(model):
                rows = [(0, row) for row in own_share(len(source))]
                chunks = [
                    rows[first : first + EVALUATION_BATCH]
                    for first in range(0, len(rows), EVALUATION_BATCH)
                ]
                batches = FeatureBatches(features, source, ("plain",), chunks)
                head = HeadModel(model, self.pooled)
                return predict(head, batches, self.context.device, self.config.run.precision)
        return super().predict(model, source)

    def _shares_trunk(self, model: Any) -> bool:
        """An average of weights may have a trunk of its own, which made other features."""
        if model is self.model:
            return True
        theirs, ours = model.trunk.state_dict(), self.model.trunk.state_dict()
        return all(torch.equal(theirs[name], value) for name, value in ours.items())

    def _compute(self, source: Source, between: Callable[[], None]) -> Tensor:
        reading = build_reading(self.model, self.config, self.context.device, self.pooled)
        kept = compute_features(reading, source, own_share(len(source)), self._room_for, between)
        exchange_shares(kept)
        return kept

    def _room_for(self, rows: int, features: Tensor) -> Tensor:
        """Return a tensor for the features of so many images, in memory or in a file."""
        shape = (rows, *features.shape[1:])
        each = features[0].numel() * features.element_size()
        splits, folder = self.context.splits, self.context.folder
        if (len(splits.train) + len(splits.validation)) * each <= IN_MEMORY:
            return torch.empty(shape, dtype=features.dtype)
        needed, free = rows * each, shutil.disk_usage(folder).free
        if needed > free:
            raise UsageError(
                f"The features of {rows:,} images need {needed / 1e6:,.0f} MB, and {folder} "
                f'has room for {free / 1e6:,.0f} MB; set phases.features to "pooled" or "fresh".'
            )
        # The mapping outlives the name, so that nothing is left behind however the run ends.
        with partial_beside(folder / "features") as path:
            reserve(path, needed)
            size = rows * features[0].numel()
            mapped = torch.from_file(str(path), shared=True, size=size, dtype=features.dtype)
        return mapped.view(shape)


def build_feed(context: Context, phase: Phase) -> ImageFeed:
    """Return the feed that a phase asks for."""
    if phase.features == "fresh":
        return ImageFeed(context)
    return FeatureFeed(context, pooled=phase.features == "pooled")
