"""Taxonomy files: lines or TOML, checked before they are believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.data.knowledge.taxonomy import read_taxonomy
from tacit.errors import DataError

CLASSES = ("poodle", "dog", "animal", "cat", "in > out")

LINES = """
# from special to general
poodle > dog > animal   # two steps
cat > animal
exclusive: dog, cat
"""
TOML = """
exclusive = [["dog", "cat"]]
[parents]
poodle = "dog"
dog = ["animal"]
cat = "animal"
"""


@pytest.mark.parametrize(("name", "text"), [("a.txt", LINES), ("a.toml", TOML)])
def test_lines_and_toml_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_taxonomy(tmp_path / name, CLASSES)
    assert found.implications == ((0, 1), (0, 2), (1, 2), (3, 2))
    assert found.exclusions == ((1, 3),) and found.notes == ()


def test_names_that_are_no_classes_are_passed_over_but_lead_on(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("poodle > dogs > animal\nexclusive: cat, unicorn")
    found = read_taxonomy(path, CLASSES)
    assert found.implications == ((0, 2),) and found.exclusions == ()
    (note,) = found.notes
    assert note == "2 names in a.txt are no classes, first 'dogs'; did you mean 'dog'?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog", "line 1: expected 'child > parent'"),
        ("\ndog >", "line 2: expected"),
        ("exclusive: dog", "line 1: expected"),
        ("dog > animal\nanimal > poodle\npoodle > dog", "implies itself by way of others"),
        ("exclusive: dog, dog", "names one of them twice"),
        ("dog > animal\nexclusive: dog, animal", "'dog' could never be there"),
        ("poodle > dog\npoodle > cat\nexclusive: dog, cat", "'poodle' could never be there"),
        ("tree > plant", "names no class of this data set"),
        ("", "names no class of this data set"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_taxonomy(tmp_path / "a.txt", CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[parents", "is no TOML"),
        ("colour = 1", "not colour"),
        ("exclusive = ['dog']", "a list of lists"),
        ("[parents]\ndog = 3", "a parent is the name of a class"),
        ("parents = 3", "may hold"),
    ],
)
def test_toml_is_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_taxonomy(tmp_path / "a.toml", CLASSES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone.txt cannot be read"):
        read_taxonomy(tmp_path / "gone.txt", CLASSES)
