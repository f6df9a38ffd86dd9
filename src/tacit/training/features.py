"""Features of a frozen trunk or its lower stages, computed once: what is left learns."""

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
from tacit.features.compute import Reading, build_reading, compute_features, measure_features
from tacit.features.store import check_limit
from tacit.files import partial_beside, reserve
from tacit.images.loader import EVALUATION_BATCH, Item, ShuffledBatches, find_mirrored
from tacit.learner import Learner
from tacit.models.wrappers import HeadModel, divide
from tacit.training.context import Context
from tacit.training.feeds import ImageFeed
from tacit.types import Batch

IN_MEMORY = 2**30
"""Bytes of features that are kept in memory; more than that go into a file."""
WORTH_SAYING = 10**8
"""Bytes of features that a person is told of before they are computed."""


class FeatureBatches:
    """Batches of stored features, which stand for every view.

    Args:
        features: Of the images, and of the mirrored ones where these are kept as well; then a
            random view is mirrored where the weak view would be.
        source: The images.
        views: Names of the views.
        order: Batches of epochs and rows.
        seed: Decides with epoch and row what is mirrored.
    """

    def __init__(
        self,
        features: Sequence[Tensor],
        source: Source,
        views: Sequence[str],
        order: Iterable[list[Item]],
        seed: int = 0,
    ) -> None:
        self.features, self.source, self.views, self.order = features, source, views, order
        self.seed = seed

    def __iter__(self) -> Iterator[Batch]:
        plain, *mirrored = self.features
        for items in self.order:
            rows = [row for _, row in items]
            labels = torch.from_numpy(self.source.labels[rows])
            views = dict.fromkeys(self.views, plain[rows])
            if mirrored and self.views != ("plain",):
                changed = views[self.views[0]].clone()
                for place in find_mirrored(self.seed, items):
                    changed[place] = mirrored[0][rows[place]]
                views |= {view: changed for view in self.views if view != "plain"}
            yield Batch(torch.tensor(rows), labels, views)


class FeatureFeed(ImageFeed):
    """What a frozen trunk, or its frozen stages, make of every image, as at inference.

    Training and validation split are read once, when the feed is filled. The features stand for
    every view of an image, so that there is no augmentation but the mirrored version, if it is
    kept. Those that are too many for the memory go into a file of the run's folder, as long as
    they are needed.

    Args:
        context: The data and the run; the feed's own learner shares its model and its method.
        phase: Which features they are, and of which versions.
    """

    def __init__(self, context: Context, phase: Phase) -> None:
        model: Any = context.learner.model
        self.model, self.phase = model, phase
        parameters = model.trunk.named_parameters()
        self.still = {name for name, each in parameters if not each.requires_grad}
        self.lower, head = self._divide(self.model)
        super().__init__(replace(context, learner=Learner(head, context.learner.method)))
        self.stored: list[tuple[Source, list[Tensor]]] = []

    def fill(self, between: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Compute the features of training and validation split."""
        self.model.eval()
        if (said := self._check_room()) is not None:
            tell(said)
        splits, versions = self.context.splits, self.phase.versions
        for source, count in ((splits.train, versions), (splits.validation, 1)):
            found = [self._compute(source, bool(number), between) for number in range(count)]
            self.stored.append((source, found))

    def batches(self, order: ShuffledBatches) -> Iterable[Batch]:
        source, features = self.stored[0]
        return FeatureBatches(
            features, source, self.learner.method.views, order, self.config.run.seed
        )

    def predict(self, model: Any, source: Source) -> NDArray[np.float32]:
        for read, features in self.stored:
            if read is source and self._shares_trunk(model):
                rows = [(0, row) for row in own_share(len(source))]
                chunks = [
                    rows[first : first + EVALUATION_BATCH]
                    for first in range(0, len(rows), EVALUATION_BATCH)
                ]
                batches = FeatureBatches(features, source, ("plain",), chunks)
                _, head = self._divide(model)
                return predict(head, batches, self.context.device, self.config.run.precision)
        return super().predict(model, source)

    def _divide(self, model: Any) -> tuple[Any, Any]:
        """Return the stages that read images, None if that is all of the trunk, and what is left
        of the model."""
        if self.phase.features == "stages":
            return divide(model, self.still)
        return None, HeadModel(model, self.phase.features == "pooled")

    def _shares_trunk(self, model: Any) -> bool:
        """An average of weights may have a trunk of its own, which made other features."""
        if model is self.model:
            return True
        theirs, ours = (
            each.trunk.state_dict() if lower is None else lower.state_dict()
            for each, lower in ((model, self._divide(model)[0]), (self.model, self.lower))
        )
        return all(torch.equal(theirs[name], value) for name, value in ours.items())

    def _compute(self, source: Source, mirrored: bool, between: Callable[[], None]) -> Tensor:
        reading = self._build_reading(mirrored)
        kept = compute_features(reading, source, own_share(len(source)), self._room_for, between)
        exchange_shares(kept)
        return kept

    def _build_reading(self, mirrored: bool = False) -> Reading:
        pooled = self.phase.features == "pooled"
        reading = build_reading(self.model, self.config, self.context.device, pooled)
        return replace(reading, lower=self.lower, mirrored=mirrored)

    def _count_images(self) -> int:
        splits = self.context.splits
        return len(splits.train) * self.phase.versions + len(splits.validation)

    def _check_room(self) -> str | None:
        """Refuse more features than the store may hold, and say how many there are to be."""
        reading = self._build_reading()
        shelf = reading.shelf
        if reading.pooled:
            each = 4 * self.model.trunk.channels
        elif shelf is None and self.lower is None:
            return None  # nobody limits maps in memory, or in a file of the run
        else:
            each = measure_features(reading)
        needed = each * self._count_images()
        if shelf is not None:
            check_limit(shelf, needed, self.config.data.store_limit)
        if needed < WORTH_SAYING:
            return None
        where = self.context.folder if shelf is None else shelf.folder.parent
        place = "memory" if shelf is None and needed <= IN_MEMORY else where
        return (
            f"Features take {needed / 1e9:.1f} GB in {place}: {each / 1e3:,.0f} kB of each of "
            f"{self._count_images():,} images."
        )

    def _room_for(self, rows: int, features: Tensor) -> Tensor:
        """Return a tensor for the features of so many images, in memory or in a file."""
        shape = (rows, *features.shape[1:])
        each = features[0].numel() * features.element_size()
        folder = self.context.folder
        if self._count_images() * each <= IN_MEMORY:
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
    return FeatureFeed(context, phase)
