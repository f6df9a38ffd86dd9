"""Hugging Face's imagefolder: tables beside images, in folders of splits."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from data.formats.examples import imagefolder
from tacit.data.formats import read_listing
from tacit.errors import DataError, UsageError


def test_folders_are_parts_and_names_are_relative_to_their_table(tmp_path: Path) -> None:
    listing = read_listing(imagefolder(tmp_path))
    assert dict(zip(listing.images, listing.splits, strict=True)) == {
        "test/3.jpg": "test", "train/1.jpg": "train", "train/2.jpg": "train"
    }  # fmt: skip


def test_one_table_at_the_top_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label,caption\na/1.jpg,x,One\n2.jpg,y,Two\n")
    listing = read_listing(tmp_path)
    assert listing.images == ["a/1.jpg", "2.jpg"] and not listing.splits


def test_a_set_is_called_like_its_folder_unless_it_has_a_name(tmp_path: Path) -> None:
    folder = imagefolder(tmp_path / "birds")
    assert read_listing(folder).name == "birds"
    assert read_listing(folder, name="mine").name == "mine"


def test_what_zero_means_is_decided_over_all_tables(tmp_path: Path) -> None:
    for part, cells in {"train": ([1, 0], [0, 1]), "test": ([None, 0], [1, 1])}.items():
        (tmp_path / part).mkdir()
        table = pa.table({"file_name": ["1.jpg", "2.jpg"], "a": cells[0], "b": cells[1]})
        parquet.write_table(table, tmp_path / part / "metadata.parquet")
    labels = read_listing(tmp_path).labels.dense()
    assert labels.tolist() == [[0, 1], [-1, 1], [1, -1], [-1, 1]]  # test, train


def test_options_of_tables_are_options_here(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,what,not\n1.jpg,x/y,z\n2.jpg,z,\n")
    options = {"label_column": "what", "negative_column": "not", "separator": "/"}
    listing = read_listing(tmp_path, **options)  # type: ignore[arg-type]
    assert listing.labels.dense().tolist() == [[1, 1, -1], [0, 0, 1]]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no metadata.csv, metadata.jsonl"):
        read_listing(tmp_path, format="imagefolder")
    imagefolder(tmp_path)
    with pytest.raises(UsageError, match="leave images out"):
        read_listing(tmp_path, images=tmp_path)
    (tmp_path / "test" / "metadata.jsonl").write_text('{"file": "3.jpg", "labels": ["bird"]}\n')
    with pytest.raises(DataError, match="no column 'file_name'"):
        read_listing(tmp_path)
    text = '{"file_name": "3.jpg", "labels": {"bird": 1}}\n'
    (tmp_path / "test" / "metadata.jsonl").write_text(text)
    with pytest.raises(DataError, match="do not fit together"):
        read_listing(tmp_path)
