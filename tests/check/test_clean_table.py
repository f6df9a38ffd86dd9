"""A cleaned table is the same table: what was right in it stays as it was written."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyarrow.parquet import ParquetFile

from check.planted import ASIDE, Photos, healthy
from tacit.check.run import check
from tacit.cli import run
from tacit.data.formats import read_listing
from tacit.data.load import load


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    monkeypatch.chdir(tmp_path)
    return healthy(tmp_path)


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def clean(*flags: str, data: str = "labels.csv", to: str = "cleaned/labels.csv") -> int:
    return run(["check", data, f"--clean={to}", *flags])


def test_columns_names_and_order_stay(photos: Photos) -> None:
    more = {"code": [f"{n:03}" for n in range(32)], "Price ": ["1.50", "NA"] * 16}
    photos.rows[5]["labels"] = " tree ; boat "
    photos.write(more)
    photos.rows[2:4] = photos.rows[3:1:-1]  # 003.png comes before 002.png
    photos.write()
    photos.path(9).write_bytes(b"")
    assert clean("--images=photos") == 1
    before, after = read("labels.csv"), read("cleaned/labels.csv")
    assert after == before[:9] + before[10:]
    assert list(after[0]) == ["file", "split", "labels", "code", "Price "]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_what_separates_columns_stays(photos: Photos, delimiter: str) -> None:
    photos.write()
    rows = [list(row.values()) for row in read("labels.csv")]
    with Path("labels.csv").open("w", newline="") as file:
        write = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        write.writerows([list(photos.rows[0]), *rows])
    photos.path(9).write_bytes(b"")
    assert clean("--images=photos") == 1
    before = Path("labels.csv").read_text().splitlines()
    after = Path("cleaned/labels.csv").read_text().splitlines()
    assert after[0] == before[0] and after == before[:10] + before[11:]


def test_one_command_mends_all_kinds_together(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    photos.rows[3]["labels"] = photos.rows[3]["labels"].replace("waterfall", "Waterfall")
    photos.rows[8]["labels"] = ""
    photos.path(9).write_bytes(photos.path(2).read_bytes())
    photos.path(12).unlink()
    photos.write()
    assert run(["check", "labels.csv"]) == 1
    command = capsys.readouterr().out.rstrip().rpartition(" of the labels: ")[2]
    assert set(shlex.split(command)) > {"class_variant", "unlabelled", "duplicate"}
    assert run(shlex.split(command)[1:]) == 1
    told = capsys.readouterr().err.rstrip()
    words = shlex.split(told.rpartition("tacit train --data ")[2])
    assert run(["check", *words, "--strict"]) == 0
    names = [row["file"] for row in read("cleaned/labels.csv")]
    assert {"008.png", "009.png", "012.png"}.isdisjoint(names) and len(names) == 29
    # A second command finds a free place, so that it works as well.
    run(["check", "labels.csv"])
    assert "--clean cleaned/labels2.csv --mend" in capsys.readouterr().out


def test_equal_files_join_their_labels(photos: Photos) -> None:
    photos.path(6).write_bytes(photos.path(3).read_bytes())
    photos.path(5).write_bytes(photos.path(3).read_bytes())
    photos.rows[3]["labels"], photos.rows[5]["labels"] = "tree", "boat;tree"
    photos.rows[6]["labels"] = ""
    photos.write({"negatives": ["house" if n == 6 else "" for n in range(32)]})
    assert clean("--mend=duplicate") == 0
    row = next(row for row in read("cleaned/labels.csv") if row["file"] == "003.png")
    assert (row["labels"], row["negatives"]) == ("tree;boat", "house")
    assert len(read("cleaned/labels.csv")) == 30


def test_labels_of_tested_images_are_not_mixed_with_those_of_trained_ones(photos: Photos) -> None:
    photos.path(3).write_bytes(photos.path(30).read_bytes())
    photos.rows[3]["labels"] = "boat;house;tree;waterfall"
    before = photos.rows[30]["labels"]
    photos.write()
    assert clean() == 1
    rows = {row["file"]: row["labels"] for row in read("cleaned/labels.csv")}
    assert rows["030.png"] == before and "003.png" not in rows


def test_what_equal_files_contradict_each_other_about_is_unknown(photos: Photos) -> None:
    photos.path(6).write_bytes(photos.path(3).read_bytes())
    columns = {
        name: ["1" if name in row["labels"] else "" for row in photos.rows]
        for name in photos.classes
    }
    for row in photos.rows:
        del row["labels"]
    columns["tree"][3], columns["tree"][6], columns["boat"][6] = "1", "0", "0"
    columns["boat"][3] = ""
    photos.write(columns)
    assert clean() == 1
    row = next(row for row in read("cleaned/labels.csv") if row["file"] == "003.png")
    assert (row["tree"], row["boat"]) == ("", "0")


def test_columns_of_classes_are_merged_and_others_stay(photos: Photos) -> None:
    columns = {
        name: ["1" if name in row["labels"] else "0" for row in photos.rows]
        for name in (*photos.classes, "Tree")
    }
    columns["Tree"] = ["1" if n in (2, 3) else "0" for n in range(32)]
    columns["tree"][2] = columns["tree"][3] = "0"
    for row in photos.rows:
        row["note"] = row.pop("labels")
    photos.write(columns)
    assert clean("--mend=class_variant", "--other-columns=note") == 0
    after = read("cleaned/labels.csv")
    assert list(after[0]) == ["file", "split", "note", "boat", "house", "tree", "waterfall"]
    assert [row["tree"] for row in after[2:4]] == ["1", "1"]
    assert [row["boat"] for row in after] == columns["boat"]  # zeros stay zeros
    assert [row["note"] for row in after] == [row["note"] for row in photos.rows]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "tsv", "arrow"])
def test_a_table_stays_what_it_is(photos: Photos, suffix: str) -> None:
    listing = read_listing(photos.table)
    names = [[*filter(None, row["labels"].split(";"))] for row in photos.rows]
    data = {
        "file": list(listing.images),
        "split": list(listing.splits),
        "labels": names if suffix in ("parquet", "jsonl", "arrow") else map(";".join, names),
        "price": [1.25 * n for n in range(32)],
    }
    table = pa.table({name: list(values) for name, values in data.items()})
    path = f"set.{suffix}"
    if suffix == "parquet":
        parquet.write_table(table, path)
    elif suffix == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        from tacit.data.formats.table.write import write_csv, write_jsonl

        rows = iter(table.to_pylist())
        if suffix == "tsv":
            write_csv(Path(path), rows, "\t", str)
        else:
            write_jsonl(Path(path), rows)
    photos.path(6).write_bytes(photos.path(3).read_bytes())
    report = check(Path(path), images=Path("photos"), jobs=1)
    assert f"--clean cleaned/labels.{suffix} --mend duplicate" in report.summary()["mend"]
    flags = ("--images=photos", "--mend=duplicate")
    assert clean(*flags, data=path, to=f"cleaned/labels.{suffix}") == 0
    after = read_listing(Path(f"cleaned/labels.{suffix}"), images=Path("photos"))
    assert after.unread == ("price",)
    kept = [row for row in range(32) if row != 6]
    assert list(after.images) == [listing.images[row] for row in kept]
    same = [row for row in kept if row != 3]
    assert after.labels.take([kept.index(row) for row in same]).equals(listing.labels.take(same))
    assert set(after.labels[kept.index(3)].nonzero()[0]) == set(
        listing.labels[[3, 6]].any(0).nonzero()[0]
    )
    if suffix == "parquet":
        found = ParquetFile(f"cleaned/labels.{suffix}").schema_arrow
        assert found.types == table.schema.types


def test_images_that_look_alike_stay_on_one_side(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    photos.path(ASIDE).write_bytes(photos.path(3).read_bytes())
    assert clean() == 1
    told = capsys.readouterr()
    assert "training would put one into" in told.out and "labels-groups.csv" in told.err
    words = shlex.split(told.err.rstrip().rpartition("tacit train --data ")[2])
    assert "--groups" in words
    assert run(["check", *words]) == 0
    # The user's own groups are kept as well.
    groups = read("cleaned/labels-groups.csv")
    assert [row["file"] for row in groups] == ["003.png", f"00{ASIDE}.png"]
    photos.write({"product": [n // 2 for n in range(32)]})
    assert clean("--groups=product", to="cleaned/again.csv") in (0, 1)
    joined: dict[str, set[str]] = {}
    for row in read("cleaned/again-groups.csv"):
        joined.setdefault(row["group"], set()).add(row["file"])
    assert {"002.png", "003.png", "006.png", "007.png"} in joined.values()
    source = load("cleaned/again.csv", images="photos", groups="cleaned/again-groups.csv")
    assert source.side is not None and len(set(source.side.groups.tolist())) == 15
