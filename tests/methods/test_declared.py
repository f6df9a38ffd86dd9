"""What methods declare is written down once more, so that no slip changes it unseen.

Recipes, papers' numbers and limits that people rely on are decisions. Whoever takes another one
runs ``python tests/methods/test_declared.py`` and looks at the difference.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tacit.methods import METHODS, Entry, hyperparameters, method_class
from tacit.methods.base import annotations_of
from tacit.ranges import say, schema

FILE = Path(__file__).with_name("declared.json")
VARIABLES = ("views", "lr_scale", "keeps_table", "makes_images", "without_decay")
VARIABLES += ("asks_of_model", "model_options")


def describe(name: str) -> dict[str, Any]:
    """Return all that a method declares."""
    cls, entry = method_class(name), METHODS[name]
    said = {key: say(schema(kind)) for key, kind in annotations_of(cls).items()}
    found = {"limits": said, "defaults": hyperparameters(name), "presets": dict(cls.presets)}
    found |= {key: getattr(cls, key) for key in VARIABLES}
    if isinstance(entry, Entry):
        row = asdict(entry)
        found["row"] = {key: row[key] for key in sorted(row)}
    told: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return told


WRITTEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_method_declares_what_is_written_down(name: str) -> None:
    """A method that is being developed need not be written down yet."""
    assert describe(name) == WRITTEN[name]


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: describe(name) for name in METHODS}, indent=1) + "\n")
