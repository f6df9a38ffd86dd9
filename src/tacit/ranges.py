"""Ranges: what a number, a word or a switch may be, written where it is declared.

A range is an annotation such as ``Annotated[float, Field(ge=0, le=1)]``. It is checked, said in
errors and printed in lists from there, and is written down nowhere else. Those that many methods
share have a name here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, wraps
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from tacit.errors import UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=100)]
SmallWeight = Annotated[float, Field(ge=0, le=10)]
Focus = Annotated[float, Field(ge=0, le=20)]
Epsilon = Annotated[float, Field(ge=0, le=0.1)]
PerImage = Annotated[float, Field(ge=0, le=1e6)]
"""A number of classes per image."""
Epochs = Annotated[int, Field(ge=0, le=10_000)]
Count = Annotated[int, Field(ge=1, le=10_000)]

Function = TypeVar("Function", bound=Callable[..., Any])

# Strictly: no number stands for a switch, and no word for a number.
STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=STRICT)


def check(name: str, annotation: Any, value: Any) -> Any:
    """Return a value that its annotation allows, or say in one sentence what it allows."""
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        try:
            # As a recipe says it, which has lists for tuples and text for paths.
            return _adapter(annotation).validate_json(json.dumps(value))
        except (ValidationError, TypeError, ValueError):
            allowed = say(schema(annotation) or {"type": str(annotation)})
            raise UsageError(f"{name} must be {allowed}, not {value!r:.200}.") from error


def checked(function: Function) -> Function:
    """Let a function refuse, in a sentence, arguments of other kinds than its annotations name.

    Numbers, words, switches and paths are looked at, and lists of them; what else there is, the
    function has to look at by itself. Numbers and lists of numpy are taken for Python's own.
    """
    parameters = signature(function)
    plain: dict[str, Any] = {}

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if not plain:  # not before, because what annotations name may be defined later
            plain.update(_find_plain(function) or {"return": None})
        try:
            bound = parameters.bind(*args, **options)
        except TypeError:
            return function(*args, **options)  # says what is wrong
        for name, value in bound.arguments.items():
            if name in plain:
                told = value.tolist() if hasattr(value, "tolist") else value
                bound.arguments[name] = check(name, plain[name], told)
        return function(*bound.args, **bound.kwargs)

    return cast(Function, call)


def _find_plain(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations that can be checked without changing what they are about."""
    namespace = getattr(function, "__globals__", {})
    found = {}
    for name, annotation in function.__annotations__.items():
        with suppress(NameError, AttributeError):  # names imported for the type checker alone
            kind = eval(annotation, namespace) if isinstance(annotation, str) else annotation
            if name != "return" and _is_plain(kind):
                found[name] = kind
    return found


def _is_plain(kind: Any) -> bool:
    if kind in (str, int, float, bool, Path, type(None), ...):
        return True
    origin = get_origin(kind)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_plain(get_args(kind)[0])
    several = (Union, UnionType, tuple, Sequence, Mapping)
    return origin in several and all(_is_plain(each) or each is Any for each in get_args(kind))


def check_arguments(
    where: str, function: Callable[..., Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return options that a function's annotations allow; they come from a recipe."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # names that are imported for the type checker alone
        hints = {}
    return {
        key: check(f"'{where}.{key}'", hints[key], value) if key in hints else value
        for key, value in options.items()
    }


def schema(annotation: Any) -> dict[str, Any]:
    """Return what an annotation allows as a JSON schema, empty if JSON has no such thing."""
    try:
        return _adapter(annotation).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def say(allowed: dict[str, Any]) -> str:
    """Say in words what a schema allows."""
    match allowed:
        case {"anyOf": choices}:
            return " or ".join(dict.fromkeys(say(choice) for choice in choices))
        case {"const": word}:
            return f"'{word}'"
        case {"enum": words}:
            return "one of " + ", ".join(f"'{word}'" for word in words)
        case {"type": "integer" | "number" as kind}:
            return ("a whole number" if kind == "integer" else "a number") + _say_limits(allowed)
        case {"type": "array", "prefixItems": items}:
            return f"a list of {len(items)}: " + ", ".join(say(item) for item in items)
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "string", "format": "path"}:
            return "a path"
        case {"type": "array", "items": items}:
            return f"a list of which each is {say(items)}"
        case {"type": "object"}:
            return "a dictionary"
        case {"type": "string"}:
            return str(allowed.get("description", "text"))
        case {"type": "null"}:
            return "none"
    return str(allowed.get("type", "anything"))


def _say_limits(allowed: dict[str, Any]) -> str:
    match allowed:
        case {"minimum": low, "maximum": high}:
            return f" from {low:g} to {high:g}"
    words = {
        "minimum": "from {:g} on",
        "exclusiveMinimum": "above {:g}",
        "maximum": "up to {:g}",
        "exclusiveMaximum": "below {:g}",
    }
    said = [words[key].format(allowed[key]) for key in words if key in allowed]
    return " " + " and ".join(said) if said else ""
