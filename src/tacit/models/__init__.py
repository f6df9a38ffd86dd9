"""The table of models: the one place where their names become classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tacit.errors import UsageError
from tacit.models.trunks.families import FAMILIES as FAMILIES
from tacit.ranges import checked
from tacit.registry import Row, check_class, find, full_name

if TYPE_CHECKING:
    from tacit.models.base import Model


# From outside, `MODELS["mine"] = MyModel` is all it takes.
MODELS: dict[str, Row | type[Model]] = {
    "cam": Row(
        "tacit.models.cam_head:CamModel",
        "Class-activation head: 1x1 convolution on the trunk's last map, then a spatial mean",
    ),
    "query2label": Row(
        "tacit.models.query2label:Query2Label",
        "Query2Label: a transformer in which every class looks at the map for itself",
    ),
    "ml_decoder": Row(
        "tacit.models.ml_decoder:MLDecoder",
        "ML-Decoder: a few queries look at the map, each for a group of classes",
    ),
}


def check_model_name(name: str) -> None:
    """Refuse a name that stands for no model."""
    if name not in MODELS:
        model_class(name)


def model_class(name: str) -> type[Model]:
    """Return the class behind a model's name, or behind a place such as ``file.py:Class``."""
    found: type[Model] = find("model", name, MODELS)
    from tacit.models.base import Model

    check_class("model", name, found, Model)
    return found


def has_package(trunk: str) -> bool:
    """Whether the package of a trunk's weights is installed."""
    from tacit.models.trunks.packaged import find_package

    return find_package(trunk) is not None


def model_options(name: str) -> dict[str, Any]:
    """Return the options of a model with their defaults, as ``model.options`` takes them."""
    from tacit.models.options import read_own_options

    return read_own_options(model_class(name))


def build_head(
    name: str = "cam",
    *,
    classes: tuple[str, ...],
    channels: int,
    boost: float = 1.0,
    embedding_dim: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Build a model whose images are vectors already, (B, channels, 1, 1), so that it has no trunk.

    Args:
        name: A name from `MODELS`, or a place such as ``file.py:Class``.
        classes: Class names, in the order of the logits.
        channels: Length of the vectors.
        boost: Factor of the positive part of class-activation maps.
        embedding_dim: Length of the embedding of each class, 0 for none.
        options: Whatever else the model can be told, see `model_options`.
    """
    from tacit.models.base import Purpose
    from tacit.models.options import check_options, share_options
    from tacit.models.wrappers import NoTrunk

    cls = model_class(name)
    told = share_options(name, cls, boost, embedding_dim) | check_options(name, cls, options or {})
    return cls(NoTrunk(channels), Purpose(tuple(classes), size=1), **told)


Size = Annotated[int, Field(ge=1)]
Length = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Colour = tuple[Positive, Positive, Positive]


@checked
def build_model(
    name: str = "cam",
    *,
    classes: tuple[str, ...],
    size: Size,
    trunk: str = "resnet50",
    weights: str = "none",
    trunk_options: Mapping[str, Any] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: Colour | None = None,
    boost: Positive = 1.0,
    embedding_dim: Length = 0,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Build a model by name.

    Args:
        name: A name from `MODELS`, or a place such as ``file.py:Class``.
        classes: Class names, in the order of the logits.
        size: Side of the square images it is meant for, in pixels.
        trunk: ``tiny`` or any timm network with spatial maps.
        weights: Where the trunk's weights come from: ``none``, ``hub``, ``package`` or a file.
        trunk_options: Passed on to timm.
        mean: Mean colour the trunk expects, red, green, blue from 0 to 1. If None, what timm notes
            of the trunk's weights; ImageNet's where there are none.
        std: Standard deviation to go with it.
        boost: Factor of the positive part of class-activation maps.
        embedding_dim: Length of the embedding of each class, 0 for none.
        options: Whatever else the model can be told, see `model_options`.
    """
    from tacit.models.base import IMAGENET_MEAN, IMAGENET_STD, Purpose
    from tacit.models.options import check_options, share_options
    from tacit.models.trunks.build import build_trunk

    cls = model_class(name)
    told = share_options(name, cls, boost, embedding_dim) | check_options(name, cls, options or {})
    if len(classes) < 2:
        raise UsageError(f"A multi-label model needs two classes or more, not {len(classes)}.")
    if len(set(classes)) < len(classes):
        raise UsageError("classes names one class twice; every logit has a name of its own.")
    built = build_trunk(trunk, weights, trunk_options or {}, size)
    noted = built.colours or (IMAGENET_MEAN, IMAGENET_STD)
    colours = tuple(mean or noted[0]), tuple(std or noted[1])
    model = cls(built.trunk, Purpose(tuple(classes), size, *colours), **told)
    model.recipe = {
        "name": full_name(name),
        "trunk": trunk,
        "trunk_options": dict(trunk_options or {}),
        "classes": list(classes),
        "size": size,
        "mean": list(colours[0]),
        "std": list(colours[1]),
        "boost": boost,
        "embedding_dim": embedding_dim,
        "options": dict(options or {}),
        "weights": built.record,
    }
    return model
