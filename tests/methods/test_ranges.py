"""Hyperparameters that make no sense are refused by a sentence, in every method of the table.

What makes sense is read off the annotations; a number without limits on both sides fails here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
import torch
from pydantic import Field
from torch import nn

from tacit.errors import UsageError
from tacit.methods import METHODS, build_method, hyperparameters, method_class
from tacit.methods.base import annotations_of
from tacit.ranges import check, say, schema

# One of each kind, beside numbers within limits.
KINDS: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "boolean": (True, False),
    "string": ("", "0.5", "yes"),
    "array": ([], [0.5], (0.5, 0.5, 0.5), ["0.5", "0.5"], [True, True]),
    "object": ({}, {"a": 1}),
    "none of them": (1j, object(), int),
}
# Limits that depend on another hyperparameter.
COMPANIONS: dict[tuple[str, str], dict[str, float]] = {
    ("aevlp", "least_trust"): {"most_trust": 1.0},
    ("aevlp", "most_trust"): {"least_trust": 0.0},
}


class Row(NamedTuple):
    """A hyperparameter of a method, or half of one that is a pair."""

    method: str
    name: str
    allowed: dict[str, Any]
    position: int | None = None

    def __str__(self) -> str:
        half = "" if self.position is None else f"[{self.position}]"
        return f"{self.method}.{self.name}{half}"

    def build(self, value: Any) -> Any:
        if self.position is not None:
            pair = list(hyperparameters(self.method)[self.name])
            pair[self.position] = value
            value = pair
        options = {**COMPANIONS.get((self.method, self.name), {}), self.name: value}
        with torch.device("meta"):  # the longest queue takes a gigabyte
            return build_method(self.method, **options)

    def refuse(self, value: Any) -> None:
        with pytest.raises(UsageError, match=f"^{self.name} must be .*, not ") as refused:
            self.build(value)
        assert say(self.allowed) in str(refused.value)


def choices(allowed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a schema allows one by one, such as a number, or nothing."""
    return allowed.get("anyOf", [allowed])


def rows() -> Iterator[Row]:
    for method in METHODS:
        for name, annotation in annotations_of(method_class(method)).items():
            yield Row(method, name, schema(annotation))


def numbers() -> Iterator[Row]:
    for row in rows():
        for choice in choices(row.allowed):
            if choice["type"] in ("number", "integer"):
                yield row._replace(allowed=choice)
            for position, half in enumerate(choice.get("prefixItems", ())):
                yield row._replace(allowed=half, position=position)


every_row = pytest.mark.parametrize("row", list(rows()), ids=str)
every_number = pytest.mark.parametrize("row", list(numbers()), ids=str)


@every_row
def test_a_hyperparameter_is_a_number_a_word_a_switch_or_names_a_place(row: Row) -> None:
    kinds = {choice["type"] for choice in choices(row.allowed)}
    assert kinds <= {"number", "integer", "boolean", "string", "array", "null"}
    default = hyperparameters(row.method)[row.name]
    assert ("boolean" in kinds) == isinstance(default, bool)
    words = any("enum" in choice for choice in choices(row.allowed))
    assert words or "string" not in kinds or row.name in ("keep", "scores")
    assert all(len(c["prefixItems"]) == 2 for c in choices(row.allowed) if c["type"] == "array")


@every_number
def test_a_number_has_limits_and_nothing_beyond_them_is_accepted(row: Row) -> None:
    low, high = row.allowed["minimum"], row.allowed["maximum"]
    for value in (low, high):
        row.build(value)
    beyond = math.nextafter(low, -math.inf), low - 1, math.nextafter(high, math.inf), high + 1
    for value in (*beyond, math.nan, math.inf, -math.inf):
        row.refuse(value)


@every_number
def test_what_is_no_number_is_no_half_of_a_pair_and_no_fraction_is_a_count(row: Row) -> None:
    for value in ("0.5", True, [0.5], 1j):
        row.refuse(value)
    if row.allowed["type"] == "integer":
        row.refuse(row.allowed["minimum"] + 0.5)
        row.refuse(float(row.allowed["minimum"]))


@every_row
def test_what_is_of_another_kind_is_refused(row: Row) -> None:
    kinds = {choice["type"] for choice in choices(row.allowed)}
    words = any("enum" in choice for choice in choices(row.allowed))
    for kind, values in KINDS.items():
        if kind in kinds and kind != "array" and not words:
            continue
        for value in values:
            if not (row.name == "scores" and value is None):  # nothing yet
                row.refuse(value)
    if not kinds & {"number", "integer"}:
        for value in (0, 1, 0.5, math.nan):
            row.refuse(value)


@every_row
def test_words_and_defaults_are_accepted(row: Row) -> None:
    row.build(hyperparameters(row.method)[row.name])
    for choice in choices(row.allowed):
        for word in choice.get("enum", ()):
            assert row.build(word).hyperparameters()[row.name] == word
            row.refuse(word.upper())
        if choice["type"] == "boolean":
            assert [row.build(value).hyperparameters()[row.name] for value in (True, False)] == [
                True,
                False,
            ]


def test_there_are_rows_of_every_kind() -> None:
    kinds = [choice["type"] for row in rows() for choice in choices(row.allowed)]
    assert {"number", "integer", "boolean", "string", "array", "null"} <= set(kinds)
    assert len(list(numbers())) > 60
    assert set(COMPANIONS) <= {(row.method, row.name) for row in rows()}


def test_limits_of_trust_do_not_cross() -> None:
    with pytest.raises(UsageError, match=r"most_trust must not be less than least_trust, 0.7, "):
        build_method("aevlp", least_trust=0.7)
    build_method("aevlp", least_trust=0.7, most_trust=0.7)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (Annotated[float, Field(gt=0)], "a number above 0"),
        (Annotated[float, Field(ge=0, lt=1)], "a number from 0 on and below 1"),
        (Annotated[int, Field(le=3)], "a whole number up to 3"),
        (float, "a number"),
        (int | None, "a whole number or none"),
        (bool, "true or false"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (Literal["a"], "'a'"),
        (tuple[float, int], "a list of 2: a number, a whole number"),
        (list[int], "a list of which each is a whole number"),
        (str, "text"),
        (Any, "anything"),
    ],
)
def test_what_is_allowed_is_said_in_words(annotation: Any, said: str) -> None:
    assert say(schema(annotation)) == said


def test_a_value_may_be_written_as_in_a_recipe() -> None:
    assert check("pair", tuple[float, float], [1, 2]) == (1.0, 2.0)
    assert check("place", Path, "a/b") == Path("a/b")
    written = json.loads(json.dumps(build_method("gr").hyperparameters()))
    assert build_method("gr", **written).hyperparameters() == build_method("gr").hyperparameters()


def test_what_json_does_not_know_is_checked_by_its_type() -> None:
    net = nn.Linear(1, 1)
    assert check("net", nn.Module, net) is net
    with pytest.raises(UsageError, match=r"^net must be .*Module.*, not 3"):
        check("net", nn.Module, 3)
    assert schema(nn.Module) == {}
