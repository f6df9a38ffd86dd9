"""Tables: columns are found, separators guessed, absence decided, and doubts told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark_copies import touch_image
from tacit.benchmarks.nuswide import CLASSES as NUSWIDE
from tacit.benchmarks.voc2012 import CLASSES as VOC
from tacit.data.formats import read_listing
from tacit.data.formats.table.read import read
from tacit.data.listing import Listing
from tacit.errors import DataError, UsageError


def csv(folder: Path, text: str, **options: Any) -> Listing:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_listing(path, format="table", **options)


def shown(listing: Listing) -> list[list[str]]:
    return [[listing.classes[c] for c in columns] for columns in listing.labels.positives()]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["b;a", "c"], [["a", "b"], ["c"]]),
        (["b|a", "c"], [["a", "b"], ["c"]]),
        (['"b, a"', "c"], [["a", "b"], ["c"]]),
        (['"[""b"", ""a,x""]"', "[]"], [["a,x", "b"], []]),
        (["b;a;", " c "], [["a", "b"], ["c"]]),
        (["a b", "c"], [["a b"], ["c"]]),
    ],
)
def test_labels_stand_in_one_column_with_any_separator(
    cells: list[str], expected: list[list[str]], tmp_path: Path
) -> None:
    lines = [f"{row}.jpg,{cell}" for row, cell in enumerate(cells)]
    assert shown(csv(tmp_path, "\n".join(["file,labels", *lines]))) == expected


@pytest.mark.parametrize(
    ("cells", "one", "other"),
    [(["a;b", "a|c"], ";", "|"), (["a,b;c", "d"], ";", ","), (["a|b", "c,d"], "|", ",")],
)
def test_two_separators_in_one_column_are_asked_about(
    cells: list[str], one: str, other: str, tmp_path: Path
) -> None:
    text = "\n".join(["file,labels", *(f'{row}.jpg,"{cell}"' for row, cell in enumerate(cells))])
    with pytest.raises(DataError, match="may be read in two ways") as refused:
        csv(tmp_path, text)
    assert f"separator = {one!r}" in str(refused.value)
    assert f"separator = {other!r}" in str(refused.value)
    for sign in (one, other):
        read = csv(tmp_path, text, separator=sign)
        assert shown(read) == [sorted(cell.split(sign)) for cell in cells]


def test_what_was_understood_is_said(tmp_path: Path) -> None:
    notes = csv(tmp_path, "file,labels,city\n1.jpg,a|b,Rome\n2.jpg,b,Oslo\n").notes
    assert "'|' stands between labels in the column 'labels'" in notes
    assert "left out 1 columns: city" in notes
    notes = csv(tmp_path, "file,cat,dog\n1.jpg,1,0\n2.jpg,,1\n").notes
    assert "read 2 columns as classes: cat, dog" in notes


@pytest.mark.parametrize("name", ["count", "ID", "Verified", "width", "image_id", "iscrowd"])
def test_a_column_that_is_called_like_no_class_is_asked_about(name: str, tmp_path: Path) -> None:
    text = f"file,cat,dog,{name}\n1.jpg,1,0,1\n2.jpg,0,1,0\n"
    with pytest.raises(DataError, match=rf"other_columns = \['{name}'\].*classes = \['cat', "):
        csv(tmp_path, text)
    left = csv(tmp_path, text, other_columns=[name])
    assert left.classes == ("cat", "dog")
    assert f"left out 1 columns: {name}" in left.notes
    assert csv(tmp_path, text, classes=["cat", "dog", name]).classes == ("cat", "dog", name)
    assert csv(tmp_path, text, classes=["dog", "cat"]).classes == ("dog", "cat")


def test_more_doubtful_columns_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'count' is in doubt. It stands"):
        csv(tmp_path, "file,cat,dog,count\n1.jpg,1,0,1\n2.jpg,0,1,0\n")
    text = "file,cat,dog,count,width,fox\n1.jpg,1,0,1,1,0\n2.jpg,0,1,0,1,2\n"
    with pytest.raises(DataError, match="'count' is in doubt, and so are 2 more. It stands"):
        csv(tmp_path, text)


def test_numbers_of_things_are_asked_about(tmp_path: Path) -> None:
    """Of three classes that were counted, two happened to be there once at most."""
    text = "file,cat,dog,fox,year\n1.jpg,1,0,2,1999\n2.jpg,0,1,0,2024\n"
    with pytest.raises(DataError, match=r"'fox' is in doubt.*holds 0 and whole numbers above 1"):
        csv(tmp_path, text)
    assert csv(tmp_path, text, other_columns=["fox"]).classes == ("cat", "dog")
    with pytest.raises(UsageError, match="no column 'wolf'; see other_columns"):
        csv(tmp_path, text, other_columns=["wolf"])


def test_names_of_the_usual_classes_are_in_no_doubt(tmp_path: Path) -> None:
    for names in (VOC, NUSWIDE):
        text = f"file,{','.join(names)}\n1.jpg{',1' * len(names)}\n"
        assert csv(tmp_path, text).classes == tuple(names)


def test_beside_a_column_of_labels_other_columns_are_left_out(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,labels,count,checked\n1.jpg,a,0,1\n2.jpg,b,1,1\n")
    assert listing.classes == ("a", "b")
    assert any("left out 2 columns: count, checked" in note for note in listing.notes)


def test_columns_of_ones_beside_labels_are_classes_only_if_they_are_the_same_classes(
    tmp_path: Path,
) -> None:
    listing = csv(tmp_path, "file,labels,indoor,sunny\n1.jpg,a,0,1\n2.jpg,b,1,0\n")
    assert listing.classes == ("a", "b") and shown(listing) == [["a"], ["b"]]
    assert "left out 2 columns: indoor, sunny" in listing.notes
    both = csv(tmp_path, "file,labels,a,b\n1.jpg,a,1,0\n2.jpg,,,1\n")
    assert both.labels.dense().tolist() == [[1, -1], [0, 1]]


def test_a_class_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the class 'a' is listed twice"):
        csv(tmp_path, "file,labels\n1.jpg,a;b\n", classes=["a", "b", "a"])


def test_lines_within_quotes_are_read_wherever_a_block_ends(tmp_path: Path) -> None:
    """Arrow reads a megabyte at a time, and may not look for the end of a row in a cell."""
    rows = 1200
    note = "\n".join(["one line"] * 200)
    lines = [f'{row}.jpg,"{note}",{"ab"[row % 2]}' for row in range(rows)]
    listing = csv(tmp_path, "\n".join(["file,note,labels", *lines]) + "\n")
    assert (tmp_path / "labels.csv").stat().st_size > 2 << 20
    assert listing.images == [f"{row}.jpg" for row in range(rows)]
    assert shown(listing) == [["a"], ["b"]] * (rows // 2)


def test_brackets_are_part_of_a_name_where_a_separator_was_told(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,labels\n1.jpg,[b];[a]\n2.jpg,[b]\n", separator=";")
    assert shown(listing) == [["[a]", "[b]"], ["[b]"]]


@pytest.mark.parametrize("column", ["file", "Image", "FILENAME", "file_name", "path", "image_id"])
@pytest.mark.parametrize("labels", ["labels", "Tags", "categories"])
def test_columns_are_known_by_what_people_call_them(
    column: str, labels: str, tmp_path: Path
) -> None:
    listing = csv(tmp_path, f"size,{labels},{column}\n3,a;b,1.jpg\n4,b,2.jpg\n")
    assert listing.images == ["1.jpg", "2.jpg"] and shown(listing) == [["a", "b"], ["b"]]
    assert any("left out 1 columns: size" in note for note in listing.notes)


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_columns_may_be_separated_by_anything_usual(sign: str, tmp_path: Path) -> None:
    text = "file,a,b\n1.jpg,1,0\n2.jpg,,1\n".replace(",", sign)
    assert csv(tmp_path, text).labels.dense().tolist() == [[1, -1], [0, 1]]


def test_what_stands_in_quotes_does_not_separate_columns(tmp_path: Path) -> None:
    listing = csv(tmp_path, 'file,"a;b;c","d;e"\n1.jpg,1,\n2.jpg,,1\n')
    assert listing.classes == ("a;b;c", "d;e")


def test_zero_means_absent_beside_blank_cells_and_is_unknown_otherwise(tmp_path: Path) -> None:
    blank = csv(tmp_path, "file,a,b\n1.jpg,1,0\n2.jpg,,1\n")
    assert blank.labels.dense().tolist() == [[1, -1], [0, 1]]
    full = csv(tmp_path, "file,a,b\n1.jpg,1,0\n2.jpg,0,1\n")
    assert full.labels.dense().tolist() == [[1, 0], [0, 1]]
    said = "2 cells of the classes' columns hold 0 and none is blank; 0 is read as unknown"
    assert said in full.notes
    assert "0 in a class's column means absent, since 1 cells are blank (unknown)" in blank.notes
    told = csv(tmp_path, "file,a,b\n1.jpg,1,0\n2.jpg,0,1\n", absent="negative")
    assert told.labels.dense().tolist() == [[1, -1], [-1, 1]]


def test_minus_one_is_never_guessed(tmp_path: Path) -> None:
    text = "file,a,b\n1.jpg,1,-1\n2.jpg,0,1\n"
    with pytest.raises(DataError, match=": 1 cells.*-1.*negative_value -1 or 0"):
        csv(tmp_path, text)
    assert csv(tmp_path, text, negative_value=-1).labels.dense().tolist() == [[1, -1], [0, 1]]
    assert csv(tmp_path, text, negative_value=0).labels.dense().tolist() == [[1, 0], [-1, 1]]
    words = "file,a,b\n1.jpg,yes,-1\n2.jpg,0,y\n"
    with pytest.raises(DataError, match=": 1 cells.*-1.*negative_value -1 or 0"):
        csv(tmp_path, words)
    assert csv(tmp_path, words, negative_value=-1).labels.dense().tolist() == [[1, -1], [0, 1]]
    with pytest.raises(UsageError, match="0 or -1, not 5"):
        csv(tmp_path, text, negative_value=5)


def test_a_column_with_other_words_than_yes_and_no_is_no_class(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,a,b,c\n1.jpg,1,yes,0\n2.jpg,0,perhaps,1\n")
    assert listing.classes == ("a", "c") and "left out 1 columns: b" in listing.notes
    with pytest.raises(DataError, match="no two columns hold only 1, 0, -1 or blank"):
        csv(tmp_path, "file,a,b\n1.jpg,1,3\n2.jpg,0,1\n")


def test_words_for_yes_and_no_are_labels_too(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,a,b\n1.jpg,yes,no\n2.jpg,,Y\n")
    assert listing.labels.dense().tolist() == [[1, -1], [0, 1]]


def test_known_negatives_have_a_column_of_their_own(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,labels,negatives\n1.jpg,a;b,c\n2.jpg,c,\n")
    assert listing.labels.dense().tolist() == [[1, 1, -1], [0, 0, 1]]


def test_a_class_both_present_and_absent_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contradicts itself"):
        csv(tmp_path, "file,labels,negatives\n1.jpg,a;b,b\n")
    with pytest.raises(DataError, match=r"absent are said to be '1.jpg' about 'a' \(1 in all"):
        csv(tmp_path, "file,labels,a,b\n1.jpg,a,0,1\n2.jpg,b,,1\n")


def test_rows_of_one_image_are_joined(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,label\n1.jpg,a\n2.jpg,b\n1.jpg,b\n./1.jpg,a\n")
    assert listing.images == ["1.jpg", "2.jpg"] and shown(listing) == [["a", "b"], ["b"]]
    assert any("2 rows name an image again" in note for note in listing.notes)


def test_parts_come_from_a_column_and_an_image_is_in_one_of_them(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,label,split\n1.jpg,a,train\n2.jpg,b,test\n")
    assert list(listing.splits) == ["train", "test"]
    with pytest.raises(DataError, match=r"'1.jpg' into two splits, 'train' and 'test'"):
        csv(tmp_path, "file,label,split\n1.jpg,a,train\n1.jpg,b,test\n")


def test_names_that_look_like_numbers_or_times_stay_names(tmp_path: Path) -> None:
    assert csv(tmp_path, "id,labels\n000123,007\n000124,1e3\n").images == ["000123", "000124"]
    path = tmp_path / "dates.jsonl"
    path.write_text('{"file": "2024-05-01", "labels": ["2024-05-02"]}\n' * 2)
    listing = read_listing(path)
    assert listing.images == ["2024-05-01"] and listing.classes == ("2024-05-02",)


def test_images_are_found_beside_the_table_or_in_the_usual_folders(tmp_path: Path) -> None:
    text = "file,labels\n1.jpg,a\n2.jpg,b\n"
    assert csv(tmp_path, text).root == tmp_path
    touch_image(tmp_path / "images" / "1.jpg")
    assert csv(tmp_path, text).root == tmp_path / "images"
    touch_image(tmp_path / "far" / "2.jpg")
    assert csv(tmp_path, text, images=tmp_path / "far").root == tmp_path / "far"
    with pytest.raises(DataError, match="no folder of images"):
        csv(tmp_path, text, images=tmp_path / "nowhere")


def test_a_name_that_leaves_the_folder_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    source = csv(tmp_path, "file,labels\n../1.jpg,a\n/etc/passwd,b\nC:/x.jpg,a\n").source()
    for row in range(3):
        with pytest.raises(DataError, match="leaves the folder"):
            source.open(row)


def test_full_paths_below_the_folder_are_names_in_it(tmp_path: Path) -> None:
    touch_image(tmp_path / "images" / "1.jpg")
    full = tmp_path / "images" / "1.jpg"
    assert csv(tmp_path, f"file,labels\n{full},a;b\n").images == ["images/1.jpg"]


def test_the_order_of_classes_is_given_or_lies_beside_or_is_the_alphabet(tmp_path: Path) -> None:
    text = "file,labels\n1.jpg,b;a\n"
    assert csv(tmp_path, text).classes == ("a", "b")
    (tmp_path / "classes.txt").write_text("b\nc\n\na\n")
    assert csv(tmp_path, text).classes == ("b", "c", "a")
    assert csv(tmp_path, text, classes=["a", "b", "z"]).classes == ("a", "b", "z")
    with pytest.raises(DataError, match="names 1 classes.*first 'b'"):
        csv(tmp_path, text, classes=["a", "z"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,labels\n", "has no rows"),
        ("name,labels\n1.jpg,a\n", "no column of file names"),
        ("file,size\n1.jpg,3\n", "has no labels"),
        ("file,labels\n1.jpg,a\n,b\n", "1 rows have nothing in the column 'file', first row 2"),
        ("file,labels\n1\0.jpg,a\n", r"names \(image\) with characters that no text has"),
        ("file,a,a\n1.jpg,1,0\n", "1 column names that occur twice, first 'a'"),
        ("file\n1.jpg\n", "has 1 column"),
        ('file,labels\n1.jpg,"[""a"""\n', "holds JSON lists, but not in row 1"),
    ],
)
def test_what_is_wrong_is_said(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence) as error:
        csv(tmp_path, text)
    assert "labels" in str(error.value)


def test_a_name_without_end_is_no_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv cannot be read: field larger than"):
        csv(tmp_path, f"file,{'a' * 200_000},labels\n1.jpg,1,a\n")


def test_what_is_no_table_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("file,labels\n1.jpg,a\n")
    for path in (tmp_path / "labels.txt", tmp_path / "none.csv"):
        with pytest.raises(DataError, match=rf"{path.name} is no table; tables are \.csv, "):
            read(path)


def test_a_misspelt_column_gets_a_proposal(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label column 'wether'; did you mean 'weather'"):
        csv(tmp_path, "file,weather\n1.jpg,sun\n", label_column="wether")


def test_tables_in_memory_are_read_as_files_are() -> None:
    table = pa.table({"file": ["1.jpg", "2.jpg"], "labels": [["b", "a"], None]})
    listing = read(table)
    assert listing.labels.dense().tolist() == [[1, 1], [0, 0]]
    coded = table.set_column(1, "labels", pa.array(["a", "b"]).dictionary_encode())
    assert read(coded).labels.dense().tolist() == [[1, 0], [0, 1]]
    with pytest.raises(DataError, match="a int is no table that can be read"):
        read(7)


def test_one_column_of_ones_is_not_taken_for_a_class(tmp_path: Path) -> None:
    listing = csv(tmp_path, "file,labels,checked\n1.jpg,a;b,1\n2.jpg,b,0\n")
    assert listing.classes == ("a", "b")


def test_memory_holds_known_labels_alone() -> None:
    rows, classes = 20_000, 5_000
    names = [f"c{row % classes}" for row in range(rows)]
    labels = read(pa.table({"file": [f"{row}.jpg" for row in range(rows)], "labels": names})).labels
    assert labels.shape == (rows, classes) and len(labels.columns) == rows
    assert np.unique(labels.states).tolist() == [1]
