"""What the files of a run should say of scores, since anything may have become of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCORES = ("map", "of1", "cf1")


def find_result_fault(result: Any) -> str | None:
    """Say what is wrong with the scores of a run; None if nothing is."""
    if not isinstance(result, dict):
        return "they are no table"
    best = result.get("best")
    for name, place in [*((name, result) for name in SCORES), ("map", best), ("epoch", best)]:
        if not isinstance(place, dict) or not _is_number(place.get(name)):
            return f"'{name}' is no number"
    if not isinstance(result.get("per_class"), dict) or not _has_numbers(result["per_class"]):
        return "the score of a class is no number"
    if not isinstance(result.get("n_images"), int):
        return "'n_images' is no number"
    words = [name for name in ("split", "selection") if not isinstance(result.get(name), str)]
    return f"'{words[0]}' is no text" if words else None


def is_of_an_epoch(record: Mapping[str, Any]) -> bool:
    """Whether what a line of the log says is of the kind that an epoch says."""
    numbers = [record.get(name, 0) for name in ("seconds", "validation_map")]
    terms, found = record.get("terms", {}), record.get("identification") or {}
    tables = isinstance(terms, dict) and isinstance(found, dict)
    return all(map(_is_number, numbers)) and tables and _has_numbers(terms) and _has_numbers(found)


def _has_numbers(table: Mapping[str, Any]) -> bool:
    return all(_is_number(value) for value in table.values())


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 or value != value
