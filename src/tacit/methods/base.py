"""The protocol between training and a method.

A method is a module with one required function, ``step``: a batch in, named loss terms out. It may
call the model as often as it likes, on any view it declares. What it learns are parameters, what
it remembers are buffers, so that one ``state_dict`` is the whole of it. Whoever wants to know what
it thinks of some images, in training or after it, asks ``judge``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from tacit.chunks import Chunked
from tacit.losses import full_precision
from tacit.ops import alone, evaluating
from tacit.together import Together
from tacit.types import AFTER_TRAINING, Annotations, Batch, Clock, Judgement, Step

Labels = Literal["observed", "full", "true_negatives"]


class LocalisingModel(Protocol):
    """What a method may ask of a model."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits, (B, C)."""

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and a map of evidence per class, (B, C, h, w)."""

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn 8-bit pixels, or floats from 0 to 1, into what the model reads."""


class Method(nn.Module):
    """A way of learning from incomplete labels.

    Hyperparameters are constructor arguments and nothing else. Three promises hold for all:

    - ``setup`` runs before the optimiser is built and before a checkpoint is loaded, so parameters
      and buffers created there are trained and restored.
    - ``predict()`` in ``end_epoch`` runs only if called; it returns (N, C) probabilities of the
      training images in index order, in evaluation mode, the same on every process.
    - Known negatives (-1) always cost the negative loss; nothing treats them as suspicious.
    """

    views: tuple[str, ...] = ("weak",)
    """Views of each image that every step reads; with ``run.together`` the trunk reads all of them
    as soon as one is asked for."""
    labels: ClassVar[Labels] = "observed"
    """Which labels the method is meant to learn from; anything but "observed" is a bound that only
    the truth can give: all labels, or the known positives with every true negative."""
    lr_scale: ClassVar[float] = 1.0
    """Learning rate of the method's own parameters, relative to the model's."""
    without_decay: ClassVar[tuple[str, ...]] = ()
    """Names of the method's own parameters that are no weights, so that 0 is no rest for them, such
    as a table of estimates; weight decay leaves them alone."""
    model_options: ClassVar[Mapping[str, Any]] = {}
    """Options the model is built with; they are saved with it and hold at inference."""
    keeps_table: ClassVar[bool] = False
    """Whether it remembers something about every single training image."""
    makes_images: ClassVar[bool] = False
    """Whether it shows the model images of its own making, such as masked ones. What is known of
    the batch's images, like features of a frozen trunk, then cannot stand in for them."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of hyperparameters; the constructor's defaults need no name."""

    def setup(self, annotations: Annotations) -> None:
        """Look at the annotations once, before training."""

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        """Turn one batch into loss terms."""
        raise TypeError(
            f"{type(self).__name__} does not say what to do with a batch: define `step`"
        )

    def judge(self, model: Any, batch: Batch, clock: Clock = AFTER_TRAINING) -> Judgement:
        """Say what this method thinks of a batch, and leave everything as it is.

        The model is read as at inference, without a gradient; nothing is learned, remembered or
        drawn at random, and no other process is asked, so that it may be called at any time. The
        weak view is enough. Images may come from anywhere: an index of -1 says that one is not of
        the training set, and what the method remembers of single images is then left out.

        Args:
            model: The model, or whatever stands for it in a step.
            batch: The images and what is known of them.
            clock: When to judge. By default every warm-up is over; a share of suspects that grows
                with every epoch is known on a clock of the run alone.
        """
        with torch.no_grad(), evaluating(model), evaluating(self), alone():
            found = self.assess(model, batch, clock)
            return Judgement(
                found.score.masked_fill(~batch.unknown, 0),
                found.suspects & batch.unknown,
                found.evidence,
                found.images,
            )

    def assess(self, model: Any, batch: Batch, clock: Clock) -> Judgement:
        """Find what `judge` returns, which sees to modes and gradients and to known cells.

        Without one of its own, a method suspects nothing and scores by probability.
        """
        logits = full_precision(model(batch["weak"]))
        nothing = torch.zeros_like(batch.unknown)
        return Judgement(logits.sigmoid(), nothing, {"logit": logits})

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        """Act once after each epoch."""


def undecayed(method: Method) -> list[nn.Parameter]:
    """Return the parameters of a method that weight decay leaves alone."""
    named = dict(method.named_parameters())
    return [named[name] for name in method.without_decay if name in named]


class Learner(nn.Module):
    """Model and method as one module, so that one forward is one whole training step.

    Whatever wraps a module (parallel training, precision, checkpoints, optimisers) wraps this
    one, and a method with parameters of its own needs nothing special.
    """

    def __init__(self, model: nn.Module, method: Method) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.parts = 1
        """Parts in which the model sees a batch; the method always sees the whole."""
        self.together = False
        """Whether the model's trunk reads all views of a batch in one go."""

    def forward(self, batch: Batch, clock: Clock) -> Step:
        model = self.model
        if self.parts > 1:
            model = Chunked(model, self.parts)
        elif self.together and len(batch.views) > 1:
            model = Together(model, batch.views)
        return self.method.step(model, batch, clock)
