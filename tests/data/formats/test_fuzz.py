"""Whatever a file holds, a reader answers with a listing or with a sentence."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.formats.examples import EXAMPLES
from tacit.data.formats import FORMATS, read_listing, recognise
from tacit.data.listing import Listing
from tacit.errors import DataError, TacitError, UsageError

TEXTS = (".csv", ".json", ".jsonl", ".xml", ".xmp", ".yaml", ".txt", ".parquet")
FEW = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["images", "annotations", "categories", "id", "image_id", "category_id", "bbox"]
                + ["file_name", "name", "data", "image", "result", "value", "type", "choices"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def read_or_refuse(path: Path, format: str) -> Listing | str:
    """Return what is read, or the sentence; anything else is a failure of the reader."""
    try:
        listing = read_listing(path, format=format)
        listing.source()
        return listing
    except (DataError, UsageError) as error:
        text = str(error)
        assert text and "\n" not in text.strip() and len(text) < 2000, text
        return text


def texts_of(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    return sorted(file for file in folder.rglob("*") if file.suffix in TEXTS)


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[str, Callable[[bytes], bytes]], None]:
    """Damage each file of an example in turn, and read."""

    def damage(example: str, change: Callable[[bytes], bytes]) -> None:
        name, make = EXAMPLES[example]
        (tmp_path / "whole").mkdir()
        path = make(tmp_path / "whole")
        for number, file in enumerate(texts_of(path)):
            copy = tmp_path / f"copy{number}"
            shutil.copytree(tmp_path / "whole", copy)
            target = copy / file.relative_to(tmp_path / "whole")
            target.write_bytes(change(target.read_bytes()))
            read_or_refuse(copy / path.relative_to(tmp_path / "whole"), name)
            try:
                recognise(copy / path.relative_to(tmp_path / "whole"))
            except TacitError as error:
                assert "format" in str(error)

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing in it": lambda content: b"",
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut at the end": lambda content: content[:-3],
    "noise": lambda content: random.Random(0).randbytes(300),
    "zeros": lambda content: bytes(300),
    "noise inside": lambda content: content[:40] + random.Random(1).randbytes(9) + content[40:],
    "zeros inside": lambda content: content[:40] + bytes(4) + content[40:],
    "not UTF-8": lambda content: content.replace(b"dog", b"d\xf6g"),
    "half a character": lambda content: content.replace(b"dog", b"\\ud83d"),
    "a list": lambda content: b"[]",
    "an object": lambda content: b"{}",
    "a number": lambda content: b"7",
    "nothing": lambda content: b"null",
    "lists in lists": lambda content: b"[" * 100_000,
    "objects in objects": lambda content: b'{"images":' * 100_000,
    "elements in elements": lambda content: b"<annotations>" * 100_000,
    "braces in braces": lambda content: b"names: " + b"{a: " * 3_000,
    "a long name": lambda content: content.replace(b"dog", b"d" * 300_000).replace(b"cat", b"c"),
    "a long number": lambda content: content.replace(b"1", b"1" * 5_000),
    "a huge number": lambda content: content.replace(b"1", b"1e999"),
    "infinity": lambda content: content.replace(b"0", b"Infinity").replace(b"1", b"NaN"),
    "minus": lambda content: content.replace(b"1", b"-1"),
    "no line ends": lambda content: content.replace(b"\n", b" "),
    "quotes": lambda content: content.replace(b"dog", b'"').replace(b",", b'","'),
    "lists for texts": lambda content: content.replace(b'"dog"', b'["dog"]'),
    "numbers for texts": lambda content: content.replace(b'"dog"', b"5"),
    "texts for numbers": lambda content: content.replace(b": 1", b': "x"'),
    "away": lambda content: content.replace(b".jpg", b"/../../x.jpg"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"folders"}))
def test_a_damaged_file_is_refused_in_a_sentence(
    example: str, damage: str, damaged: Callable[..., None]
) -> None:
    damaged(example, DAMAGES[damage])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["an empty folder", "an empty file", "a loop of links"])
def test_a_path_of_the_wrong_kind_is_refused(format: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    if kind == "an empty file":
        path.write_text("")
    else:
        path.mkdir()
    if kind == "a loop of links":
        (path / "round").symlink_to(path)
    answer = read_or_refuse(path, format)
    assert isinstance(answer, str) and str(path) in answer


@pytest.mark.parametrize("format", ["coco_json", "label_studio"])
@FEW
@given(document=JSON)
def test_any_json_is_read_or_refused(format: str, document: Any, tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps(document))
    read_or_refuse(path, format)


@pytest.mark.parametrize("format", ["table", "openimages_csv"])
@FEW
@given(cells=st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=4), max_size=5))
def test_any_csv_is_read_or_refused(format: str, cells: list[list[str]], tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    header = {"table": "file,labels,cat,dog", "openimages_csv": "ImageID,LabelName,Confidence,x"}
    lines = [header[format], *(",".join(row) for row in cells)]
    path.write_bytes("\n".join(lines).encode("utf-8", errors="ignore"))
    read_or_refuse(path, format)


@pytest.mark.parametrize("format", ["table", "coco_json", "label_studio", "cvat", "yolo"])
@FEW
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(format: str, content: bytes, tmp_path: Path) -> None:
    for suffix in {"table": (".csv", ".jsonl", ".parquet", ".arrow"), "yolo": (".yaml",)}.get(
        format, (".json", ".xml")
    ):
        path = tmp_path / f"any{suffix}"
        path.write_bytes(content)
        read_or_refuse(path, format)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    "declared", [BOMB, '<!DOCTYPE a SYSTEM "file:///etc/passwd">', "<!DOCTYPE annotations>"]
)
@pytest.mark.parametrize("example", ["cvat", "voc"])
def test_entities_are_refused_before_they_unfold(
    example: str, declared: str, tmp_path: Path
) -> None:
    name, make = EXAMPLES[example]
    path = make(tmp_path)
    file = next(file for file in texts_of(path) if file.suffix == ".xml")
    file.write_text(declared + file.read_text().replace("dog", "&c;"))
    answer = read_or_refuse(path, name)
    assert isinstance(answer, str) and "DOCTYPE" in answer and file.name in answer


def test_aliases_of_yaml_do_not_unfold(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    path = tmp_path / "data.yaml"
    path.write_text("a0: &a0 x\n" + levels + "names: *a29\ntrain: *a29\n")
    assert "no names" in str(read_or_refuse(path, "yolo"))
