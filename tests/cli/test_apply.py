"""`tacit apply` as a user calls it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmark_copies import touch_image
from data.formats.examples import table, xmp
from tacit.data.formats import read_listing
from tacit.repair.store import Store
from tacit.repair.suspects_file import write_suspects
from tacit.repair.verdict_files import read_verdicts, write_verdicts
from tacit.repair.verdicts import Verdict
from tacit.runs.folder import Run

Call = Callable[..., Any]
VERDICTS = """\
image,class,answer,who
1.jpg,bird,present,ann
2.jpg,dog,absent,ann
2.jpg,cat,present,ann
2.jpg,cat,absent,ben
3.jpg,cat,unsure,ann
9.jpg,cat,present,ann
3.jpg,birds,present,ann
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "verdicts.csv").write_text(VERDICTS)
    return table(tmp_path)


def write_them(folder: Path) -> None:
    cells = [("2.jpg", 0, 0.9), ("3.jpg", 1, 0.6), ("1.jpg", 0, 0.3)]
    block = {
        "image": [cell[0] for cell in cells],
        "class": [cell[1] for cell in cells],
        "rank": [1, 2, 3],
        "posterior": [cell[2] for cell in cells],
        "score": [cell[2] for cell in cells],
    }
    about = {"data": "f00d", "classes": ["bird", "cat", "dog"], "floor": 0.1}
    write_suspects(folder / "suspects.parquet", [block], about)


def test_the_difference_is_shown_first_and_everything_that_is_passed_over(
    call: Call, labels: Path
) -> None:
    answer = call("apply", "verdicts.csv", "--data=labels.csv", "--out=new.csv")
    assert answer.status == 0
    assert "1 labels are added, 1 removed, 0 known to be absent." in answer.out
    assert "people disagree: 1, of which 1 are left as they were" in answer.out
    assert "2.jpg, cat: ann: present, ben: absent -> left" in answer.out
    assert "1 images are not in the labels; 1 verdicts are passed over:\n  9.jpg" in answer.out
    assert "no class is called 'birds': 1 verdicts are passed over; is it 'bird' now?" in answer.out
    assert "Train on it with: tacit train --data new.csv --images " in answer.err
    lines = Path("new.csv").read_text().splitlines()
    assert lines == ["file,labels,negatives", "1.jpg,cat;dog;bird,", "2.jpg,,dog", "3.jpg,bird,"]
    told = [json.loads(line) for line in Path("new.csv.changes.jsonl").read_text().splitlines()]
    assert [(line["image"], line["class"], line["new"]) for line in told] == [
        ("1.jpg", "bird", 1),
        ("2.jpg", "dog", -1),
    ]


def test_a_dry_run_writes_nothing_and_json_says_the_same(call: Call, labels: Path) -> None:
    before = sorted(Path().iterdir())
    summary = call(
        "apply", "verdicts.csv", "--data=labels.csv", "--dry-run", "--json", "--conflicts=last"
    ).json()
    assert (summary["added"], summary["removed"], summary["absent"]) == (1, 1, 1)
    assert summary["conflicts"][0]["outcome"] == "absent"
    assert summary["gone_images"] == {"9.jpg": 1} and "out" not in summary
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        ([], 2, "--out, or see the difference with --dry-run"),
        (["--out=labels.csv"], 2, "where the labels are read from"),
        (["--out=new.csv", "--accept-above=0.9"], 2, "needs --suspects FILE"),
        (["--out=new.csv", "--to=label_studo"], 2, "did you mean 'label_studio'"),
        (["--out=new.csv", "--beside"], 2, "sidecars"),
        (["--out=new.csv", "--format=coco_json"], 3, "labels.csv"),
    ],
)
def test_wrong_requests_are_refused(
    call: Call, labels: Path, flags: list[str], status: int, said: str
) -> None:
    answer = call("apply", "verdicts.csv", "--data=labels.csv", *flags)
    assert answer.status == status and said in answer.err
    assert not Path("new.csv").exists()


def test_a_models_word_needs_an_audit_that_bears_it_out(call: Call, labels: Path) -> None:
    write_them(Path())
    flags = ("--data=labels.csv", "--accept-above=0.8", "--suspects=suspects.parquet", "--json")
    answer = call("apply", "verdicts.csv", *flags, "--out=new.csv")
    assert answer.status == 2 and "only where an audit bears it out" in answer.err
    for right, status in ((10, 2), (40, 0)):
        given = [
            Verdict(f"{n}", f"x{n}", "cat", "present", "ann", "", "audit", 0.1, 0.9)
            for n in range(right)
        ]
        given.append(Verdict("no", "3.jpg", "dog", "absent", "ann", "", "audit", 0.1, 0.95))
        write_verdicts(Path("audit.jsonl"), given)
        answer = call("apply", "audit.jsonl", *flags, "--dry-run")
        assert answer.status == status
        if status:
            assert "The audit bears out 0.6" in answer.err and "less than 0.8" in answer.err
    summary = answer.json()
    assert summary["by_model"] == 1 and 0 < summary["expected_wrong"] <= summary["most_wrong"] < 0.2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("v.jsonl", "{}", "says no image"),
        ("v.jsonl", "nothing", "line 1, is no JSON"),
        ("v.jsonl", "[]", "no object with a verdict"),
        ("v.jsonl", '{"image": "a", "class": "b", "answer": "yes"}', "'yes' of 'added'"),
        ("v.csv", "image,class,answer,posterior\na,b,absent,much\n", "'much' is no number"),
        ("v.csv", "image,class,answer\na,b\n", "another number of cells"),
        ("v.txt", "a", "holds no verdicts"),
        ("none.csv", None, "nothing at none.csv"),
    ],
)
def test_verdicts_that_are_none_are_refused_in_a_sentence(
    call: Call, labels: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        Path(name).write_text(text)
    answer = call("apply", name, "--data=labels.csv", "--dry-run")
    assert answer.status in (2, 3) and said in answer.err


def test_verdicts_are_written_and_read_again_and_count_once(tmp_path: Path) -> None:
    given = [
        Verdict("1", "é\n.jpg", "a,b", "present", "ann", "2026", "audit", 0.25, 0.5, "m", "crop"),
        Verdict("2", "b.jpg", "dog", "undo", "ben", "2027"),
    ]
    write_verdicts(tmp_path / "v.jsonl", [*given, given[0]])
    assert read_verdicts(tmp_path / "v.jsonl") == given


def test_a_folder_of_images_with_keywords_is_repaired_and_read_as_it_is_then(
    call: Call, tmp_path: Path
) -> None:
    images = xmp(tmp_path / "my photos")
    Path("v.csv").write_text("image,class,answer\n2.jpg,cat,present\n")
    assert call("check", images, "--no-decode").status == 0
    answer = call("apply", "v.csv", "--data", images, "--out=new")
    assert answer.status == 0 and "--data new --images " in answer.err
    assert "my photos'" in answer.err
    listing = read_listing(Path("new"), images=images)
    assert listing.labels.dense().tolist() == [[0, 1, 1], [0, 1, 1], [1, 0, 0]]
    answer = call("apply", "v.csv", "--data", images, "--beside")
    assert answer.status == 0 and "1 changes are written beside the images" in answer.err
    assert read_listing(images).labels.dense().tolist() == listing.labels.dense().tolist()


def test_label_studio_gets_labels_and_suspects_to_correct(call: Call, labels: Path) -> None:
    write_them(Path())
    answer = call(
        "apply",
        "verdicts.csv",
        *("--data=labels.csv", "--out=tasks.json", "--to=label_studio"),
        "--suspects=suspects.parquet",
    )
    assert answer.status == 0 and "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in answer.err
    tasks = json.loads(Path("tasks.json").read_text())
    second = tasks[1]
    assert second["data"] == {"image": "/data/local-files/?d=2.jpg"}
    assert [(p["model_version"], p["score"]) for p in second["predictions"]] == [
        ("labels", 1.0),
        ("suspects", 0.9),
    ]
    chosen = [result["value"]["choices"] for result in second["predictions"][1]["result"]]
    assert chosen == [["bird"]]
    config = ElementTree.parse("tasks.config.xml")
    control = config.find("Choices")
    assert control is not None and control.attrib == {
        "name": "tags",
        "toName": "image",
        "choice": "multiple",
    }
    assert [choice.attrib["value"] for choice in control] == ["bird", "cat", "dog"]
    # The same tasks, answered as predicted, are read as the labels they are.
    for task in tasks:
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    Path("back.json").write_text(json.dumps(tasks))
    read = read_listing(Path("back.json"), images=Path("images"), classes=["bird", "cat", "dog"])
    assert list(read.images) == ["1.jpg", "2.jpg", "3.jpg"]
    assert read.labels.dense().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_suspects_of_other_images_are_shown_to_no_tool(call: Call, labels: Path) -> None:
    write_them(Path())
    Path("other.csv").write_text("file,labels\nx.jpg,cat\ny.jpg,dog\n")
    Path("verdicts.csv").write_text("image,class,answer\nx.jpg,dog,present\n")
    flags = ("--data=other.csv", "--suspects=suspects.parquet", "--out=tasks.json")
    answer = call("apply", "verdicts.csv", *flags, "--to=label_studio")
    assert answer.status == 3 and "'other' has none" in answer.err
    assert not Path("tasks.json").exists()


def test_cvat_gets_tags_that_say_who_thinks_so(call: Call, labels: Path) -> None:
    write_them(Path())
    shutil.copy("labels.csv", "odd.csv")
    answer = call(
        "apply",
        "verdicts.csv",
        *("--data=labels.csv", "--out=tags.xml", "--to=cvat", "--suspects=suspects.parquet"),
    )
    assert answer.status == 0
    root = ElementTree.parse("tags.xml").getroot()
    images = root.findall("image")
    assert [image.attrib for image in images][:1] == [
        {"id": "0", "name": "1.jpg", "width": "8", "height": "6"}
    ]
    assert [(tag.attrib["label"], tag.attrib["source"]) for tag in images[2]] == [
        ("bird", "manual"),
        ("cat", "auto"),
    ]
    read = read_listing(Path("tags.xml"), images=Path("images"))
    assert read.labels.dense().tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]


def test_fiftyone_gets_classifications_and_the_places_of_images(call: Call, labels: Path) -> None:
    write_them(Path())
    answer = call(
        "apply",
        "verdicts.csv",
        *("--data=labels.csv", "--out=fo", "--to=fiftyone", "--suspects=suspects.parquet"),
    )
    assert answer.status == 0
    document = json.loads(Path("fo/labels.json").read_text())
    assert document["classes"] == ["bird", "cat", "dog"]
    targets = document["labels"]
    assert [target["label"] for target in targets["1"]] == [0, 1, 2]
    assert targets["2"] == [{"label": 0, "confidence": 0.9, "attributes": {"source": "suspects"}}]
    places = json.loads(Path("fo/data.json").read_text())
    assert {stem: Path(place).name for stem, place in places.items()} == {
        "1": "1.jpg",
        "2": "2.jpg",
        "3": "3.jpg",
    }
    assert all(Path(place).is_file() for place in places.values())


def test_two_images_that_fiftyone_would_take_for_one_are_refused(call: Call, labels: Path) -> None:
    Path("labels.csv").write_text("file,labels\n1.jpg,cat\n1.png,dog\n")
    answer = call("apply", "verdicts.csv", "--data=labels.csv", "--out=fo", "--to=fiftyone")
    assert answer.status == 3 and "'1.jpg' and '1.png' would be one" in answer.err
    assert not Path("fo").exists()


def test_a_run_without_a_file_of_labels_or_without_a_review_is_refused(
    call: Call, labels: Path, trained: Path
) -> None:
    answer = call("apply", trained, "--out=new.csv")
    assert answer.status == 2 and "'scenes', which is no file of labels; name one" in answer.err
    answer = call("apply", trained, "--data=labels.csv", "--out=new.csv")
    assert answer.status == 3 and "has 0 reviews; name the file of one" in answer.err


def test_a_review_is_applied_to_the_labels_of_its_run_and_goes_on(
    call: Call, labels: Path, small: tuple[str, ...]
) -> None:
    rows = [f"{n}.jpg,{('cat', 'dog', 'bird')[n % 3]}" for n in range(40)]
    for row in rows:
        touch_image(Path("images") / row.split(",")[0])
    Path("labels.csv").write_text("\n".join(["file,labels", *rows]) + "\n")
    flags = [flag for flag in small if "data.options" not in flag]
    images = f"--set=data.options.images={Path('images').absolute()}"
    assert (
        call(
            "train", "--data=labels.csv", "--method=an", "--trunk=tiny", "--out=run", images, *flags
        ).status
        == 0
    )
    run = Run("run")
    train = run.splits().train
    run.repair.mkdir()
    store = Store.open(run.repair / "verdicts.sqlite", train.fingerprint(), train.classes)
    at = "2026-01-01T00:00:00Z"
    store.add(Verdict("1", train.images[0], "bird", "present", "ann", at))
    store.add(Verdict("2", train.images[1], "bird", "absent", "ann", at, "added"))
    with store.writing():  # while somebody goes on
        answer = call("apply", "run", "--out=new.csv", "--json")
    assert answer.status == 0
    summary = answer.json()
    assert not summary["edited"]
    assert summary["added"] + summary["confirmed"] + summary["removed"] + summary["absent"] == 2
    # Somebody edits the labels of a cell that was shown as unknown.
    text = Path("labels.csv").read_text()
    line = next(row for row in rows if row.endswith("dog") and row.split(",")[0] in train.images)
    Path("labels.csv").write_text(text.replace(f"\n{line}\n", f"\n{line};cat\n"))
    store.add(Verdict("3", line.split(",")[0], "cat", "absent", "ben", at))
    summary = call("apply", "run", "--dry-run", "--json").json()
    assert summary["edited"]
    assert [c["kind"] for c in summary["conflicts"] if c["label"] == "cat"] == ["edited"]


def test_a_review_of_a_newer_tacit_is_refused(call: Call, labels: Path) -> None:
    Store.open("review.sqlite", "f00d", ("a", "b"))
    with closing(sqlite3.connect("review.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    answer = call("apply", "review.sqlite", "--data=labels.csv", "--dry-run")
    assert answer.status == 3 and "newer" in answer.err
