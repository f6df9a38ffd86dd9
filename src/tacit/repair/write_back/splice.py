"""Changing pieces of a text and leaving the rest of it as it is, to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tacit.errors import DataError

Span = tuple[int, int]
Edit = tuple[int, int, str]
"""From where to where, and what stands there then."""

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n\ufeff]*")


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with pieces of it changed; those at one place in the order given."""
    pieces, end = [], 0
    for first, last, new in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [text[end:first], new]
        end = last
    return "".join([*pieces, text[end:]])


def read_exactly(path: Path) -> str:
    """Read a text file with its line ends and its byte order mark as they are."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def skip_blank(text: str, at: int) -> int:
    """Return where something stands, from a place on."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def find_value(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value that begins at a place, and where it ends."""
    return _DECODER.raw_decode(text, at)


def find_members(text: str, at: int) -> tuple[dict[str, Span], int]:
    """Return where the values of a JSON object are, and where it ends."""
    members: dict[str, Span] = {}
    at = skip_blank(text, at + 1)
    while text[at] != "}":
        key, end = find_value(text, at)
        first = skip_blank(text, skip_blank(text, end) + 1)  # behind the colon
        _, last = find_value(text, first)
        members[key] = (first, last)
        at = skip_blank(text, last)
        at = skip_blank(text, at + 1) if text[at] == "," else at
    return members, at + 1


def find_elements(text: str, at: int) -> list[tuple[Span, Any]]:
    """Return where the elements of a JSON list are, with their values."""
    elements: list[tuple[Span, Any]] = []
    at = skip_blank(text, at + 1)
    while text[at] != "]":
        value, end = find_value(text, at)
        elements.append(((at, end), value))
        at = skip_blank(text, end)
        at = skip_blank(text, at + 1) if text[at] == "," else at
    return elements


def remove_elements(text: str, spans: list[Span], gone: set[int]) -> list[Edit]:
    """Return the edits that take elements out of a JSON list, each with one comma."""
    edits: list[Edit] = []
    kept = [number for number in range(len(spans)) if number not in gone]
    for number in gone:
        first, last = spans[number]
        if kept and number > kept[0]:
            first = spans[number - 1][1]  # the comma before it, for something stands before that
        elif number + 1 < len(spans):
            last = spans[number + 1][0]
        edits.append((first, last, ""))
    return edits
