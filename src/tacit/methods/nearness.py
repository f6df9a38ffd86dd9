"""Rejection and discovery by nearness to a class's known positives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tacit.distributed import gather_rows, sum_over_ranks
from tacit.errors import UsageError
from tacit.losses import assumed_negative, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.noise import draw_uniform, number_cells
from tacit.methods.parts.statistics import masked_mean
from tacit.ranges import Epochs, Epsilon, Share, SmallWeight
from tacit.types import Annotations, Batch, Clock, Judgement, Step

NARROW = 1e-6
"""How wide the zone of doubtful cells is at least."""


class Nearness(Method):
    """What lies near the known positives of a class is rejected as its negative, or discovered.

    Pu et al., "Category-Adaptive Label Discovery and Noise Rejection for Multi-label Image
    Recognition with Partial Positive Labels", IEEE TMM 2024 ("CALD-NR"). Every class
    keeps the embeddings of its newest known positives. An unknown cell whose embedding is as near
    to them as they are to one another is a positive after the warm-up; the nearer, the likelier its
    negative loss is dropped in one of the terms.

    Suspects are the cells beyond the margin, whose rejection is certain.

    Args:
        warmup_epochs: Epochs without discovered positives.
        least_margin: No cell that is less near than this is discovered.
        bank_size: Embeddings of known positives that each class keeps.
        contrast_weight: Weight of the contrast between embeddings of a class.
        epsilon: Added to probabilities inside the logarithm.
    """

    model_options: ClassVar[dict[str, Any]] = {"embedding_dim": 128}
    asks_of_model: ClassVar[tuple[str, ...]] = ("embed",)

    warmup_epochs: Epochs = 5
    least_margin: Share = 0.95
    bank_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    contrast_weight: SmallWeight = 0.05
    epsilon: Epsilon = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "images"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))
        self.steps: Tensor
        self.images: Tensor

    def setup(self, annotations: Annotations) -> None:
        self.training_images, classes = annotations.shape
        length = self.model_options["embedding_dim"]
        # Places for every class, and one more for what is to be forgotten.
        self.register_buffer("bank", torch.zeros(classes * self.bank_size + 1, length))
        self.register_buffer("arrived", torch.zeros(classes, dtype=torch.long))
        # Of known positives and of the rest: sums and counts of this epoch, means of the last one.
        self.register_buffer("sums", torch.zeros(2, classes, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(2, classes, dtype=torch.long))
        self.register_buffer("last", torch.full((2, classes), torch.nan))
        self.bank: Tensor
        self.arrived: Tensor
        self.sums: Tensor
        self.counts: Tensor
        self.last: Tensor

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits, embeddings = model.embed(batch["weak"])
        logits, embeddings = full_precision(logits), full_precision(embeddings)
        self._check_length(embeddings.shape[-1])
        self.steps += 1
        near = self.measure(embeddings.detach())
        middle, margin = self.find_margins()
        suspects = batch.unknown & self.is_beyond(near, margin)
        chance = (near - middle) / (margin - middle) * (self.arrived > 0)
        drawn = draw_uniform(number_cells(batch.index, logits.shape[1]), self.steps)
        kept = ~(batch.unknown & (drawn < chance))
        loss = assumed_negative(logits, batch.labels, self.epsilon)
        terms = {"an": loss.mean(), "rejection": masked_mean(loss, kept)}
        if clock.epoch > self.warmup_epochs:
            labels = torch.where(suspects, 1, batch.labels)
            terms["discovery"] = assumed_negative(logits, labels, self.epsilon).mean()
        contrast = contrast_classes(gather_rows(embeddings), gather_rows(batch.labels), self.steps)
        self._remember(embeddings.detach(), near, batch)
        grown = 1.0 if clock.phase or clock.epoch > 1 else self.share_passed()
        terms["contrast"] = self.contrast_weight * grown * contrast
        return Step(terms, suspects, {"logit": logits.detach(), "nearness": near})

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits, embeddings = model.embed(batch["weak"])
        near = self.measure(full_precision(embeddings))
        suspects = self.is_beyond(near, self.find_margins()[1])
        logits = full_precision(logits)
        return Judgement(logits.sigmoid(), suspects, {"logit": logits, "nearness": near})

    def _check_length(self, found: int) -> None:
        length = self.model_options["embedding_dim"]
        if found != length:
            raise UsageError(
                f"This method remembers embeddings of {length} numbers, but the model's have "
                f"{found}; set model.embedding_dim = {length}, or leave it out."
            )

    def measure(self, embeddings: Tensor) -> Tensor:
        """Return the mean cosine of embeddings, (B, C, E), with their class's bank, (B, C)."""
        classes = len(self.arrived)
        held = self.arrived.clamp(min=1, max=self.bank_size)
        total = self.bank[:-1].view(classes, self.bank_size, -1).sum(1)
        middle = (total / held[:, None]).to(embeddings.dtype)
        return (embeddings * middle).sum(-1)

    def is_beyond(self, near: Tensor, margin: Tensor) -> Tensor:
        """Mark what is as near as known positives are; a class without any has nothing near."""
        return (near >= margin) & (self.arrived > 0)

    def share_passed(self) -> Tensor:
        """Return the share of the epoch's images that were seen."""
        return (self.images / self.training_images).clamp(max=1)

    def find_margins(self) -> tuple[Tensor, Tensor]:
        """Return where rejection begins to be possible, and where it is certain, (C,) each.

        The means of this epoch count as much as has passed of it, those of the last one the rest.
        """
        now = (self.sums / self.counts.clamp(min=1)).to(self.last.dtype)
        before = torch.where(self.last.isnan(), now, self.last)
        now = torch.where(self.counts > 0, now, before)
        passed = self.share_passed()
        there, rest = passed * now + (1 - passed) * before
        margin = there.clamp(min=self.least_margin)
        # Where the rest is as near as known positives, what is beyond the margin alone is rejected.
        return torch.minimum((rest + margin) / 2, margin - NARROW), margin

    @torch.no_grad()
    def _remember(self, embeddings: Tensor, near: Tensor, batch: Batch) -> None:
        for row, cells in enumerate((batch.positive, ~batch.positive)):
            cells = cells & (self.arrived > 0)
            self.sums[row] += sum_over_ranks(near.double().masked_fill(~cells, 0).sum(0))
            self.counts[row] += sum_over_ranks(cells.sum(0))
        entries, positive = gather_rows(embeddings), gather_rows(batch.positive)
        self.images += len(entries)
        count, place = positive.sum(0), positive.long().cumsum(0) - 1
        newest = positive & (place >= count - self.bank_size)  # more than fit are not kept
        first = torch.arange(len(count), device=count.device) * self.bank_size
        slots = first + (self.arrived + place) % self.bank_size
        slots = slots.masked_fill(~newest, len(self.bank) - 1)
        self.bank[slots.flatten()] = entries.flatten(0, 1).to(self.bank.dtype)
        self.bank[-1] = 0
        self.arrived += count

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        now = (self.sums / self.counts.clamp(min=1)).to(self.last.dtype)
        self.last.copy_(torch.where(self.counts > 0, now, self.last))
        for each in (self.sums, self.counts, self.images):
            each.zero_()


def contrast_classes(embeddings: Tensor, labels: Tensor, stream: Tensor) -> Tensor:
    """Draw known positives of a class together, and other pairs of images apart.

    Of the other pairs those that cost most count, as many as there are pairs of positives, and
    twice as many at random. Without a pair of positives the contrast is 0.

    Args:
        embeddings: (B, C, E) unit vectors.
        labels: (B, C), three states.
        stream: Number of the step, for the random ones.
    """
    vectors = embeddings.transpose(0, 1)  # (C, B, E)
    with torch.autocast(vectors.device.type, enabled=False):  # it would round the products
        cosine = vectors @ vectors.transpose(1, 2)
    positive = (labels == 1).T
    once = torch.ones_like(cosine[0], dtype=torch.bool).triu(1)
    alike = positive[:, :, None] & positive[:, None] & once
    others = once & ~alike
    pairs = alike.sum()
    cost = torch.where(alike, 1 - cosine, 1 + cosine)
    numbers = torch.arange(cosine.numel(), device=cosine.device).view_as(cosine)
    drawn = mark_highest(draw_uniform(numbers, stream), others, 2 * pairs)
    taken = alike | drawn | mark_highest(cost.detach(), others, pairs)
    return cost.masked_fill(~taken, 0).sum() / taken.sum().clamp(min=1)


def mark_highest(values: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """Mark as many of the highest values as a tensor says, ties included."""
    ranked = values.masked_fill(~among, -torch.inf).flatten().sort(descending=True).values
    ranked = F.pad(ranked, (1, 0), value=torch.inf)
    return among & (values >= ranked.gather(0, count.clamp(max=len(ranked) - 1)[None]))
