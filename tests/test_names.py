"""Names that need care come back from every file, and never reach a terminal as they are."""

from __future__ import annotations

import ast
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tacit
from tacit.config import resolve
from tacit.data.formats import read_listing, write_listing
from tacit.data.listing import Listing
from tacit.data.prepared import read_prepared, write_observed, write_prepared
from tacit.errors import DataError, UsageError, make_printable, unknown_name
from tacit.labels import SparseLabels
from tacit.names import csv_writer, escape_formula, join_lines, read_lines, write_lines
from tacit.prediction.columns import Columns
from tacit.prediction.output import count, merge, write_part
from tacit.prediction.plan import Settings
from tacit.runs.folder import Log, Run
from tacit.teachers.stored import read_scores, save_scores
from tacit.training.suspects import SuspectLog
from tacit.types import Annotations, Batch, Step

# Where `str.splitlines` ends a line and a text file does not.
SEPARATORS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]
NASTY = [f"bee{sign}eater" for sign in (*SEPARATORS, "\r", "\t", "\x1b[2J", "\u202e", "'", '"')]
NASTY += ["=1+1", "+x", "-x", "@x", "[a]", "a;b", "a|b", "a,b", "é", "e\u0301", "😀"]
ON_A_LINE = [name for name in NASTY if "\r" not in name]


def listing(classes: list[str], root: Path) -> Listing:
    """Four images, each of one class, so that a shift of columns cannot go unseen."""
    names = [*classes, "cow", "dog"]
    labels = SparseLabels.of(np.eye(len(names), dtype=np.int8))
    images = [f"{number}{name}.jpg".replace("/", "") for number, name in enumerate(names)]
    return Listing("it", root, images, tuple(names), labels)


@pytest.mark.parametrize("name", ON_A_LINE)
def test_a_prepared_set_gives_back_its_classes(name: str, tmp_path: Path) -> None:
    written = listing(["ant", name], tmp_path)
    write_prepared(tmp_path / "set", replace(written, truth=written.labels), {})
    read = read_prepared(tmp_path / "set")
    assert read.classes == written.classes and list(read.images) == written.images
    assert read.labels.equals(written.labels)
    write_observed(tmp_path / "set", "draw", read, {})
    drawn = read_prepared(tmp_path / "set", observed="draw")
    assert drawn.classes == written.classes and drawn.labels.equals(written.labels)


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow"])
def test_a_table_beside_a_list_of_classes_gives_both_back(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """The classes are not in alphabetical order, so that their list has to be written."""
    written = listing(["zebra", name], tmp_path)
    try:
        write_listing(written, tmp_path / f"it{suffix}")
    except DataError as error:
        assert "\r" in name and "cannot stand on a line" in str(error)
        return
    assert (tmp_path / "classes.txt").exists()
    read = read_listing(tmp_path / f"it{suffix}", format="table")
    assert read.classes == written.classes and list(read.images) == written.images
    assert read.labels.equals(written.labels)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(names=st.lists(st.sampled_from(NASTY) | st.text(max_size=5), max_size=4))
def test_names_on_lines_are_refused_or_given_back(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "classes.txt"
    try:
        join_lines(names).encode()
    except (DataError, UnicodeEncodeError):
        return
    write_lines(path, names)
    assert read_lines(path) == names


def test_a_text_file_of_any_system_has_the_same_lines(tmp_path: Path) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfcat" + end + end + b" a dog " + end)
        assert read_lines(tmp_path / "classes.txt") == ["cat", "a dog"]


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from(NASTY) | st.text(max_size=4), min_size=2, max_size=3), max_size=4
    )
)
def test_rows_of_csv_are_given_back(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "it.csv"
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        write_row = csv_writer(file)
        for row in rows:
            write_row(row)
    with path.open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        assert list(csv.reader(file)) == rows


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", NASTY)
def test_predictions_are_counted_and_put_together(name: str, format: str, tmp_path: Path) -> None:
    columns = Columns((f"class {name}", "dog"), np.array([0.5, 0.5], np.float32))
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    images = [f"{name}.jpg", "b.jpg"]
    table = columns.table(images, [f"{name} is damaged", None], scores)
    part, whole = tmp_path / f"part.{format}", tmp_path / f"whole.{format}"
    write_part(table, part, format)
    assert count([part], format).examples == [(images[0], f"{name} is damaged")]
    merge([part, part], whole, format)
    assert (count([whole], format).images, count([whole], format).failed) == (4, 2)


def test_a_spreadsheet_calculates_nothing_if_asked(tmp_path: Path) -> None:
    columns = Columns(("=1+1", "dog"), np.array([0.5, 0.5], np.float32))
    scores = np.array([[0.9, 0.1]] * 5, np.float32)
    images = ["=cmd|'/C calc'!A0.jpg", "-1.jpg", "@x.jpg", "+x.jpg", "plain.jpg"]
    table = columns.table(images, [None] * 5, scores)
    for safe in (False, True):
        path = tmp_path / f"{safe}.csv"
        write_part(table, path, "csv", spreadsheet_safe=safe)
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert any(cell.startswith(("=", "+", "-", "@")) for cell in cells) is not safe
        assert ("'=1+1" in cells, "plain.jpg" in cells) == (safe, True)
    with pytest.raises(UsageError, match="spreadsheet-safe is about CSV files, not parquet"):
        Settings("model", spreadsheet_safe=True)
    assert escape_formula("\tx") == "'\tx" and escape_formula("a=b") == "a=b"


@pytest.mark.parametrize("name", NASTY)
def test_scores_of_a_teacher_are_found_by_name(name: str, tmp_path: Path) -> None:
    classes, images = ("ant", name), [f"{name}.jpg", "b.jpg"]
    save_scores(tmp_path / "it.npz", images[::-1], np.eye(2), classes)
    labels = SparseLabels.of(np.eye(2, dtype=np.int8))
    read = read_scores(tmp_path / "it.npz", Annotations(labels, classes, images))
    assert read.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("name", NASTY)
def test_suspects_and_metrics_keep_names(name: str, tmp_path: Path) -> None:
    source = listing(["ant", name], tmp_path).source()
    log = SuspectLog(source, source.fingerprint(), resolve())
    marked = torch.zeros(1, 4, dtype=torch.bool)
    marked[0, 1] = True
    log.update(Batch(torch.tensor([1]), marked.char() * 0, {}), Step({}, marked), 1)
    log.state_dict()
    log.write(Run(tmp_path).suspects_file)
    assert Run(tmp_path).suspects().to_pylist()[0]["class"] == name
    (row,) = Run(tmp_path).suspects(source).to_pylist()
    assert (row["image"], row["class"]) == (source.images[1], name)
    other = source.with_labels(SparseLabels.of(np.zeros((4, 4), np.int8)))
    with pytest.raises(DataError, match="suspects of other images or labels"):
        Run(tmp_path).suspects(other)
    metrics = Log(tmp_path / "metrics.jsonl")
    records = [{"epoch": epoch, "per_class": {name: 1.0}} for epoch in (1, 2)]
    for record in records:
        metrics.append(record)
    assert metrics.read() == records


def test_nothing_in_the_package_splits_text_where_no_line_ends() -> None:
    root = Path(tacit.__file__).parent
    users = {
        path.name
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "splitlines"
    }
    assert not users, "use tacit.names.split_lines"


CONTROL = [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0xDC80]


@pytest.mark.parametrize("sign", [chr(code) for code in CONTROL if code != 0x0A])
def test_no_message_holds_what_a_terminal_obeys(sign: str) -> None:
    shown = str(DataError(f"There is no a{sign}b."))
    assert sign not in shown and shown.isprintable() and shown.encode()
    assert str(DataError("cat, été, 日本 and 😀\non two lines")).count("\n") == 1


def test_no_message_is_endless() -> None:
    long = "x" * 100_000
    for error in (DataError(long), unknown_name("class", long, [long]), UsageError(f"{long} end")):
        assert len(str(error)) < 2000
    assert str(UsageError(f"begin {long} end")).startswith("begin")
    assert str(UsageError(f"begin {long} end")).endswith("end")
    # Every sign of it takes ten when it is shown.
    assert len(make_printable("\U000e0001" * 10_000)) < 2000


def test_names_of_draws_are_names_of_files(tmp_path: Path) -> None:
    it = listing(["ant"], tmp_path)
    write_prepared(tmp_path / "set", it, {})
    for name in ("../../up", "a/b", "", ".", "a\0b", "x" * 300):
        with pytest.raises(DataError, match="cannot be the name of a file"):
            write_observed(tmp_path / "set", name, it, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert json.loads((tmp_path / "set/data.json").read_text())["counts"]["images"] == 3
