"""The protocol between training and a method.

A method is a module with one required function, ``step``: a batch in, named loss terms out. It may
call the model as often as it likes, on any view it declares. What it learns are parameters, what
it remembers are buffers, so that one ``state_dict`` is the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from tacit.types import Annotations, Batch, Clock, Step

Labels = Literal["observed", "full", "true_negatives"]


class ModelView(Protocol):
    """What a method may ask of a model, which is a module but may be wrapped in another."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits, (B, C)."""

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and a map of evidence per class, (B, C, h, w)."""

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (B, C), and a unit vector for every image and class, (B, C, E)."""

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn 8-bit pixels, or floats from 0 to 1, into what the model reads."""

    def modules(self) -> Iterator[nn.Module]:
        """Return the model and all that it is made of, for `tacit.modes`."""

    def eval(self) -> Any:
        """Behave as at inference."""


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
    """Views of each image that every step reads; with ``run.fuse_views`` the trunk reads all as
    soon as one is asked for."""
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

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
        """Turn one batch into loss terms."""
        raise TypeError(
            f"{type(self).__name__} does not say what to do with a batch: define `step`"
        )

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        """Act once after each epoch."""


def undecayed(method: Method) -> list[nn.Parameter]:
    """Return the parameters of a method that weight decay leaves alone."""
    named = dict(method.named_parameters())
    return [named[name] for name in method.without_decay if name in named]
