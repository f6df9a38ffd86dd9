"""One word, one meaning: docs/words.md says which, and here is what can be guarded of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/words.md"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
# Spellings that are read in users' files and folders.
READ_AS_WELL = ('"img", "picture", "photo"', '"img", "pictures", "photos"')
# Names that mean something else now, or that nobody understood.
RETIRED = {
    *("hasten", "widened", "inward", "outward", "frozen_parts", "part_names", "part_rows"),
    *("Told", "Beside", "Whole", "Named", "Place", "Pictures", "PictureFeed", "teach"),
}


def identifiers(path: Path) -> set[str]:
    """Return the names that a file defines or uses."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


@pytest.mark.parametrize("folder", ["src", "docs"])
def test_an_image_is_called_nothing_else(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix not in {".py", ".md", ".css"} or path == PAGE:
            continue
        text = path.read_text(encoding="utf-8")
        for spelling in READ_AS_WELL:
            text = text.replace(spelling, "")
        assert not re.search("pictur", text, flags=re.I), path


def test_retired_names_do_not_come_back() -> None:
    for path in SOURCES:
        assert not identifiers(path) & RETIRED, path


def test_every_term_of_the_page_is_used() -> None:
    terms = re.findall(r"^\| `(\w+)`", PAGE.read_text(encoding="utf-8"), flags=re.M)
    assert len(terms) > 25 and len(set(terms)) == len(terms)
    used = " ".join(path.read_text(encoding="utf-8").lower() for path in SOURCES)
    words = set(re.findall(r"[a-z]+", used))
    assert not [term for term in terms if term.replace("_", "") not in words]
