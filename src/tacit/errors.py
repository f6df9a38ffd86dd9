"""Errors that speak to the user: what went wrong, where, how many, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 1500
"""Signs of a message; files that are no text can make names of any length."""


class TacitError(Exception):
    """A problem the user can act on; the command line prints it without a traceback."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


class UsageError(TacitError):
    """The request itself is wrong: an unknown name, a bad value, a folder in the way."""

    exit_code = 2


class DataError(TacitError):
    """The data, or a file that tacit wrote earlier, cannot be used as it is."""

    exit_code = 3


class TrainingError(TacitError):
    """Training cannot go on, for instance because a loss term is no longer finite."""


def make_printable(message: str) -> str:
    """Escape what a terminal would obey or cannot show, and leave out the middle of what is long.

    Messages quote names and lines from files, which may hold anything.
    """
    shown = "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
        for sign in _shorten(message)
    )
    return _shorten(shown)  # again: what is escaped takes up to ten signs for one


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 500]} […] {text[-500:]}"


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, if any comes close."""
    matches = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is in none of our tables."""
    known = sorted(map(str, known))  # a file may have numbers among them
    match = nearest_name(str(name), known)
    listed = f"known: {', '.join(known)}." if known else "there are none at all."
    hint = f"did you mean '{match}'?" if match else listed
    return UsageError(f"There is no {kind} called '{name}'; {hint}")
