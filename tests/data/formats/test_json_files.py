"""JSON that may hold anything: how deep it is nested, and what is said of it."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.data.formats import read_listing
from tacit.data.formats.shared import json_files
from tacit.data.formats.shared.json_files import DEEPEST, check_json_lines, read_json
from tacit.errors import DataError

TEXTS = st.text(st.sampled_from('[]{}"\\a\n'), max_size=8)
VALUES: Any = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    """Count how deep lists and objects are in each other."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def measure(content: bytes) -> int:
    with mmap.mmap(-1, len(content)) as there:
        there[:] = content
        return json_files._measure_depth(there)


@pytest.mark.parametrize("block", [1, 2, 5, 1 << 22])
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(values=st.lists(VALUES, min_size=1, max_size=4))
def test_the_depth_is_that_of_the_values_wherever_a_block_ends(
    block: int, values: list[Any]
) -> None:
    lines = "\n".join(json.dumps(value) for value in values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "BLOCK", block)
        assert measure(lines.encode()) == max(map(depth_of, values))


@pytest.mark.parametrize("broken", ['"x', "]]]]", '{"x": "}', "\\"])
def test_a_line_that_is_no_json_hides_nothing_of_those_after_it(broken: str) -> None:
    assert measure(f"{broken}\n[[[[[1]]]]]\n".encode()) >= 5


def row(nested: int, name: str = "") -> str:
    return f'{{"file": "1.jpg", "labels": ["a"], "{name}": 1, "x": {"[" * nested}{"]" * nested}}}\n'


@pytest.mark.parametrize("name", ["", "]" * 300, '\\"' + "]" * 300, "[" * 300])
def test_names_of_brackets_neither_nest_nor_hide_what_is_nested(name: str, tmp_path: Path) -> None:
    """Arrow's reader ends the whole process where nesting has no end."""
    path = tmp_path / "it.jsonl"
    path.write_text(row(DEEPEST - 1, name))  # the row itself is the first
    check_json_lines(path)
    assert read_listing(path).classes == ("a",)
    path.write_text(row(DEEPEST, name))
    with pytest.raises(DataError, match="nested too deeply for a table"):
        check_json_lines(path)


def test_what_is_no_json_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text('{"a": ')
    with pytest.raises(DataError, match=r"it\.json is not readable as JSON: Expecting value"):
        read_json(path)
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"it\.json is not readable as JSON: it is nested too deep"):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "is empty"), ("null\n", "a row that is null"), ("{}\n null", "null")],
)
def test_rows_that_end_the_process_are_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        check_json_lines(path)


def test_numbers_are_as_many_as_asked_for_and_places_in_an_image() -> None:
    assert json_files.numbers(["1", 2.5], 2, "it") == [1.0, 2.5]
    for values in ([1], [1, 2, 3], "12", None, [1, "x"], [1, None], [1, np.nan], [0, -1e9]):
        with pytest.raises(DataError, match="it: a box should be 2 numbers and is not"):
            json_files.numbers(values, 2, "it")


def test_bytes_that_are_no_text_have_an_outline_or_none(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_bytes(b'{"a\xff": 1, "b": [{"c": 2}]}')
    outline = json_files.read_outline(path)
    assert outline is not None and outline.kind == "object" and outline.whole
    assert outline.keys == {"a\ufffd", "b"}
    path.write_bytes(b"\xff\xfe{}")
    assert json_files.read_outline(path) is None
