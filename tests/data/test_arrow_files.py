"""Damaged files of Arrow's formats end in a sentence and not with the process."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from tacit.data.arrow_files import read_parquet
from tacit.data.formats import read_listing
from tacit.errors import DataError

TABLE = pa.table(
    {
        "file": [f"{number}.jpg" for number in range(8)],
        "labels": [["cat", "dog"][: number % 3] for number in range(8)],
    }
)


def write_arrow(path: Path) -> bytes:
    with ipc.new_file(path, TABLE.schema) as file:
        file.write_table(TABLE)
    return path.read_bytes()


@pytest.mark.parametrize("texts", [b"0.jpg1.jpg", b"catcatdog"], ids=["file", "labels"])
@pytest.mark.parametrize("suffix", [".arrow", ".feather"])
def test_offsets_that_lead_out_of_the_memory_are_a_sentence(
    texts: bytes, suffix: str, tmp_path: Path
) -> None:
    """Each text's place is an offset of four bytes, kept before the texts themselves."""
    path = tmp_path / f"table{suffix}"
    whole = write_arrow(path)
    begin = whole.index(texts)
    place = whole.rindex(len(texts).to_bytes(4, "little"), 0, begin)
    path.write_bytes(whole[:place] + (1 << 30).to_bytes(4, "little") + whole[place + 4 :])
    with pytest.raises(DataError, match=rf"The table .*table{suffix} cannot be read: "):
        read_listing(path, format="table")


def test_a_whole_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.arrow"
    write_arrow(path)
    assert read_listing(path, format="table").classes == ("cat", "dog")


def test_what_folders_are_called_is_no_column(tmp_path: Path) -> None:
    path = tmp_path / "split=train" / "table.parquet"
    path.parent.mkdir()
    parquet.write_table(TABLE, path)
    assert read_parquet(path).equals(TABLE)
    assert read_parquet(path, ["labels"]).column_names == ["labels"]
