"""The file of suspects: what was written is read again, and other files are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tacit.errors import DataError
from tacit.repair.suspects_file import SuspectsFile, write_suspects

ABOUT = {"data": "f00d", "classes": ["cat", "dog"], "floor": 0.01}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "suspects.parquet"
    first = {"image": ["a", "b"], "class": [1, 0], "rank": [1, 2]} | {
        "posterior": [0.75, 0.5],
        "score": [0.5, 0.25],
        "evidence": [{"gap": 2.0}, {}],
        "box": [[0, 0, 0.5, 1], None],
    }
    second = {"image": ["a"], "class": [0], "rank": [3], "posterior": [0.125], "score": [0.25]}
    write_suspects(path, [first, second], ABOUT)
    file = SuspectsFile(path)
    assert len(file) == 3 and file.about["data"] == "f00d" and file.about["floor"] == 0.01
    rows = [row for block in file.blocks() for row in block.to_pylist()]
    assert [(row["image"], row["class"], row["rank"]) for row in rows] == [
        ("a", "dog", 1),
        ("b", "cat", 2),
        ("a", "cat", 3),
    ]
    assert [row["posterior"] for row in rows] == [0.75, 0.5, 0.125]
    assert rows[0]["evidence"] == [("gap", 2.0)] and rows[0]["box"] == [0, 0, 0.5, 1]
    assert rows[2]["evidence"] is None and rows[2]["box"] is None


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    with pytest.raises(DataError, match="is not there"):
        SuspectsFile(path)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="damaged"):
        SuspectsFile(path)
    parquet.write_table(pa.table({"image": ["a"]}), path)
    with pytest.raises(DataError, match="no list of suspects"):
        SuspectsFile(path)


def test_a_list_of_a_newer_tacit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suspects.parquet"
    write_suspects(path, [{"image": ["a"], "class": [0], "rank": [1]}], ABOUT | {"format": 2})
    with pytest.raises(DataError, match="newer"):
        SuspectsFile(path)


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("posterior", pa.array([0.5, None], pa.float32()), "a row has no posterior"),
        ("posterior", pa.array([0.5, float("nan")], pa.float32()), "no number from 0 to 1"),
        ("posterior", pa.array([0.5, 1.5], pa.float32()), "no number from 0 to 1"),
        ("posterior", pa.array([-0.5, 0.5], pa.float32()), "no number from 0 to 1"),
        ("image", pa.array(["a", None]), "a row has no image"),
        ("image", pa.array([1, 2]), "its columns"),
        ("class", pa.array(["dog", "cat"]), "its columns"),
        ("box", None, "its columns"),
    ],
)
def test_a_list_that_is_not_whole_is_refused_in_a_sentence(
    column: str, values: pa.Array | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "suspects.parquet"
    block = {"image": ["a", "b"], "class": [1, 0], "rank": [1, 2], "posterior": [1.0, 0.0]}
    write_suspects(path, [block], ABOUT)
    assert [len(batch) for batch in SuspectsFile(path).blocks()] == [2]
    table = parquet.read_table(path)
    place = table.column_names.index(column)
    table = table.remove_column(place)
    if values is not None:
        table = table.add_column(place, column, values)
    parquet.write_table(table, path)
    with pytest.raises(DataError, match=f"is damaged and cannot be read .*{why}"):
        list(SuspectsFile(path).blocks())


@pytest.mark.parametrize("classes", [None, "cat", ["cat", 3]])
def test_classes_of_a_list_are_names(classes: object, tmp_path: Path) -> None:
    path = tmp_path / "suspects.parquet"
    write_suspects(path, [], {**ABOUT, "classes": classes})
    with pytest.raises(DataError, match="what it says of itself"):
        SuspectsFile(path)


def test_a_page_of_a_list_that_is_damaged_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "suspects.parquet"
    images = [f"{number}.jpg" for number in range(3000)]
    block = {"image": images, "class": [0] * 3000, "rank": range(3000), "posterior": [0.5] * 3000}
    write_suspects(path, [block], ABOUT)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged and cannot be read"):
        list(SuspectsFile(path).blocks())
