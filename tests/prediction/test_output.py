"""Output: three formats that say the same, whole or put together from parts."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tacit.errors import DataError
from tacit.prediction.columns import NO_NUMBER, Columns
from tacit.prediction.inputs import find_names
from tacit.prediction.output import count, merge, write_part
from tacit.prediction.plan import PLAN, Settings, make_plan, read_plan

CLASSES = ["cat", "a\ndog", "owl"]
THRESHOLDS = np.array([0.5, 0.25, 0.5], dtype=np.float32)
IMAGES = ["a.png", "b, c.png", "broken.png", "d.png"]
ERRORS = [None, None, "It is broken.", None]
SCORES = np.array(
    [[0.1, 0.25, 0.5], [0.9, 0.1, 0.9], [0.9, 0.9, 0.9], [1e-7, np.nan, 0]], dtype=np.float32
)
Rows = list[dict[str, Any]]


def make(scores: str = "all", half: bool = False) -> pa.Table:
    return Columns(CLASSES, THRESHOLDS, scores, half).table(IMAGES, ERRORS, SCORES)


def read(path: Path) -> Rows:
    if path.suffix == ".parquet":
        return list(parquet.read_table(path).to_pylist())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_class_is_predicted_from_its_threshold_on() -> None:
    assert make()["labels"].to_pylist() == [["a\ndog", "owl"], ["cat", "owl"], None, None]


def test_what_has_no_prediction_says_why() -> None:
    table = make()
    assert table["error"].to_pylist() == [None, None, "It is broken.", NO_NUMBER]
    assert table["scores"].to_pylist()[2:] == [None, None]


def test_the_highest_scores_come_first_and_equal_ones_in_the_order_of_classes() -> None:
    table = make("top2")
    assert table["top"].to_pylist() == [["owl", "a\ndog"], ["cat", "owl"], None, None]
    expected = [[0.5, 0.25], [np.float32(0.9)] * 2, None, None]
    assert table["top_scores"].to_pylist() == expected
    assert make("top9")["top"].to_pylist()[1] == ["cat", "owl", "a\ndog"]
    assert make("none").column_names == ["image", "labels", "error"]


def test_half_precision_is_stored_as_such_and_decided_before() -> None:
    scores = np.array([[0.4999, 0, 0.50001]], dtype=np.float32)
    table = Columns(CLASSES, THRESHOLDS, "all", True).table(["a"], [None], scores)
    assert table["scores"].type == pa.list_(pa.float16())
    assert table["scores"].to_pylist() == [[0.5, 0.0, 0.5]]
    assert table["labels"].to_pylist() == [["owl"]]


@pytest.mark.parametrize("half", [False, True])
def test_every_format_gives_back_every_number(tmp_path: Path, half: bool) -> None:
    table = make(half=half)
    kind = np.float16 if half else np.float32
    for format in ("parquet", "csv", "jsonl"):
        write_part(table, tmp_path / f"all.{format}", format)
    expected = table["scores"].to_pylist()
    whole = read(tmp_path / "all.parquet")
    assert [row["scores"] for row in whole] == expected
    for row, json_row, csv_row in zip(
        whole, read(tmp_path / "all.jsonl"), read(tmp_path / "all.csv"), strict=True
    ):
        assert json_row["image"] == csv_row["image"] == row["image"]
        assert (json_row["labels"], json_row["error"]) == (row["labels"], row["error"])
        assert csv_row["labels"] == "|".join(row["labels"] or [])
        assert csv_row["error"] == (row["error"] or "")
        if row["scores"] is None:
            assert json_row["scores"] is None and csv_row["score cat"] == ""
            continue
        assert [kind(json_row["scores"][name]) for name in CLASSES] == row["scores"]
        assert [kind(csv_row[f"score {name}"]) for name in CLASSES] == row["scores"]


def test_a_parquet_file_says_whose_scores_it_has(tmp_path: Path) -> None:
    write_part(make(), tmp_path / "a.parquet", "parquet")
    schema = parquet.read_schema(tmp_path / "a.parquet")
    assert json.loads(schema.metadata[b"tacit.classes"]) == CLASSES


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("scores", ["all", "top2", "none"])
def test_parts_put_together_are_the_whole(tmp_path: Path, format: str, scores: str) -> None:
    table = make(scores)
    whole, joined = tmp_path / f"whole.{format}", tmp_path / f"joined.{format}"
    write_part(table, whole, format)
    parts = []
    for number in range(3):
        parts.append(tmp_path / f"{number}.{format}")
        write_part(table.slice(number * 2, 2), parts[-1], format)  # the last one is empty
    merge(parts, joined, format)
    assert read(joined) == read(whole)
    assert format == "parquet" or joined.read_bytes() == whole.read_bytes()
    for paths in (parts, [whole]):
        tally = count(paths, format)
        assert (tally.images, tally.failed) == (4, 2)
        assert tally.examples == [("broken.png", "It is broken."), ("d.png", NO_NUMBER)]


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_a_damaged_part_is_named(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"part.{format}"
    path.write_text('image,error\n"a.png"')
    with pytest.raises(DataError, match=f"{path}.*delete it and repeat the command"):
        count([path], format)


def test_names_whose_bytes_are_no_text_are_escaped() -> None:
    table = Columns(CLASSES, THRESHOLDS).table(["\udcff.png"], [None], SCORES[:1])
    assert table["image"].to_pylist() == ["\\udcff.png"]


@pytest.mark.parametrize("name", ["format", "precision", "reading"])
@pytest.mark.parametrize("word", ["", "x" * 300, "../../x", []])
def test_a_plan_of_words_that_nobody_knows_is_not_followed(
    name: str, word: Any, tmp_path: Path
) -> None:
    """A plan lies beside its parts, whose names end in its format."""
    (tmp_path / "n.csv").write_text("image\n1.jpg\n")
    names = find_names([str(tmp_path / "n.csv")], tmp_path, None, "image")
    make_plan(Settings("m"), names, "abc", tmp_path).write()
    found = read_plan(tmp_path)
    assert found is not None and len(found.list_unfinished()) == 1
    path = tmp_path / PLAN
    content = json.loads(path.read_text())
    content["settings"][name] = word
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="is no plan that this tacit can follow"):
        read_plan(tmp_path)
