"""Repaired labels are written where they came from: what changes does, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from data.formats.examples import EXAMPLES
from data.formats.test_round_trip import folder, listings, with_files
from tacit.data.formats import read_listing, write_listing
from tacit.data.listing import Listing
from tacit.errors import DataError, TacitError, UsageError
from tacit.repair.apply import compare
from tacit.repair.verdicts import Answer, Verdict
from tacit.repair.write_back.write import read_changes, read_labels, write_repaired

SETTINGS = settings(max_examples=60, derandomize=True, deadline=None, database=None)
ANSWERS: list[Answer] = ["present", "absent", "unsure"]
FORMATS = {
    **dict.fromkeys(("it.csv", "it.tsv", "it.jsonl", "it.parquet", "it.arrow"), "table"),
    **{"columns.csv": "table", "it.json": "coco_json", "it": "imagefolder"},
}


def say(image: str, label: str, answer: Answer) -> Verdict:
    return Verdict(f"{image}\0{label}", image, label, answer, "ann", "2026-01-01T00:00:00Z")


def apply(path: Path, out: Path, verdicts: list[Verdict], **options: object) -> list[str]:
    labels = read_labels(path, **options)
    return write_repaired(labels, compare(labels.listing, verdicts), out).notes


def states(listing: Listing) -> dict[tuple[str, str], int]:
    dense = listing.labels.dense()
    return {
        (image, name): int(dense[row, column])
        for row, image in enumerate(listing.images)
        for column, name in enumerate(listing.classes)
    }


@pytest.mark.parametrize("name", FORMATS)
@SETTINGS
@given(listing=listings(), data=st.data())
def test_what_people_said_is_read_again_and_everything_else_as_it_was(
    name: str, listing: Listing, data: st.DataObject
) -> None:
    with folder() as here:
        options: dict[str, object] = {"layout": "columns"} if name == "columns.csv" else {}
        if name == "it":
            found, options = with_files(listing, here / "images"), {"transfer": "copy"}
            if found is None:
                return
            listing = found
        suffix = "" if name == "it.json" and listing.splits else Path(name).suffix
        path = here / f"in{suffix}"
        try:
            notes = write_listing(listing, path, FORMATS[name], **options)
        except (DataError, UsageError):
            return
        reading = {"absent": "negative"} if "absent = negative" in str(notes) else {}
        labels = read_labels(path, format=FORMATS[name], **reading)
        cells = st.tuples(st.sampled_from(sorted(states(labels.listing))), st.sampled_from(ANSWERS))
        chosen = dict(data.draw(st.lists(cells, max_size=6)))
        difference = compare(labels.listing, [say(*cell, a) for cell, a in chosen.items()])
        out = here / "out" / path.name
        out.parent.mkdir()
        notes = write_repaired(labels, difference, out).notes
        wanted = states(labels.listing)
        wanted |= {c: 1 if a == "present" else -1 for c, a in chosen.items() if a != "unsure"}
        if "absent = negative" in str(notes):
            reading = {"absent": "negative"}
        again = read_listing(out, format=FORMATS[name], **reading)  # type: ignore[arg-type]
        assert states(again) == wanted and again.classes == labels.listing.classes
        assert len(list(read_changes(out))) == len(difference.changes)


TABLE = (
    "\ufeffnote,file,tags,split,width\r\n"
    '"a ""good"" one",a.jpg,cat; dog,train,007\r\n'
    "\r\n"
    '"two\nlines",b.jpg,"dog",test,1.50\r\n'
    ",c.jpg,,train,"
)


def test_only_changed_cells_of_a_csv_file_differ(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(TABLE.encode())
    verdicts = [say("a.jpg", "dog", "absent"), say("c.jpg", "dog", "present")]
    verdicts += [say("b.jpg", "cat", "present")]
    notes = apply(tmp_path / "in.csv", tmp_path / "out.csv", verdicts)
    assert any("the column 'negatives' is new" in note for note in notes)
    wanted = TABLE.replace("width\r", "width,negatives\r").replace("007\r", "007,dog\r")
    wanted = wanted.replace("1.50\r", "1.50,\r").replace("cat; dog", "cat")
    wanted = wanted.replace('"dog",test', '"dog;cat",test').replace(
        ",c.jpg,,train,", ",c.jpg,dog,train,,"
    )
    assert (tmp_path / "out.csv").read_bytes().decode() == wanted


def test_where_nothing_is_said_to_be_absent_no_other_line_changes(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(TABLE.encode())
    apply(tmp_path / "in.csv", tmp_path / "out.csv", [say("a.jpg", "cat", "present")])
    assert (tmp_path / "out.csv").read_bytes() == TABLE.encode()
    apply(tmp_path / "in.csv", tmp_path / "two.csv", [say("b.jpg", "cat", "present")])
    wanted = TABLE.replace('"dog"', '"dog;cat"')
    assert (tmp_path / "two.csv").read_bytes().decode() == wanted


SPOKEN = {
    "semicolons": b'file;labels;note\na.jpg;cat,dog;1,5\nb.jpg;dog;"a;b"\nc.jpg;;\'x\n',
    "tabs": b"file\tlabels\tnote\r\na.jpg\tcat;dog\t1,5\r\nb.jpg\tdog\ta;b\r\nc.jpg\t\t\r\n",
    "bars": b"\xef\xbb\xbffile|labels|note\na.jpg|cat;dog|x\nb.jpg|dog|y\nc.jpg||",
    "all in quotes": b'"file","labels","note"\r\n"a.jpg","cat;dog",""\r\n"b.jpg","dog","1"\r\n'
    b'"c.jpg","","a ""b"""\r\n',
    "old line ends": b"file,labels,note\ra.jpg,cat;dog,x\rb.jpg,dog,y\rc.jpg,,z",
    "another order": b"note,file,labels\n\xc3\xbc ,c.jpg,\n 2,b.jpg,dog\n,a.jpg,cat;dog\n\n",
}


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("spoken", SPOKEN)
def test_whatever_separates_columns_only_changed_rows_differ(
    spoken: str, suffix: str, tmp_path: Path
) -> None:
    before = SPOKEN[spoken]
    (tmp_path / f"in{suffix}").write_bytes(before)
    out = tmp_path / f"out{suffix}"
    apply(tmp_path / f"in{suffix}", out, [say("b.jpg", "cat", "present")])
    after = out.read_bytes()
    row = next(line for line in before.splitlines() if b"b.jpg" in line)
    added = row.replace(b"dog", b"dog,cat" if spoken == "semicolons" else b"dog;cat")
    assert after == before.replace(row, added)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_table_in_another_encoding_is_refused_and_told_what_to_do(
    encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_bytes("file,labels\nü.jpg,cat\nb.jpg,dog\n".encode(encoding))
    with pytest.raises(DataError, match="not UTF-8 text; save it as UTF-8"):
        apply(tmp_path / "in.csv", tmp_path / "out.csv", [say("b.jpg", "cat", "present")])
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Blank cells: 0 is absent.
        ("file,cat,dog\na.jpg,1,\nb.jpg,,0\n", "file,cat,dog\na.jpg,1,0\nb.jpg,1,0\n"),
        ("file,cat,dog\na.jpg,yes,\nb.jpg,,no\n", "file,cat,dog\na.jpg,yes,no\nb.jpg,yes,no\n"),
        # No blank cell: 0 says nothing, so what is absent is named.
        (
            "file,cat,dog\na.jpg,1,0\nb.jpg,0,1\n",
            "file,cat,dog,negatives\na.jpg,1,0,dog\nb.jpg,1,1,\n",
        ),
        # Beside a column of names, both say the same.
        (
            "file,labels,cat,dog\na.jpg,cat,1,\nb.jpg,dog,,1\n",
            "file,labels,cat,dog\na.jpg,cat,1,0\nb.jpg,dog;cat,1,1\n",
        ),
    ],
)  # fmt: skip
def test_columns_of_classes_keep_their_way_of_writing(
    before: str, after: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(before)
    verdicts = [say("a.jpg", "dog", "absent"), say("b.jpg", "cat", "present")]
    apply(tmp_path / "in.csv", tmp_path / "out.csv", verdicts)
    assert (tmp_path / "out.csv").read_text() == after


def test_what_a_person_unsays_goes_from_every_row_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("file,labels\na.jpg,cat\nb.jpg,dog\na.jpg,dog;cat\n")
    apply(tmp_path / "in.csv", tmp_path / "out.csv", [say("a.jpg", "cat", "absent")])
    text = (tmp_path / "out.csv").read_text()
    assert text == "file,labels,negatives\na.jpg,,cat\nb.jpg,dog,\na.jpg,dog,\n"


def test_json_lines_keep_their_other_keys_and_blanks(tmp_path: Path) -> None:
    lines = ['{"id":1.50, "file": "a.jpg","labels":["cat"],  "x": {"y": [1,2]}}']
    lines += ['{"file": "b.jpg"}', '{"labels": ["dog"], "file": "c.jpg"}']
    (tmp_path / "in.jsonl").write_bytes("\r\n".join(lines).encode())
    verdicts = [say("a.jpg", "dog", "present"), say("b.jpg", "dog", "present")]
    apply(tmp_path / "in.jsonl", tmp_path / "out.jsonl", verdicts)
    lines[0] = lines[0].replace('["cat"]', '["cat", "dog"]')
    lines[1] = '{"file": "b.jpg", "labels": ["dog"]}'
    assert (tmp_path / "out.jsonl").read_bytes().decode() == "\r\n".join(lines)


def test_parquet_keeps_its_other_columns_types_groups_and_metadata(tmp_path: Path) -> None:
    columns = {
        "file": pa.array(["a.jpg", "b.jpg", "c.jpg"]),
        "labels": pa.array([["cat"], None, ["dog"]], pa.list_(pa.string())),
        "when": pa.array([1, 2, None], pa.timestamp("ms")),
        "size": pa.array([1, 2, 3], pa.int16()),
    }
    table = pa.table(columns).replace_schema_metadata({"mine": "yes"})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=2, compression="gzip")
    apply(tmp_path / "in.parquet", tmp_path / "out.parquet", [say("b.jpg", "dog", "present")])
    with parquet.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.metadata.num_row_groups == 2
        assert file.metadata.row_group(0).column(0).compression == "GZIP"
        read = file.read()
    assert read.schema.metadata[b"mine"] == b"yes" and read.schema.types == table.schema.types
    assert read["labels"].to_pylist() == [["cat"], ["dog"], ["dog"]]
    assert read.drop_columns("labels").equals(table.drop_columns("labels"))


def test_coco_gets_tags_beside_boxes_and_no_box_that_nobody_drew(tmp_path: Path) -> None:
    path = EXAMPLES["coco"][1](tmp_path)
    text = json.dumps(json.loads(path.read_text()), indent=1)
    path.write_text(text)
    verdicts = [say("images/2.jpg", "bird", "present"), say("images/3.jpg", "cat", "absent")]
    verdicts += [say("images/1.jpg", "cat", "absent")]
    notes = apply(path, tmp_path / "out.json", verdicts)
    assert "1 labels have no box; their annotations have no bbox" in notes
    before, after = json.loads(text), json.loads((tmp_path / "out.json").read_text())
    assert {key: after[key] for key in ("info", "categories")} == {
        key: before[key] for key in ("info", "categories")
    }
    assert after["images"] == [
        {"id": 1, "file_name": "1.jpg", "neg_category_ids": [11]},
        {"id": 2, "file_name": "2.jpg"},
        {"id": 3, "file_name": "3.jpg", "neg_category_ids": [11]},
    ]
    old, new = before["annotations"], after["annotations"]
    assert new[:-1] == [
        entry for entry in old if (entry["image_id"], entry["category_id"]) != (1, 11)
    ]
    assert new[-1] == {"image_id": 2, "category_id": 1, "iscrowd": 0, "id": 3}
    # Every line that is still there stands as it stood.
    kept = [line for line in (tmp_path / "out.json").read_text().split("\n") if "bbox" in line]
    assert kept == [line for line in text.split("\n") if "bbox" in line][1:]


def test_a_folder_of_coco_files_is_changed_file_by_file(tmp_path: Path) -> None:
    path = EXAMPLES["coco folder"][1](tmp_path / "in")
    image = "train2017/2.jpg"
    apply(path, tmp_path / "out", [say(image, "cat", "present")])
    names = [path.name for path in sorted((tmp_path / "out" / "annotations").iterdir())]
    assert names == ["instances_train2017.json", "instances_val2017.json"]
    other = Path("annotations/instances_val2017.json")
    assert (tmp_path / "out" / other).read_bytes() == (path / other).read_bytes()
    assert states(read_listing(tmp_path / "out", images=path))[image, "cat"] == 1


@pytest.mark.parametrize("example", ["voc", "yolo", "label studio", "cvat", "folders", "prepared"])
def test_formats_of_boxes_are_written_as_a_table_and_it_is_said(
    example: str, tmp_path: Path
) -> None:
    path = EXAMPLES[example][1](tmp_path / "in")
    labels = read_labels(path)
    image = next(name for name in labels.listing.images if name.endswith("2.jpg"))
    difference = compare(labels.listing, [say(image, "cat", "present")])
    with pytest.raises(UsageError, match="no box.*none is invented.*\\.csv"):
        write_repaired(labels, difference, tmp_path / "out")
    notes = write_repaired(labels, difference, tmp_path / "out.csv").notes
    assert "the labels are written anew, as table" in notes
    assert states(read_listing(tmp_path / "out.csv"))[image, "cat"] == 1


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_every_example_can_be_repaired_somehow(example: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = EXAMPLES[example][1](tmp_path / "in")
    labels = read_labels(path)
    image = next(name for name in labels.listing.images if name.endswith("2.jpg"))
    difference = compare(
        labels.listing, [say(image, "bird", "present"), say(image, "dog", "absent")]
    )
    write_repaired(labels, difference, tmp_path / "out.jsonl", to="table")
    found = states(read_listing(tmp_path / "out.jsonl"))
    assert (found[image, "bird"], found[image, "dog"]) == (1, -1)


def test_nothing_is_ever_written_over_or_half_there(tmp_path: Path) -> None:
    path = EXAMPLES["csv"][1](tmp_path)
    verdicts = [say("2.jpg", "cat", "present")]
    before = path.read_bytes()
    with pytest.raises(UsageError, match="where the labels are read from"):
        apply(path, path, verdicts)
    out = tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(UsageError, match="choose another --out, or say --force"):
        apply(path, out, verdicts)
    out.unlink()
    (tmp_path / "out.csv.changes.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="out.csv.changes.jsonl already"):
        apply(path, out, verdicts)
    labels = read_labels(path)
    write_repaired(labels, compare(labels.listing, verdicts), out, force=True)
    assert "dog;cat" in out.read_text() and path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".partial")] == []


def test_changes_say_who_when_and_what_and_go_on_with_the_next_repair(tmp_path: Path) -> None:
    path = EXAMPLES["csv"][1](tmp_path)
    verdict = Verdict("7", "2.jpg", "cat", "present", "ann", "2026-01-02", "audit", 0.1, 0.9, "m1")
    apply(path, tmp_path / "one.csv", [verdict])
    apply(tmp_path / "one.csv", tmp_path / "two.csv", [verdict, say("2.jpg", "bird", "present")])
    lines = list(read_changes(tmp_path / "two.csv"))
    assert lines[0] == {
        **{"who": "ann", "at": "2026-01-02", "image": "2.jpg", "class": "cat", "old": 0, "new": 1},
        **{"rule": "person", "posterior": 0.9, "model": "m1", "stream": "audit"},
    }
    assert [line["class"] for line in lines] == ["cat", "bird"]


def test_classes_that_are_listed_beside_the_copy_have_to_be_its_own(tmp_path: Path) -> None:
    path = EXAMPLES["csv"][1](tmp_path / "in")
    for classes in ("z\ny\n", "bird\ncat\ndog\n"):
        (tmp_path / "classes.txt").write_text(classes)
        if classes == "z\ny\n":
            with pytest.raises(UsageError, match="classes of other labels; choose another folder"):
                apply(path, tmp_path / "out.csv", [])
            assert not (tmp_path / "out.csv").exists()
        else:
            apply(path, tmp_path / "out.csv", [])
    (path.parent / "classes.txt").write_text("dog\ncat\nbird\nfish\n")
    (tmp_path / "new").mkdir()
    notes = apply(path, tmp_path / "new" / "out.csv", [say("1.jpg", "fish", "present")])
    assert "classes.txt lists the classes in their order" in notes
    assert read_listing(tmp_path / "new" / "out.csv").classes == ("dog", "cat", "bird", "fish")


def test_a_name_that_would_be_read_as_several_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\na;b\n")
    (tmp_path / "in.csv").write_text("file,labels\n1.jpg,cat\n2.jpg,cat\n")
    verdicts = [say("1.jpg", "a;b", "present")]
    with pytest.raises(DataError, match="'a;b' cannot be named.*--to table --out labels.jsonl"):
        apply(tmp_path / "in.csv", tmp_path / "out.csv", verdicts)
    assert not (tmp_path / "out.csv").exists()
    labels = read_labels(tmp_path / "in.csv")
    difference = compare(labels.listing, verdicts)
    (tmp_path / "out").mkdir()
    write_repaired(labels, difference, tmp_path / "out" / "labels.jsonl", to="table")
    assert states(read_listing(tmp_path / "out" / "labels.jsonl"))["1.jpg", "a;b"] == 1


@pytest.mark.parametrize(
    ("out", "to", "said"),
    [
        ("nowhere/out.csv", None, "no folder"),
        ("out.parquet", None, "--out ends in .csv; for another kind of table say --to table"),
        ("out.csv", "cvta", "did you mean 'cvat'"),
        ("out.csv", "yolo", "no format to write called 'yolo'"),
    ],
)
def test_wrong_requests_are_refused(out: str, to: str | None, said: str, tmp_path: Path) -> None:
    labels = read_labels(EXAMPLES["csv"][1](tmp_path))
    with pytest.raises(UsageError, match=said):
        write_repaired(labels, compare(labels.listing, []), tmp_path / out, to=to)


def test_other_tables_are_written_anew_on_demand(tmp_path: Path) -> None:
    labels = read_labels(EXAMPLES["csv"][1](tmp_path))
    difference = compare(labels.listing, [say("2.jpg", "cat", "present")])
    write_repaired(labels, difference, tmp_path / "out.parquet", to="table")
    assert states(read_listing(tmp_path / "out.parquet"))["2.jpg", "cat"] == 1


def test_a_disk_that_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = read_labels(EXAMPLES["csv"][1](tmp_path))
    difference = compare(labels.listing, [say("2.jpg", "cat", "present")])
    (tmp_path / "out").mkdir()
    whole: Callable[[Path, bytes], int] = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        if path.name == "out.csv.changes.jsonl":
            raise OSError(28, "No space left on device", str(path))
        return whole(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(TacitError, match="no room left"):
        write_repaired(labels, difference, tmp_path / "out" / "out.csv")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("example", ["csv", "coco", "imagefolder", "xmp"])
def test_labels_get_their_name_last_whatever_fails_before(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = EXAMPLES[example][1](tmp_path / "in")
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    labels = read_labels(path)
    image = next(name for name in labels.listing.images if name.endswith("2.jpg"))
    difference = compare(labels.listing, [say(image, "cat", "present")])
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / f"it{path.suffix if path.is_file() else ''}"
    whole: Callable[[Path, Path], Path] = Path.replace
    for fails in range(9):
        done = 0

        def refuse(path: Path, target: Path, fails: int = fails) -> Path:
            nonlocal done
            if done == fails:
                raise OSError(5, "Input/output error", str(path))
            done += 1
            return whole(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", refuse)
            try:
                write_repaired(labels, difference, out)
                break
            except TacitError as error:
                assert "its disk is broken" in str(error)
        assert not out.exists()
        for left in (tmp_path / "out").iterdir():
            left.unlink()  # what changed may be told already
    assert fails in (1, 2) and out.exists()
    assert {file: file.read_bytes() for file in before} == before
