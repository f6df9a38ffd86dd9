"""Options of models: read off the constructor, and checked before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import Field

from tacit.errors import UsageError, unknown_name
from tacit.ranges import check

Count = Annotated[int, Field(ge=1)]
Perhaps = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

# They have a key of their own in a recipe, because methods may ask for them.
SHARED = ("boost", "embedding_dim")


def read_defaults(cls: type) -> dict[str, Any]:
    """Return what a model's constructor can be told by name, with the defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def read_own_options(cls: type) -> dict[str, Any]:
    """Return the defaults of what a recipe's ``model.options`` may say."""
    return {key: value for key, value in read_defaults(cls).items() if key not in SHARED}


def check_options(name: str, cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse options that the model of this name does not have, or whose values make no sense."""
    known = read_own_options(cls)
    hints = get_type_hints(vars(cls)["__init__"], include_extras=True)
    for key in options:
        if key not in known:
            raise unknown_name(f"option of model '{name}'", key, known)
    return {
        key: check(f"'model.options.{key}'", hints[key], value) for key, value in options.items()
    }


def share_options(name: str, cls: type, boost: float, embedding_dim: int) -> dict[str, Any]:
    """Return those of the shared options that a model has; others must not be asked for."""
    known = read_defaults(cls)
    if "boost" not in known and boost != 1:
        raise UsageError(
            f"The model '{name}' has no class-activation map to boost; "
            f'set model.boost = 1, or model.name = "cam".'
        )
    asked = {"boost": boost, "embedding_dim": embedding_dim}
    return {key: value for key, value in asked.items() if key in known}
