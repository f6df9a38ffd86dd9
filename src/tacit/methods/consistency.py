"""Consistency: the weak view labels the strong one, and what shares a label stays together."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from tacit.distributed import gather_rows
from tacit.errors import UsageError
from tacit.losses import assumed_negative, binary_cross_entropy, full_precision
from tacit.methods.base import Method, ModelView
from tacit.methods.parts.statistics import Queue, masked_mean
from tacit.ranges import Epsilon, Weight
from tacit.types import Batch, Clock, Judgement, Step

Sure = Annotated[float, Field(ge=0.5, le=1)]


class PseudoLabelConsistency(Method):
    """What the model is sure of on the weak view becomes the label of the strong view.

    Xie et al., "Label-Aware Global Consistency for Multi-Label Learning with Single Positive
    Labels", NeurIPS 2022 ("PLC", the first of its two stages). Known labels are always sure.

    Args:
        threshold: Probability from which a cell is surely present; below 1 minus it, it is surely
            absent; between them it does not count.
        weight: Weight of the consistency.
        epsilon: Added to probabilities inside logarithms.
    """

    views = ("weak", "strong")

    threshold: Sure = 0.6
    weight: Weight = 1.0
    epsilon: Epsilon = 0.0

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        logits = model(join_views(batch))
        return self.consistent(batch, logits, self.pseudo_labels(batch, logits, self.threshold))

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        logits = full_precision(model(batch["weak"]))
        present, _ = self.sort_cells(batch, logits.sigmoid(), self.threshold_at(clock))
        return Judgement(logits.sigmoid(), present, {"logit": logits})

    def threshold_at(self, clock: Clock) -> float:
        """Return the probability from which a cell is surely present."""
        return self.threshold

    def pseudo_labels(
        self, batch: Batch, logits: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor]:
        """Return which cells the weak view takes for present, and which it is sure of."""
        probability = full_precision(logits.detach()).chunk(2)[0].sigmoid()
        return self.sort_cells(batch, probability, threshold)

    def sort_cells(
        self, batch: Batch, probability: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor]:
        """Return the cells that are present by their probability, and those that are decided."""
        present = (batch.unknown & (probability >= threshold)) | batch.positive
        absent = batch.unknown & (probability < 1 - threshold)
        return present, present | absent | (batch.labels == -1)

    def consistent(self, batch: Batch, logits: Tensor, pseudo: tuple[Tensor, Tensor]) -> Step:
        """Return the terms of both views, whose logits follow one another."""
        weak, strong = full_precision(logits).chunk(2)
        present, sure = pseudo
        observed = assumed_negative(weak, batch.labels, self.epsilon).mean()
        agreed = masked_mean(binary_cross_entropy(strong, present, self.epsilon), sure)
        terms = {"an": observed, "consistency": self.weight * agreed}
        return Step(terms, present & batch.unknown, {"logit": weak.detach()})


class LabelAwareConsistency(PseudoLabelConsistency):
    """Pseudo-label consistency, then embeddings of the same class drawn together.

    Xie et al., NeurIPS 2022 ("PLC+LAC"). In its second stage every known or pseudo-labelled
    (image, class) sends its embeddings of both views to a queue, and a supervised contrastive loss
    pulls together what has the same class. The queue is a ring; the released one skips its last
    rows and keeps stale ones.

    In one phase the second stage is the later half. Its authors give it a phase of its own, with
    an optimiser of its own; the projection, which the first stage does not use, may then be
    frozen::

        [method]
        late_from = 1.0

        [[phases]]
        freeze = ["projection"]
        [[phases]]

    Args:
        late_threshold: The threshold in the second stage.
        late_from: When the second stage begins, counted in phases: 0.5 is the middle of the first
            phase, 1 the beginning of the second one. It lasts to the end of the run.
        contrast_weight: Weight of the contrastive loss.
        temperature: Of the contrastive loss.
        queue_size: Entries to remember.
    """

    model_options: ClassVar[dict[str, Any]] = {"embedding_dim": 128}
    asks_of_model: ClassVar[tuple[str, ...]] = ("embed",)

    late_threshold: Sure = 0.9
    late_from: Annotated[float, Field(ge=0, le=100)] = 0.5
    contrast_weight: Weight = 1.0
    temperature: Annotated[float, Field(ge=1e-3, le=100)] = 0.5
    queue_size: Annotated[int, Field(ge=1, le=1_000_000)] = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self.queue = Queue(self.queue_size, (2, self.model_options["embedding_dim"]))

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        # The first stage has no use for embeddings, but asking for them costs little, and a model
        # without them is refused at the first step instead of the first one of the second stage.
        logits, embeddings = model.embed(join_views(batch))
        self._check_length(embeddings.shape[-1])
        pseudo = self.pseudo_labels(batch, logits, self.threshold_at(clock))
        step = self.consistent(batch, logits, pseudo)
        if not self.is_late(clock):
            return step
        contrast = self.contrast_weight * self._contrast(embeddings, pseudo[0])
        return Step({**step.terms, "contrast": contrast}, step.suspects, step.evidence)

    def is_late(self, clock: Clock) -> bool:
        """Say whether the second stage has begun."""
        return clock.phase + clock.epoch / clock.epochs > self.late_from

    def threshold_at(self, clock: Clock) -> float:
        return self.late_threshold if self.is_late(clock) else self.threshold

    def _check_length(self, found: int) -> None:
        length = self.model_options["embedding_dim"]
        if found != length:
            raise UsageError(
                f"This method remembers embeddings of {length} numbers, but the model's have "
                f"{found}; set model.embedding_dim = {length}, or leave it out."
            )

    def _contrast(self, embeddings: Tensor, present: Tensor) -> Tensor:
        rows, classes = present.nonzero(as_tuple=True)
        pairs = torch.stack([view[rows, classes] for view in embeddings.chunk(2)], 1)
        pairs, classes = gather_rows(full_precision(pairs)), gather_rows(classes)  # (M, 2, D), (M,)
        # More than the queue holds cannot be remembered, and so does not count either.
        pairs, classes = pairs[-self.queue.size :], classes[-self.queue.size :]
        # Old entries first, without those that the new ones are about to push out.
        kept = self.queue.find_outlasting(len(pairs))
        all_pairs = torch.cat([self.queue.entries[kept].to(pairs.dtype), pairs])
        all_classes = torch.cat([self.queue.names[kept], classes])
        self.queue.push(pairs.detach(), classes)
        return contrastive(all_pairs, all_classes, self.temperature)


def join_views(batch: Batch) -> Tensor:
    """Return weak and strong view one after the other, so that one forward takes both.

    So it is in the paper: the two share their batch statistics.
    """
    return torch.cat([batch["weak"], batch["strong"]])


def contrastive(entries: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss over pairs of unit vectors, (M, 2, D), with their classes, (M,).

    Every vector is drawn towards all others of its class, at least its twin, and away from the
    rest. Without entries the loss is 0.
    """
    vectors = entries.flatten(0, 1)  # (2M, D)
    if not len(vectors):
        return vectors.sum()
    names = classes.repeat_interleave(2)
    itself = torch.eye(len(names), dtype=torch.bool, device=names.device)
    with torch.autocast(vectors.device.type, enabled=False):  # it would round the products
        products = vectors @ vectors.T
    similarity = (products / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    alike = (names[:, None] == names[None]) & ~itself
    drawn = log_share.masked_fill(~alike, 0).sum(1) / alike.sum(1)
    return -drawn.mean()
