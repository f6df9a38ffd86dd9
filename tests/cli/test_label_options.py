"""What is said of labels is said in the same words to every verb that reads them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from tacit.cli.label_options import LabelOptions
from tacit.config import resolve
from tacit.data.formats.table.read import read
from tacit.data.knowledge.options import BESIDE
from tacit.data.load import write_flags

Call = Callable[..., Any]
SAID: dict[str, Any] = {
    "images": "my photos",
    "absent": "negative",
    "image_column": "id",
    "classes": ["a b", "-c"],
    "negative_value": 0,
    "other_columns": ["shop"],
    "groups": "product",
    "at_most": 3,
    "merge_duplicates": True,
}


def test_tables_and_what_lies_beside_them_have_a_flag_for_every_option() -> None:
    flags = {field.name for field in dataclasses.fields(LabelOptions)}
    assert flags == {*signature(read).parameters, *BESIDE, "format"} - {"path", "name"}


@pytest.mark.parametrize("verb", ["check", "train"])
def test_words_that_a_message_suggests_are_understood(
    call: Call, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = write_flags({**SAID, "observed": 'x"y'})
    assert words[-2:] == ["--set", 'data.options.observed="x\\"y"']
    told: dict[str, Any] = {}
    if verb == "train":
        answer = call("train", "--method=an", "--dry-run", *words)
        told = answer.json()["data"]["options"]
    else:
        monkeypatch.setattr("tacit.check.run.check", lambda path, **given: told.update(given))
        call("check", "photos.csv", *words)
        told = {name: told.get(name) for name in (*SAID, "observed")}
    assert told == {**SAID, "observed": 'x"y'}
    assert shlex.join(words).startswith("--images 'my photos' --absent negative")


def test_settings_are_those_of_a_recipe() -> None:
    given = LabelOptions(images=Path("my photos"), classes=("ä", '"'), negative_value=0)
    found = resolve(settings=given.as_settings()).data.options
    assert found == {"images": "my photos", "classes": ["ä", '"'], "negative_value": 0}
