"""What is written is read again as the same labels, classes, images and splits."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark_copies import touch_image
from tacit.data.formats import FORMATS, is_writable, read_listing, write_listing
from tacit.data.listing import Boxes, Listing
from tacit.data.observe import label_all
from tacit.data.prepared import read_prepared, write_observed, write_prepared
from tacit.errors import DataError, TacitError, UsageError
from tacit.labels import SparseLabels

SETTINGS = settings(max_examples=80, derandomize=True, deadline=None, database=None)
ODD = ["a,b", 'say "so"', "two\nlines", "a;b", "a|b", "[a]", " spaced ", "été", "日本", "#", "'"]
ODD += ["1", "0", "null", "NA", "", "true", "2024-05-01", "2024-05-01 10:00:00", "{", "\\", "=1+1"]
ODD += ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1db", "a\x1eb", "a\rb"]
ODD += ["\u2028", "\x1f", "e\u0301", "😀", "C:", "..", "labels", "split", "a\tb", "\r"]
NAMES = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6
)
# Names of files: no folders of their own, and nothing that a path means something by.
STEMS = NAMES.map(lambda name: name.replace("/", "").replace("\\", "").replace(":", "")[:40])


@st.composite
def listings(draw: Callable[..., object], files: bool = False) -> Listing:
    """Labels in every state, in parts or not, with names that need care."""
    classes = draw(st.lists(NAMES.filter(str.strip), min_size=2, max_size=4, unique=True))
    stems = draw(st.lists(STEMS, min_size=1, max_size=4, unique=True))
    parts = draw(st.none() | st.lists(st.sampled_from(["train", "test"]), min_size=4, max_size=4))
    images = [f"{name}.jpg" for name in stems]  # type: ignore[attr-defined]
    if parts:
        parts = parts[: len(images)]  # type: ignore[index]
        images = [f"{p}/{name}" for p, name in zip(parts, images, strict=True)]
    cells = st.lists(
        st.lists(st.sampled_from(draw(st.sampled_from([(1, 0), (1, 0, -1), (1, -1)]))),
                 min_size=len(classes), max_size=len(classes)),  # type: ignore[arg-type]
        min_size=len(images), max_size=len(images),
    )  # fmt: skip
    dense = np.array(draw(cells), dtype=np.int8)
    labels = SparseLabels.of(dense)
    return Listing("it", Path("nowhere"), images, tuple(classes), labels, parts or ())  # type: ignore[arg-type]


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


def assert_same(read: Listing, written: Listing) -> None:
    """Compare all that a format has to say; rows may come split by split."""
    assert read.classes == written.classes
    assert sorted(read.images) == sorted(written.images)
    order = [list(read.images).index(image) for image in written.images]
    assert read.labels.take(np.array(order)).equals(written.labels)
    if read.splits or len(written.split_names()) > 1:
        assert [read.splits[row] for row in order] == list(written.splits)


def write_and_read(
    listing: Listing, path: Path, format: str, options: dict[str, object], **reading: object
) -> None:
    try:
        notes = write_listing(listing, path, format, **options)
    except (DataError, UsageError) as error:
        assert "\n" not in str(error) or len(str(error)) < 500
        assert not path.exists()  # refused, and nothing is half there
        return
    if any("absent = negative" in note for note in notes):
        reading["absent"] = "negative"
    for suffix in re.findall(r'suffix = "(.*)"', "\n".join(notes), re.DOTALL):
        reading["suffix"] = suffix
    assert_same(read_listing(path, format=format, **reading), listing)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow"])
@SETTINGS
@given(listing=listings())
def test_a_table_of_lists(suffix: str, listing: Listing) -> None:
    with folder() as here:
        write_and_read(listing, here / f"it{suffix}", "table", {})


@SETTINGS
@given(listing=listings())
def test_a_table_with_a_column_for_each_class(listing: Listing) -> None:
    with folder() as here:
        write_and_read(listing, here / "it.csv", "table", {"layout": "columns"})


@SETTINGS
@given(listing=listings())
def test_a_prepared_set_and_a_draw_of_it(listing: Listing) -> None:
    with folder() as here:
        try:
            write_prepared(here / "it", listing, {})
        except DataError:
            assert not (here / "it").exists()
            return
        assert_same(read_prepared(here / "it"), listing)
        write_observed(here / "it", "draw", listing, {})
        assert_same(read_prepared(here / "it", observed="draw"), listing)


@SETTINGS
@given(listing=listings())
def test_json_of_coco(listing: Listing) -> None:
    with folder() as here:
        write_and_read(listing, here / ("it" if listing.splits else "it.json"), "coco_json", {})


@SETTINGS
@given(listing=listings())
def test_labels_of_open_images(listing: Listing) -> None:
    with folder() as here:
        path = here / ("it" if listing.splits else "it.csv")
        write_and_read(listing, path, "openimages_csv", {})


def with_files(listing: Listing, root: Path) -> Listing | None:
    """Return the same labels with images, if the disk can have files of these names."""
    try:
        for image in listing.images:
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            (root / image).write_bytes(b"an image")
    except OSError:
        return None
    return Listing("it", root, listing.images, listing.classes, listing.labels, listing.splits)


@SETTINGS
@given(listing=listings())
def test_an_imagefolder(listing: Listing) -> None:
    with folder() as here:
        found = with_files(listing, here / "images")
        if found is not None:
            write_and_read(found, here / "it", "imagefolder", {"transfer": "copy"})


def ends(listing: Listing) -> list[tuple[str, str]]:
    """Return the part and the last name of every image."""
    parts = listing.splits or [""] * len(listing)
    return [(part, Path(image).name) for part, image in zip(parts, listing.images, strict=True)]


@SETTINGS
@given(listing=listings())
def test_folders_of_classes(listing: Listing) -> None:
    """Images get names of their own there, so labels are compared by the ends of names."""
    with folder() as here:
        found = with_files(listing, here / "images")
        if found is None:
            return
        try:
            notes = write_listing(found, here / "it", "folders")
        except TacitError:
            assert not (here / "it").exists()
            return
        complete = any("absent = negative" in note for note in notes)
        absent = "negative" if complete else "unknown"
        read = read_listing(here / "it", format="folders", absent=absent, join="name")
        assert read.classes == found.classes
        where = {name: row for row, name in enumerate(ends(read))}
        rows = [where[name] for name in ends(found)]
        assert sorted(rows) == list(range(len(read)))
        assert read.labels.take(np.array(rows)).equals(found.labels)


def boxed(root: Path) -> Listing:
    labels = SparseLabels.of(np.array([[1, 1, 0], [0, 0, 1]], dtype=np.int8))
    rows, classes = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 2], dtype=np.int32)
    corners = np.array([[1, 2, 3, 4], [2, 2, 5, 5], [0, 0, 1, 1], [0, 1, 7, 6]], dtype=np.float32)
    return Listing(
        "boxed",
        root,
        ["1.jpg", "2.jpg"],
        ("a", "b", "c"),
        labels,
        (),
        Boxes(rows, classes, corners),
    )


def test_coco_keeps_the_boxes_of_what_is_known_and_invents_none(tmp_path: Path) -> None:
    notes = write_listing(boxed(tmp_path), tmp_path / "it.json", "coco_json")
    assert any("1 labels have no box" in note for note in notes)
    written = json.loads((tmp_path / "it.json").read_text())["annotations"]
    assert {entry["iscrowd"] for entry in written} == {0}
    assert [entry["id"] for entry in written] == list(range(1, len(written) + 1))
    assert {entry["image_id"] for entry in written} == {1, 2}
    read = read_listing(tmp_path / "it.json")
    assert_same(read, boxed(tmp_path))
    assert read.boxes is not None
    assert [box.corners for box in read.boxes.of(0)] == [(1, 2, 3, 4), (2, 2, 5, 5)]
    assert [box.label for box in read.boxes.of(1)] == [2]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    notes = write_listing(boxed(tmp_path), tmp_path / "it.csv")
    assert notes == ["4 boxes are not written; the format has none"]


def negatives() -> Listing:
    labels = SparseLabels.of(np.array([[1, -1, 0], [0, 1, 1]], dtype=np.int8))
    return Listing("known", Path(), ["1.jpg", "2.jpg"], ("a", "b", "c"), labels)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_columns_of_two_classes_are_enough_and_full_ones_need_a_word(
    classes: int, tmp_path: Path
) -> None:
    labels = SparseLabels.of(np.array([[1, -1, 1], [-1, 1, 1]], dtype=np.int8)[:, :classes])
    full = Listing("full", tmp_path, ["1.jpg", "2.jpg"], tuple("abc")[:classes], labels)
    if classes == 1:
        with pytest.raises(DataError, match="if two of them say something, not 1"):
            write_listing(full, tmp_path / "it.csv", "table", layout="columns")
        return
    notes = write_listing(full, tmp_path / "it.csv", "table", layout="columns")
    assert notes == ["no cell is blank: read it with absent = negative"]
    assert_same(read_listing(tmp_path / "it.csv", absent="negative"), full)
    notes = write_listing(negatives(), tmp_path / "gaps.csv", "table", layout="columns")
    assert notes == []
    assert_same(read_listing(tmp_path / "gaps.csv"), negatives())


@pytest.mark.parametrize(
    ("cells", "columns"),
    [
        ([[1, 0], [0, 1]], "image,labels"),  # nothing is known to be absent
        ([[1, -1], [0, 1]], "image,labels,negatives"),
    ],
)
def test_a_column_of_negatives_is_written_where_some_are_known(
    cells: list[list[int]], columns: str, tmp_path: Path
) -> None:
    labels = SparseLabels.of(np.array(cells, dtype=np.int8))
    listing = Listing("it", tmp_path, ["1.jpg", "2.jpg"], ("a", "b"), labels)
    assert write_listing(listing, tmp_path / "it.csv", "table") == []
    assert (tmp_path / "it.csv").read_text(encoding="utf-8").splitlines()[0] == columns
    # Where absent is what is not present, a word says it instead of a column.
    full = Listing("it", tmp_path, listing.images, listing.classes, label_all(np.eye(2)))
    notes = write_listing(full, tmp_path / "full.csv", "table")
    assert notes == ["what is not present is absent: read it with absent = negative"]
    assert (tmp_path / "full.csv").read_text(encoding="utf-8").splitlines()[0] == "image,labels"


def test_a_class_that_is_known_to_be_absent_alone_says_something(tmp_path: Path) -> None:
    labels = SparseLabels.of(np.array([[1, -1], [0, -1], [0, 0]], dtype=np.int8))
    two = Listing("it", tmp_path, ["1.jpg", "2.jpg", "3.jpg"], ("a", "b"), labels)
    write_listing(two, tmp_path / "it.csv", "table", layout="columns")
    assert_same(read_listing(tmp_path / "it.csv"), two)


def test_classes_are_not_listed_where_their_names_are_written_anyway(tmp_path: Path) -> None:
    labels = SparseLabels.of(np.array([[1, -1], [0, -1]], dtype=np.int8))
    known = Listing("it", tmp_path, ["1.jpg", "2.jpg"], ("a", "b"), labels)
    for format in ("openimages_csv", "table"):
        path = tmp_path / format / "it.csv"
        path.parent.mkdir()
        assert write_listing(known, path, format) == []
        assert [file.name for file in path.parent.iterdir()] == ["it.csv"]
        assert_same(read_listing(path, format=format), known)
    turned = Listing("it", tmp_path, known.images, ("b", "a"), labels)
    for format in ("openimages_csv", "table"):
        path = tmp_path / format / "turned.csv"
        assert write_listing(turned, path, format) == [
            "classes.txt beside it lists the classes in their order"
        ]
        assert_same(read_listing(path, format=format), turned)


@pytest.mark.parametrize("format", ["openimages_csv", "imagefolder", "folders"])
@pytest.mark.parametrize("state", [1, -1])
def test_folders_list_their_classes_where_names_alone_do_not_give_them(
    format: str, state: int, tmp_path: Path
) -> None:
    """In the alphabet, and each named somewhere: then a list would say nothing new."""
    labels = SparseLabels.of(np.array([[1, 0], [1, state], [1, 0]], dtype=np.int8))
    images = ["train/1.jpg", "train/2.jpg", "test/3.jpg"]
    for image in images:
        touch_image(tmp_path / "old" / image)
    splits = ["train", "train", "test"]
    for classes in (("a", "b"), ("b", "a")):
        it = Listing("it", tmp_path / "old", images, classes, labels, splits)
        out = tmp_path / classes[0]
        if format == "folders" and state == -1:
            with pytest.raises(DataError, match="cannot say that a class is known to be absent"):
                write_listing(it, out, format)
            continue
        notes = write_listing(it, out, format)
        listed = classes == ("b", "a")
        assert (out / "classes.txt").exists() == listed
        assert any("lists the classes" in note for note in notes) == listed


@pytest.mark.parametrize(
    ("classes", "cell"),
    [
        (("a", "b"), "a;b"),
        (("a b", "c"), "a b;c"),
        (("a", "b "), '"[""a"", ""b ""]"'),
        (("a", "b;c"), '"[""a"", ""b;c""]"'),
        (("a", "b|c"), '"[""a"", ""b|c""]"'),
        (("a", "b,c"), '"[""a"", ""b,c""]"'),
        (("[a]", "é"), '"[""[a]"", ""é""]"'),
    ],
)
def test_lists_are_plain_text_where_names_allow_it(
    classes: tuple[str, str], cell: str, tmp_path: Path
) -> None:
    labels = SparseLabels.of(np.array([[1, 1]], dtype=np.int8))
    it = Listing("it", tmp_path, ["1.jpg"], classes, labels)
    write_listing(it, tmp_path / "it.csv", "table")
    assert (tmp_path / "it.csv").read_text(encoding="utf-8") == f"image,labels\n1.jpg,{cell}\n"


@pytest.mark.parametrize("name", [".hidden", " ", "a/b", "a\nb", "a\rb"])
def test_a_class_that_can_name_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    labels = SparseLabels.of(np.array([[1, 1], [1, 0]], dtype=np.int8))
    listing = Listing("it", tmp_path, ["1.jpg", "2.jpg"], ("a", name), labels)
    with pytest.raises(DataError, match="cannot be the name of a folder; rename it"):
        write_listing(listing, tmp_path / "it", "folders")
    assert not list(tmp_path.iterdir())


def test_known_negatives_are_refused_where_they_cannot_be_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 known negatives beside 2 unknown cells"):
        write_listing(negatives(), tmp_path / "it", "folders")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", sorted(filter(is_writable, FORMATS)))
def test_nothing_is_written_over(format: str, tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    path.write_text("precious")
    listing = boxed(tmp_path)
    with pytest.raises(UsageError, match="already; choose another path"):
        write_listing(listing, path, format)
    assert path.read_text() == "precious"


def test_classes_of_other_labels_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("z\ny\n")
    with pytest.raises(UsageError, match="classes of other labels"):
        write_listing(negatives(), tmp_path / "it.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["classes.txt"]
    turned = negatives()
    turned = Listing("it", Path(), turned.images, ("c", "b", "a"), turned.labels)  # needs a list
    with pytest.raises(UsageError, match="classes of other labels; choose another folder"):
        write_listing(turned, tmp_path / "it.csv")
    assert (tmp_path / "classes.txt").read_text() == "z\ny\n"


@pytest.mark.parametrize("transfer", ["link", "copy"])
def test_images_are_linked_or_copied(transfer: str, tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        touch_image(tmp_path / "old" / name)
    labels = SparseLabels.of(np.array([[1, 0], [1, 1]], dtype=np.int8))
    listing = Listing("it", tmp_path / "old", ["1.jpg", "2.jpg"], ("a", "b"), labels)
    write_listing(listing, tmp_path / "new", "folders", transfer=transfer)
    written = sorted(path for path in (tmp_path / "new").rglob("*.jpg"))
    assert [path.relative_to(tmp_path / "new").as_posix() for path in written] == [
        "a/1.jpg", "a/2.jpg", "b/2.jpg"
    ]  # fmt: skip
    assert [path.is_symlink() for path in written] == [transfer == "link"] * 3
    assert read_listing(tmp_path / "new", join="name").source().open(1).size == (8, 6)


@pytest.mark.parametrize("unused", [False, True])
def test_classes_are_listed_beside_folders_where_one_is_never_shown(
    unused: bool, tmp_path: Path
) -> None:
    for name in ("1.jpg", "2.jpg"):
        touch_image(tmp_path / "old" / name)
    cells = np.array([[1, 0, 0], [1, 1, 0]], dtype=np.int8)[:, : 3 if unused else 2]
    classes = ("a", "b", "c")[: cells.shape[1]]
    labels = SparseLabels.of(cells)
    listing = Listing("it", tmp_path / "old", ["1.jpg", "2.jpg"], classes, labels)
    notes = write_listing(listing, tmp_path / "new", "folders", transfer="copy")
    assert (tmp_path / "new" / "classes.txt").exists() == unused
    assert any("classes.txt" in note for note in notes) == unused
    assert any('read with join = "name"' in note for note in notes)  # the second image is in two
    assert read_listing(tmp_path / "new", join="name", format="folders").classes == classes


def test_a_missing_image_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no image at"):
        write_listing(boxed(tmp_path), tmp_path / "new", "imagefolder")
    assert not list(tmp_path.iterdir())
