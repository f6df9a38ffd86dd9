"""The edges of what formats read and write: the last that is taken, and the first that is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark_copies import touch_image
from data.formats.examples import openimages_csv, xmp_packet, yolo
from data.formats.test_xmp import embed
from tacit.data.formats import read_listing, recognise, write_listing
from tacit.data.formats.coco_json import find_files
from tacit.data.formats.shared.assemble import Cells, assemble
from tacit.data.formats.shared.xml_files import DEEPEST, names_at_the_beginning, walk
from tacit.data.formats.table.class_columns import (
    add_columns,
    find_class_columns,
    find_negative,
    is_class_column,
    read_states,
)
from tacit.data.formats.table.write import choose_join
from tacit.data.formats.xmp import FEW, read_keywords
from tacit.data.formats.yolo import _label_file
from tacit.data.listing import Listing
from tacit.errors import DataError
from tacit.labels import SparseLabels


def make(dense: list[list[int]], **changes: Any) -> Listing:
    labels = SparseLabels.of(np.array(dense, dtype=np.int8))
    images = [f"{row}.jpg" for row in range(len(dense))]
    classes = tuple("abcdef"[: len(dense[0])])
    return replace(Listing("it", Path("nowhere"), images, classes, labels), **changes)


# Columns of classes


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("1", "true", "yes", "t", "y", " Yes ", "TRUE"), 1),
        (("0", "false", "no", "f", "n", "No"), 0),
        (("-1", " -1"), -1),
        (("", " ", None, "perhaps", "2"), 2),
    ],
)
def test_words_of_a_column(words: tuple[str | None, ...], state: int) -> None:
    for kind in (pa.string(), pa.large_string()):
        column = pa.chunked_array([pa.array(words[:2], kind), pa.array(words[2:], kind)])
        assert read_states(column).tolist() == [state] * len(words)


@pytest.mark.parametrize(
    ("values", "states"),
    [
        (pa.array([1, 0, -1, None], pa.int64()), [1, 0, -1, 2]),
        (pa.array([1.0, 0.0, -1.0, float("nan"), None]), [1, 0, -1, 2, 2]),
        (pa.array([True, False, None]), [1, 0, 2]),
        (pa.array([1, 0, None], pa.uint8()), [1, 0, 2]),
        (pa.nulls(2), [2, 2]),
    ],
)
def test_numbers_of_a_column(values: pa.Array, states: list[int]) -> None:
    column = pa.chunked_array([values])
    assert is_class_column(column) and read_states(column).tolist() == states


@pytest.mark.parametrize(
    "values",
    [
        *(pa.array([1, 2]), pa.array([1, -2]), pa.array([0.5, 1.0]), pa.array(["1", "perhaps"])),
        *(pa.array([[1], [0]]), pa.array([{"a": 1}]), pa.array(["yes", "no", "2"])),
    ],
)
def test_columns_that_are_none_of_a_class(values: pa.Array) -> None:
    assert not is_class_column(pa.chunked_array([values]))


def test_two_columns_with_entries_make_a_table_of_classes() -> None:
    some, none = pa.array([1, None]), pa.nulls(2)
    two = pa.table({"a": some, "b": some, "c": none})
    assert find_class_columns(two, ["a", "b", "c"], None) == ["a", "b", "c"]
    one = pa.table({"a": some, "c": none, "d": none})
    assert find_class_columns(one, ["a", "c", "d"], None) == []
    assert find_class_columns(one, ["a", "c"], ["d", "c", "z"]) == ["c"]


def test_the_number_that_means_absent() -> None:
    states = [np.array(each, dtype=np.int8) for each in ([1, 0, 0], [1, 2, 0])]
    assert find_negative(states, None) == (0, True)
    assert find_negative(states, -1) == (-1, True)
    assert find_negative(states[:1], None) == (None, False)
    assert find_negative(states[:1], 0) == (0, False)


@pytest.mark.parametrize(
    ("columns", "said", "note"),
    [
        ([[1, 0, 0], [0, 1, 1]], None, "3 cells of the classes' columns hold 0 and none is blank"),
        ([[1, 0, None], [None, 1, 1]], None, "0 in a class's column means absent, since 2 cells"),
        ([[1, 0, -1], [None, 1, 1]], -1, "-1 in a class's column means absent"),
    ],
)
def test_what_numbers_were_taken_for_is_noted_with_counts(
    columns: list[list[int | None]], said: int | None, note: str
) -> None:
    cells = Cells("it", None)
    table = {name: pa.chunked_array([pa.array(c)]) for name, c in zip("ab", columns, strict=True)}
    add_columns(cells, table, said)
    assert len(cells.notes) == 1 and cells.notes[0].startswith(note)


# Joining cells


def clash(count: int) -> str:
    cells, rows = Cells("it", None), np.arange(count)
    for state in (1, -1):
        cells.add(rows, ["a"], np.zeros(count, dtype=np.int64), state)
    with pytest.raises(DataError) as refused:
        assemble(cells, "it", (Path(), [f"{row}.jpg" for row in rows]), None)
    return str(refused.value)


@pytest.mark.parametrize(("count", "more"), [(1, ""), (5, ""), (6, "1 more"), (7, "2 more")])
def test_five_contradictions_are_shown_and_the_rest_is_counted(count: int, more: str) -> None:
    said = clash(count)
    assert said.count("about 'a'") == min(count, 5) and f"({count} in all)" in said
    assert ("more" in said) == bool(more) and more in said


def test_the_folder_of_the_images_is_where_most_of_a_sample_is(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("file,labels\n1.jpg,a\n2.jpg,b\n3.jpg,a\n")
    touch_image(tmp_path / "imgs" / "2.jpg")
    assert read_listing(tmp_path / "l.csv").root == tmp_path / "imgs"
    for name in ("1.jpg", "3.jpg"):
        touch_image(tmp_path / "photos" / name)
    assert read_listing(tmp_path / "l.csv").root == tmp_path / "photos"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("./a.jpg", "a.jpg"),
        ("x\\a.jpg", "x/a.jpg"),
        ("a..b.jpg", "a..b.jpg"),
        ("x/../a.jpg", "x/../a.jpg"),
        ("../a.jpg", "../a.jpg"),
        ("c:a.jpg", "c:a.jpg"),
        ("{root}/x/a.jpg", "x/a.jpg"),
        ("{root}/../a.jpg", "{root}/../a.jpg"),
    ],
)
def test_names_are_paths_below_the_folder(written: str, name: str, tmp_path: Path) -> None:
    row = {"file": written.format(root=tmp_path), "labels": ["a", "b"]}
    (tmp_path / "l.jsonl").write_text(json.dumps(row) + "\n")
    assert read_listing(tmp_path / "l.jsonl").images == [name.format(root=tmp_path)]


# Writing


@pytest.mark.parametrize("name", ["x\\a.jpg", "./a.jpg", " a.jpg\0"])
@pytest.mark.parametrize(
    ("format", "suffix"),
    [("coco_json", ".json"), ("openimages_csv", ".csv"), ("table", ".csv")],
)
def test_names_that_would_be_read_as_others_are_not_written(
    name: str, format: str, suffix: str, tmp_path: Path
) -> None:
    listing = make([[1, 0], [0, 1]], images=[name, "b.jpg"])
    with pytest.raises(DataError, match="would be read as|characters that no text has"):
        write_listing(listing, tmp_path / f"it{suffix}", format)
    assert not list(tmp_path.iterdir())


def test_classes_that_are_known_to_be_absent_alone_are_named_by_their_rows(tmp_path: Path) -> None:
    write_listing(make([[1, -1], [0, -1]]), tmp_path / "it.csv", "openimages_csv")
    assert [path.name for path in tmp_path.iterdir()] == ["it.csv"]
    write_listing(make([[1, -1, 0]]), tmp_path / "two.csv", "openimages_csv")
    assert (tmp_path / "classes.txt").read_text() == "a\nb\nc\n"


@pytest.mark.parametrize("dense", [[[1, 0], [0, -1]], [[-1, 0], [0, -1]], [[1, 0], [0, 1]]])
def test_two_columns_that_say_something_are_enough(dense: list[list[int]], tmp_path: Path) -> None:
    write_listing(make(dense), tmp_path / "it.csv", "table", layout="columns")
    assert read_listing(tmp_path / "it.csv").labels.dense().tolist() == dense


def test_one_column_that_says_something_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="if two of them say something, not 1"):
        write_listing(make([[1, 0], [-1, 0]]), tmp_path / "it.csv", "table", layout="columns")


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (["a", "b c"], "a;b c"),
        (["a", "b,c"], '["a", "b,c"]'),
        (["a", " b"], '["a", " b"]'),
        (["a", "[b]"], '["a", "[b]"]'),
        (["a", "é;"], '["a", "é;"]'),
    ],
)
def test_lists_become_plain_texts_where_names_allow_it(classes: list[str], text: str) -> None:
    assert choose_join(classes)(classes) == text


def test_lines_of_json_keep_their_letters(tmp_path: Path) -> None:
    write_listing(make([[1, 1]], classes=("été", "日本")), tmp_path / "it.jsonl", "table")
    assert '"été", "日本"' in (tmp_path / "it.jsonl").read_text(encoding="utf-8")


# Open Images


def test_ids_that_look_like_numbers_stay_as_they_are(tmp_path: Path) -> None:
    text = "LabelName,Extra,Confidence,ImageID\n007,x,1,000123\n/m/a,y,0,1e3\n"
    (tmp_path / "labels.csv").write_text(text)
    listing = read_listing(tmp_path / "labels.csv", format="openimages_csv")
    assert listing.images == ["000123.jpg", "1e3.jpg"] and listing.classes == ("/m/a", "007")
    assert listing.labels.dense().tolist() == [[0, 1], [-1, 0]]


def test_a_class_without_a_name_is_called_by_its_id(tmp_path: Path) -> None:
    path = openimages_csv(tmp_path)
    (tmp_path / "class-descriptions.csv").write_text('/m/bird, \n/m/cat," cat "\n/m/dog\n')
    assert read_listing(path).classes == ("/m/bird", "/m/dog", "cat")


# YOLO


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/1.jpg", "labels/1.txt"),
        ("/images/1.jpg", "/labels/1.txt"),
        ("x/images/1.jpg", "x/labels/1.txt"),
        ("images/x/images/y/1.jpg", "images/x/labels/y/1.txt"),
        ("all/images.jpg", "all/images.txt"),
        ("all/images", "all/images.txt"),
    ],
)
def test_where_the_labels_of_an_image_are(image: str, labels: str) -> None:
    assert _label_file(Path(image)) == Path(labels)


def test_a_set_of_yolo_is_called_as_it_is_told_or_as_its_folder(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "pets")
    assert read_listing(folder).name == "pets"
    assert read_listing(folder, name="mine").name == "mine"
    (folder / "data.yaml").write_text("names: [a, b\nx: y\n")
    with pytest.raises(DataError, match="not readable as YAML: while parsing a flow sequence$"):
        read_listing(folder, format="yolo")


def test_corners_are_kept_in_single_precision(tmp_path: Path) -> None:
    boxes = read_listing(yolo(tmp_path), boxes=True).boxes
    assert boxes is not None and boxes.corners.dtype == np.float32
    assert boxes.labels.dtype == np.int32


# XML and XMP


def nest(depth: int) -> str:
    return "".join(f"<a{n}>" for n in range(depth)) + "".join(
        f"</a{n}>" for n in reversed(range(depth))
    )


def test_fifty_elements_are_deep_enough(tmp_path: Path) -> None:
    path, seen = tmp_path / "it.xml", []
    path.write_text(nest(DEEPEST))
    walk(path, lambda names, _: seen.append(len(names)), lambda *_: None)
    assert seen == list(range(1, DEEPEST + 1)) and DEEPEST == 50
    path.write_text(nest(DEEPEST + 1))
    with pytest.raises(DataError, match="nested more than 50 elements deep"):
        walk(path, lambda *_: None, lambda *_: None)


def test_the_beginning_of_a_file_is_looked_at_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "it.xml"
    path.write_text("<a><b/><c/></a>")
    assert names_at_the_beginning(path) == {("a",), ("a", "b"), ("a", "c")}
    assert names_at_the_beginning(path, 7) == {("a",), ("a", "b")}
    assert names_at_the_beginning(tmp_path) == set()


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"<rdf:Bag {RDF}><rdf:li>a</rdf:li></rdf:Bag>", []),
        (f"<rdf:li {RDF}>a</rdf:li>", []),
        (f"<dc:subject {DC} {RDF}><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject>", ["a"]),
        (f"<dc:subject {DC} {RDF}><rdf:Bag><rdf:li/></rdf:Bag></dc:subject>", []),
        (
            f"<x><y><z><dc:subject {DC} {RDF}><rdf:Seq><rdf:li> a </rdf:li><rdf:li>b</rdf:li>"
            "</rdf:Seq></dc:subject></z></y></x>",
            ["a", "b"],
        ),
        (f"<dc:title {DC} {RDF}><rdf:Alt><rdf:li>a</rdf:li></rdf:Alt></dc:title>", []),
    ],
)
def test_keywords_are_items_of_a_property_wherever_it_stands(text: str, found: list[str]) -> None:
    assert read_keywords(text.encode(), Path("it.xmp")).present() == found


@pytest.mark.parametrize("images", [1, FEW - 1, FEW, 2 * FEW, 3 * FEW + 1])
def test_images_with_keywords_are_known_however_many_there_are(images: int, tmp_path: Path) -> None:
    for number in range(images):
        embed(tmp_path / f"{number:03}.jpg", xmp_packet(["a", "b"]))
    assert recognise(tmp_path) == "xmp"


def test_files_of_coco_are_those_of_objects_where_there_are_such(tmp_path: Path) -> None:
    whole = json.dumps({"images": [], "annotations": [], "categories": []})
    for name in ("b.json", "a.json", "annotations/captions_x.json", "train/_annotations.coco.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(whole)
    (tmp_path / "c.json").write_text('{"images": []}')
    names = [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path)]
    assert names == ["a.json", "b.json", "annotations/captions_x.json"] + [
        "train/_annotations.coco.json"
    ]
    (tmp_path / "annotations" / "instances_x.json").write_text(whole)
    assert [path.name for path in find_files(tmp_path)] == ["instances_x.json"]


def test_what_is_not_listed_is_unknown_unless_it_is_said() -> None:
    starts, columns = np.array([0, 1]), np.array([1], dtype=np.int32)
    labels = SparseLabels(starts, columns, np.array([1], dtype=np.int8), 3)
    assert labels.rest == 0 and labels.dense().tolist() == [[0, 1, 0]]
