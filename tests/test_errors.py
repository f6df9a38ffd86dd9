"""Errors for people: exit codes, and the name that was most likely meant."""

from __future__ import annotations

import pytest

from tacit.errors import (
    DataError,
    TacitError,
    TrainingError,
    UsageError,
    nearest_name,
    unknown_name,
)


@pytest.mark.parametrize(
    ("kind", "code"), [(TacitError, 1), (TrainingError, 1), (UsageError, 2), (DataError, 3)]
)
def test_every_kind_has_its_exit_code(kind: type[TacitError], code: int) -> None:
    assert issubclass(kind, TacitError)
    assert kind("words").exit_code == code
    assert str(kind("words")) == "words"


KNOWN = ("ignore", "an", "bce", "em_apl")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ignor", "ignore"),
        ("IGNORE", "ignore"),
        ("bcee", "bce"),
        ("em-apl", "em_apl"),
        ("resnet50", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_if_any_is_near(name: str, meant: str | None) -> None:
    assert nearest_name(name, KNOWN) == meant


def test_there_may_be_no_names_at_all() -> None:
    assert nearest_name("ignore", ()) is None
    assert nearest_name("ignore", iter(KNOWN)) == "ignore"


def test_an_unknown_name_comes_with_the_one_that_was_meant() -> None:
    error = unknown_name("method", "ignor", dict.fromkeys(KNOWN))
    assert isinstance(error, UsageError)
    assert str(error) == "There is no method called 'ignor'; did you mean 'ignore'?"


def test_an_unknown_name_like_no_other_comes_with_all() -> None:
    error = unknown_name("method", "resnet50", iter(KNOWN))
    expected = "There is no method called 'resnet50'; known: an, bce, em_apl, ignore."
    assert str(error) == expected


def test_what_files_hold_does_not_reach_a_terminal_as_it_is() -> None:
    said = str(DataError("a\x1b[2J\u2028\ud800\nb" + "c" * 100_000 + "end"))
    assert said.startswith("a\\x1b[2J\\u2028\\ud800\nbccc") and said.endswith("cccend")
    assert len(said) < 2000
