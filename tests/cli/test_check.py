"""`tacit check` as a user calls it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from check.planted import ASIDE, TRAINED, Photos, healthy
from tacit.check import KINDS

Call = Callable[..., Any]
REAL = os.environ.get("TACIT_COCO18")
DOCS = Path(__file__).parents[2] / "docs" / "check.md"


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return healthy(tmp_path)


def test_a_healthy_data_set_is_said_to_be_so(call: Call, photos: Photos) -> None:
    answer = call("check", "labels.csv", "--strict")
    assert answer.status == 0
    assert "table, 32 images (24 train, 8 test), 4 classes" in answer.out
    assert answer.out.rstrip().endswith("0 errors, 0 warnings, 0 notes")


def test_a_leak_ends_with_1_and_the_rest_only_if_strict(call: Call, photos: Photos) -> None:
    photos.path(6).write_bytes(photos.path(3).read_bytes())
    assert call("check", "labels.csv").status == 0
    assert call("check", "labels.csv", "--strict").status == 1
    photos.path(3).write_bytes(photos.path(TRAINED).read_bytes())
    answer = call("check", "labels.csv")
    assert answer.status == 1
    assert "003.png (train) and 024.png (test) are the same file" in answer.out
    assert "mend: tacit check labels.csv --clean cleaned/labels.csv\n" in answer.out


def test_five_are_shown_and_all_are_written(call: Call, photos: Photos) -> None:
    for row in range(9):
        photos.path(row).unlink()
    (photos.images / "new [red] :cat:.png").write_bytes(b"")
    answer = call("check", "labels.csv", "--out=all.jsonl", "--jobs=2")
    assert answer.out.count("there is no such file") == 5 and "… and 4 more" in answer.out
    assert "new [red] :cat:.png lies in the folder" in answer.out
    lines = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    assert [line["image"] for line in lines][:9] == [f"{row:03}.png" for row in range(9)]
    assert {"kind", "severity", "sentence", "fix"} <= set(lines[0])
    again = call("check", "labels.csv", "--json").json()
    assert again["errors"] == 9 and again["notes"] == 1 and again["images"] == 32
    assert again["kinds"]["missing"]["count"] == 9
    assert again["kinds"]["missing"]["first"] == lines[:5]


def test_flags_that_name_the_data_are_kept_in_commands(call: Call, photos: Photos) -> None:
    photos.images.rename(photos.folder / "my photos")
    (photos.folder / "my photos" / "003.png").write_bytes(b"")
    answer = call("check", "labels.csv", "--images=my photos", "--absent=negative")
    flags = "--images 'my photos' --absent negative"
    assert f"tacit check labels.csv {flags} --clean cleaned/labels.csv" in answer.out


def test_clean_labels_are_written_beside_and_never_over(call: Call, photos: Photos) -> None:
    photos.path(3).write_bytes(b"")
    before = photos.table.read_bytes()
    assert call("check", "labels.csv", "--clean=cleaned/labels.csv").status == 1
    assert photos.table.read_bytes() == before
    assert call("check", "cleaned/labels.csv", "--images=photos").status == 0
    assert call("check", "labels.csv", "--clean=cleaned/labels.csv").status == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--mend=blank"], "--clean FILE"),
        (["--mend=leak", "--clean=c.csv"], "without being asked"),
        (["--mend=rotated", "--clean=c.csv"], "open_image"),
        (["--mend=blnk", "--clean=c.csv"], "did you mean 'blank'"),
        (["--without=blnk"], "did you mean 'blank'"),
        (["--jobs=0"], "1 or more"),
        (["--out=nowhere/all.jsonl"], "no folder"),
    ],
)
def test_wrong_requests_are_refused(
    call: Call, photos: Photos, flags: list[str], said: str
) -> None:
    answer = call("check", "labels.csv", *flags)
    assert answer.status == 2 and said in answer.err


def test_what_is_no_data_set_ends_with_3(call: Call, photos: Photos) -> None:
    assert call("check", "nothing.csv").status == 3
    answer = call("check", "photos/000.png")
    assert answer.status == 3 and "no known format" in answer.err


def test_the_documentation_lists_what_the_code_looks_for() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| `(.+)` \|$", DOCS.read_text(), re.M)
    told = [(kind, KINDS[kind].severity, KINDS[kind].sentence, KINDS[kind].fix) for kind in KINDS]
    assert rows == told


def test_the_splits_are_those_that_training_will_make(call: Call, photos: Photos) -> None:
    photos.path(ASIDE).write_bytes(photos.path(3).read_bytes())
    assert "one into validation, the other into train" in call("check", "labels.csv").out
    for settings in ("--set=data.split_seed=1", "--set=data.validation=0.04"):
        answer = call("check", "labels.csv", settings)
        assert answer.status == 0 and "duplicate" in answer.out
    answer = call("check", "labels.csv", "--set=data.validaton=0.04")
    assert answer.status == 2 and "did you mean 'validation'" in answer.err


def test_completeness_is_said_from_labels_alone(call: Call, photos: Photos) -> None:
    for number, row in enumerate(photos.rows):
        row["labels"] = "tree" if number % 4 else "boat;tree"
    photos.rows[5]["labels"] = ""
    photos.write()
    answer = call("check", "labels.csv", "--no-decode")
    assert "1.22 known labels an image: 1 with 0, 23 with 1, 8 with 2" in answer.out
    assert "'tree' 97 %, 'boat' 25 %" in answer.out
    assert "71 % of the images have one known label: what else they show is" in answer.out
    told = call("check", "labels.csv", "--no-decode", "--json").json()["labels"]
    assert told["classes"] == {"boat": 8, "tree": 31} and told["unknown"] == 2 * 32 - 39
    sure = call("check", "labels.csv", "--no-decode", "--absent=negative")
    assert "of the images have one known label" not in sure.out  # nothing is missing then


@pytest.mark.slow
@pytest.mark.skipif(
    REAL is None or not (Path(REAL) / "labels.csv").is_file(),
    reason="set TACIT_COCO18 to a folder with labels.csv and images to check real photographs",
)
def test_real_photographs_raise_no_false_alarm(call: Call) -> None:
    answer = call("check", Path(str(REAL)) / "labels.csv", "--json")
    summary = answer.json()
    assert answer.status == 0 and summary["decoded"] == summary["images"] == 10_000
    # One photograph is there twice, once with stronger contrast.
    found = {kind: row["count"] for kind, row in summary["kinds"].items()}
    assert found == {"near_duplicate": 1}
    said = summary["kinds"]["near_duplicate"]["first"][0]
    assert {said["image"], said["other"]} == {"8038.jpg", "25733.jpg"}


@pytest.mark.parametrize("verb", ["check", "observe"])
def test_what_training_is_told_of_a_table_is_told_here(
    call: Call, tmp_path: Path, verb: str
) -> None:
    rows = "1.jpg,cat & dog,1\n2.jpg,dog,0\n"
    (tmp_path / "lists.csv").write_text(f"file,labels,shop\n{rows}")
    (tmp_path / "ones.csv").write_text("file,cat,dog,open\n1.jpg,1,0,1\n2.jpg,1,1,0\n")
    more = ("--json", "--absent=negative") + (("--no-decode",) if verb == "check" else ("--out=a",))
    count = "classes" if verb == "check" else "per class"
    separated = call(verb, "lists.csv", "--separator=&", *more).json()[count]
    more = (*more[:2], "--no-decode" if verb == "check" else "--out=b")
    others = call(verb, "ones.csv", "--other-columns=open", *more).json()[count]
    for found in (separated, others):
        assert found == 2 if verb == "check" else set(found) == {"cat", "dog"}
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": [], "categories": []}')
    answer = call(verb, "coco.json", "--format=coco_json", "--separator=&")
    assert answer.status == 2 and "separator" in answer.err
