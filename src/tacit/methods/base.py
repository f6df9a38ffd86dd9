"""The protocol between training and a method.

A method is a module with one required function, ``step``: a batch in, named loss terms out. It may
call the model as often as it likes, on any view it declares. What it learns are parameters, what
it remembers are buffers, so that one ``state_dict`` is the whole of it. Whoever wants to know what
it thinks of some images, in training or after it, asks ``judge``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, Protocol, dataclass_transform, get_type_hints

import torch
from torch import Tensor, nn

from tacit.config import LabelKind
from tacit.distributed import alone
from tacit.losses import full_precision
from tacit.modes import evaluating
from tacit.ranges import check
from tacit.types import AFTER_TRAINING, Annotations, Batch, Clock, Judgement, Step


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


@dataclass_transform(kw_only_default=True, eq_default=False)
class Method(nn.Module):
    """A way of learning from incomplete labels.

    A hyperparameter is a line in the class, ``threshold: Share = 0.6``: its name, its range and its
    default. As for a dataclass, the constructor is made from these lines, those of base classes
    included; it takes them by name, checks them, see `tacit.ranges`, and keeps them. What else
    there is to construct is done in ``__post_init__``, after ``super().__post_init__()``. A class
    may have a constructor of its own instead; its arguments are the hyperparameters, then.

    Three promises hold for all:

    - ``setup`` runs before the optimiser is built and before a checkpoint is loaded, so parameters
      and buffers created there are trained and restored.
    - ``predict()`` in ``end_epoch`` runs only if called; it returns (N, C) probabilities of the
      training images in index order, in evaluation mode, the same on every process.
    - Known negatives (-1) always cost the negative loss; nothing treats them as suspicious.
    """

    views: tuple[str, ...] = ("weak",)
    """Views of each image that every step reads; with ``run.fuse_views`` the trunk reads all as
    soon as one is asked for."""
    labels: ClassVar[LabelKind] = "observed"
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
    makes_images: bool = False
    """Whether it shows the model images of its own making, such as masked ones. What is known of
    the batch's images, like features of a frozen trunk, then cannot stand in for them."""
    reads_maps: bool = False
    """Whether it looks for where in an image a class is. On a map of a single place there is
    nowhere to look, which is said before a training begins."""
    asks_of_model: ClassVar[tuple[str, ...]] = ()
    """What it asks of a model beside logits, such as ``embed``; a model without is refused."""
    begins_at_frequency: ClassVar[bool] = False
    """Whether heads had better begin as probable as classes are common, see `expect`. That is where
    a loss is at rest that takes what is missing for absent. One that leaves doubt about it, or
    looks at how sure a model is, wants a head that begins in doubt. Measure before saying so."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of hyperparameters. A set states all that the results hang on, so that no default
    can change it; an empty one is the defaults themselves."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not _has_written_constructor(cls):
            _complete_lines(cls)
            dataclass(kw_only=True, eq=False, repr=False)(cls)
        if "__init__" in vars(cls):
            cls.__init__ = _checked(cls)  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        """Construct what is more than a hyperparameter; they are set already."""
        super().__init__()

    def hyperparameters(self) -> dict[str, Any]:
        """Return the value of every hyperparameter that it was built with, defaults included.

        The class takes them as they are: ``type(method)(**method.hyperparameters())``. What came
        from a recipe can go into JSON.
        """
        return dict(vars(self).get("_built_with", {}))

    def setup(self, annotations: Annotations) -> None:
        """Look at the annotations once, before training."""

    def expect(self, annotations: Annotations) -> Tensor:
        """Return how common each class is before anything is learned, (C,), between 0 and 1.

        A class is as common as its known positives, unless a hyperparameter
        ``expected_positives`` states how many classes an image shows; then all are made more
        common alike. What is never seen counts as half an image.
        """
        images = max(len(annotations.known), 1)
        shares = torch.from_numpy(annotations.known.per_class(1) / images).float()
        stated = getattr(self, "expected_positives", None)
        if stated is not None and shares.sum() > 0:
            shares = shares * (stated / shares.sum())
        return shares.clamp(0.5 / images, 1 - 0.5 / images)

    def step(self, model: ModelView, batch: Batch, clock: Clock) -> Step:
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


def _has_written_constructor(cls: type[Method]) -> bool:
    """Whether the class or a base has a constructor that was not made from its lines."""
    return any(
        "__init__" in vars(base) and "__dataclass_fields__" not in vars(base)
        for base in cls.__mro__[: cls.__mro__.index(Method)]
    )


def _complete_lines(cls: type[Method]) -> None:
    """Let a new default alone keep the range of the base class, and refuse what is no line."""
    lines = inspect.get_annotations(cls)
    for name, kind in lines.items():
        if "ClassVar" in str(kind):
            continue
        if name in Method.__annotations__:
            raise TypeError(
                f"{cls.__name__}.{name} is no hyperparameter; write it without an annotation"
            )
        if not hasattr(cls, name):
            raise TypeError(
                f"{cls.__name__}.{name} has no default, which every hyperparameter needs; what is "
                f"none is annotated where it is set, as in `self.{name}: {kind}`"
            )
    for base in cls.__mro__[1 : cls.__mro__.index(Method)]:
        fields: dict[str, Any] = vars(base).get("__dataclass_fields__", {})
        for name in fields.keys() & (vars(cls).keys() - lines.keys()):
            cls.__annotations__.setdefault(name, annotations_of(base)[name])


def _checked(cls: type[Method]) -> Callable[..., None]:
    """Return the constructor with its arguments checked, and noted when it is the outermost."""
    construct: Callable[..., None] = vars(cls)["__init__"]
    signature = inspect.signature(construct)
    annotations: dict[str, Any] = {}

    @wraps(construct)
    def checked(self: Method, *args: Any, **given: Any) -> None:
        bound = signature.bind(self, *args, **given)
        bound.apply_defaults()
        if not annotations:  # not before, because what they name may be defined later
            annotations.update(annotations_of(cls))
        for name, annotation in annotations.items():
            bound.arguments[name] = check(name, annotation, bound.arguments[name])
        vars(self).setdefault("_built_with", {name: bound.arguments[name] for name in annotations})
        construct(*bound.args, **bound.kwargs)

    return checked


def annotations_of(cls: type[Method]) -> dict[str, Any]:
    """Return how each hyperparameter of a class is annotated, which includes its range."""
    written = _has_written_constructor(cls)
    types = get_type_hints(cls.__init__ if written else cls, include_extras=True)
    return {
        name: types.get(name, Any)
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def undecayed(method: Method) -> list[nn.Parameter]:
    """Return the parameters of a method that weight decay leaves alone."""
    named = dict(method.named_parameters())
    return [named[name] for name in method.without_decay if name in named]
