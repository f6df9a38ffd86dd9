"""Text, JSON and numbers from files that may hold anything."""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tacit.errors import DataError
from tacit.files import read_json as read_json
from tacit.files import read_text as read_text

HEAD, BLOCK = 1 << 18, 1 << 22
DEEPEST = 200
# Beyond it a number is no place in an image, and would overflow where boxes are kept.
LARGEST = 1e9
_NULL_ROW = re.compile(rb"^\s*null", re.MULTILINE)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*("|$)', re.DOTALL)
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:]', re.DOTALL)


class Outline(NamedTuple):
    """What the beginning of a JSON file shows."""

    kind: str  # "object" or "list"
    keys: frozenset[str]  # of the object, or of the objects in the list
    whole: bool


def read_head(path: Path) -> tuple[str, bool]:
    """Return the beginning of a file as text, and whether it is all of it; "" if there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            return head.decode("utf-8-sig", errors="replace"), not file.read(1)
    except OSError:
        return "", True


def read_outline(path: Path) -> Outline | None:
    """Look at a JSON file's beginning without reading the rest."""
    text, whole = read_head(path)
    opening = text.lstrip()[:1]
    if opening not in ("{", "["):
        return None
    level = 1 if opening == "{" else 2
    depth, last, keys = 0, "", set()
    for match in _TOKENS.finditer(text):
        token = match.group()
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        elif token == ":" and depth == level:
            keys.add(last[1:-1])
        last = token
    return Outline("object" if level == 1 else "list", frozenset(keys), whole)


def check_json_lines(path: Path) -> None:
    """Refuse what would make Arrow's reader of JSON lines end the whole process.

    These are rows that are nothing but null, and nesting without end.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise DataError(f"{path} is empty.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if _NULL_ROW.search(content):
                raise DataError(f"{path} has a row that is null; take it out.")
            depth = deepest = 0
            for first in range(0, len(content), BLOCK):
                depth, deepest = _depths(content[first : first + BLOCK], depth, deepest)
            # Brackets in names count up to here; without them, at the price of a second look.
            if deepest > DEEPEST and _depths(_STRING.sub(b"", content), 0, 0)[1] > DEEPEST:
                raise DataError(f"{path} is nested too deeply for a table.")


def _depths(block: bytes, depth: int, deepest: int) -> tuple[int, int]:
    signs = np.frombuffer(block, dtype=np.uint8) | 32  # "[" and "{" differ in this bit alone
    steps = (signs == ord("{")).astype(np.int8) - (signs == ord("}"))
    steps = steps[steps != 0]
    if not len(steps):
        return depth, deepest
    depths = depth + np.cumsum(steps, dtype=np.int64)
    return int(depths[-1]), max(deepest, int(depths.max()))


def entries(document: Any, key: str, where: str) -> list[dict[str, Any]]:
    """Return a list of objects in a JSON object."""
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(f"{where} has no list of objects called '{key}'.")
    return found


def field(entry: Any, key: str, where: str) -> Any:
    """Return a name or a whole number from a JSON object."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: an entry has no name or number called '{key}'.")
    return value


def words(value: Any, where: str) -> list[str]:
    """Return a list of names."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise DataError(f"{where} should be a list of names and is none.")
    return value


def numbers(values: Any, count: int, where: str) -> list[float]:
    """Return a few numbers that may be places in an image."""
    whole = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count
    try:
        found = [float(value) for value in values] if whole else []
    except (TypeError, ValueError, OverflowError):
        found = []
    if not found or not all(math.isfinite(value) and abs(value) < LARGEST for value in found):
        raise DataError(f"{where}: a box should be {count} numbers and is not.")
    return found
