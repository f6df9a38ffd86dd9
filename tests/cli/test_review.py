"""`tacit review`: it opens, says where, ends with Ctrl-C, and says what keeps it from opening."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

import tacit
from cli.conftest import Call
from reviews import make_source, write_queue
from tacit.repair import demo
from tacit.repair.serving import bind
from tacit.repair.store import Store
from tacit.repair.suspects_file import SuspectsFile

START = """
import sys
from tacit.cli import run
status = run(sys.argv[1:])
print("torch" in sys.modules)
sys.exit(status)
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    lines = ["image,boat,cat"]
    for row in range(6):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,1," if row % 2 else f"{row}.png,,1")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    write_queue(tmp_path / "found.parquet", tacit.load(tmp_path / "labels.csv"))
    return tmp_path / "labels.csv"


def test_it_opens_says_where_and_ends_with_ctrl_c(labels: Path, tmp_path: Path) -> None:
    command = ["review", str(tmp_path / "found.parquet"), "--data", str(labels)]
    options = ["--port=0", "--no-browser", "--user=ann"]
    with subprocess.Popen(
        [sys.executable, "-c", START, *command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        lines = []
        while not (found := re.search(r"http://\S+", "".join(lines))):
            line = process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line)
        address = urlsplit(found[0])
        connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=20)
        connection.request("GET", f"/?{address.query}")
        assert connection.getresponse().status == 303
        connection.close()
        assert (tmp_path / "verdicts.sqlite.lock").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        said = process.stderr.read()
        assert "0 verdicts are in" in said and "Traceback" not in said
        # The page opens soon because of what is not imported.
        assert process.stdout.read() == "False\n"
    assert not (tmp_path / "verdicts.sqlite.lock").exists()
    assert len(Store(tmp_path / "verdicts.sqlite")) == 0


def test_a_taken_port_is_said_in_a_sentence(call: Call, labels: Path, tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        answer = call("review", tmp_path / "found.parquet", f"--data={labels}", f"--port={port}")
    assert answer.status == 1 and f"Port {port} is taken" in answer.err


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 2, "Name a run or a file of suspects, or ask for --demo."),
        (("found.parquet", "--demo"), 2, "or ask for --demo."),
        (("found.parquet",), 2, "add --data LABELS"),
        (("nothing.parquet", "--data=labels.csv"), 3, "is not there"),
        (("found.parquet", "--data=labels.csv", "--host=0.0.0.0"), 2, "for this machine alone"),
        (("found.parquet", "--data=labels.csv", "--images=nowhere"), 3, "nowhere"),
        ((".",), 3, "is not there"),
    ],
)
def test_what_keeps_it_from_opening_is_said(
    call: Call, labels: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    answer = call("review", *arguments, "--port=0", "--no-browser")
    assert answer.status == status and sentence in answer.err.replace("\n", " ")


def test_the_demo_draws_images_and_finds_some_of_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "IMAGES", 160)
    monkeypatch.setattr(demo, "SHOWN", 64)
    monkeypatch.setattr(demo, "TYPICAL", 60)
    with demo.open_demo(tmp_path / "demo") as review:
        source = demo.draw_source()
        assert source.truth is not None
        for _ in range(40):
            question = review.next("ann")[0]
            assert source.labels[question.row][question.column] == 0
            there = source.truth[question.row][question.column] == 1
            review.answer("ann", question, "present" if there else "absent")
        assert review.source.open(0).size == (64, 64)
    missing = source.truth.count(1) - source.labels.count(1)
    listed = [
        row for b in SuspectsFile(tmp_path / "demo" / demo.FILE).blocks() for row in b.to_pylist()
    ]
    rows = {name: row for row, name in enumerate(source.images)}
    hits = [
        source.truth[rows[each["image"]]][source.classes.index(each["class"])] == 1
        for each in listed[:200]
    ]
    assert sum(hits) / 200 > 1.5 * missing / source.labels.count(0)
    again = demo.open_demo(tmp_path / "demo")
    assert len(again.store) == 40 and len(again.answers.said) == 40


def test_the_demo_leaves_other_folders_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    answer = call("review", "--demo", "--out=mine", "--port=0", "--no-browser")
    assert answer.status == 2 and "holds something else" in answer.err
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["file"]


def test_a_run_goes_from_suspects_to_a_queue_that_learns(
    copied: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tacit.repair import learning
    from tacit.repair.opening import open_review

    monkeypatch.setattr(learning, "EVERY", 3)
    assert call("suspects", copied, "--boxes=2", "--device=cpu").status == 0
    with open_review(copied, audit_share=0.0) as review:
        assert review.live_queue is not None and review.queue.order is None
        for _ in range(3):
            review.answer("ann", review.next("ann")[0], "present")
        end = time.monotonic() + 60
        while not review.live_queue.turns and time.monotonic() < end:
            assert review.live_queue.failed is None
            time.sleep(0.05)
        assert review.live_queue.turns == 1 and review.queue.order is not None
        assert review.next("ann")[0].cell not in review.answers.said
    with open_review(copied, learn=False) as review:
        assert review.live_queue is None


def test_a_run_is_reviewed_on_its_own_data(tmp_path: Path) -> None:
    from tacit.config import resolve
    from tacit.data.splits import load_splits
    from tacit.repair.opening import open_review
    from tacit.runs.folder import Run

    run = Run(tmp_path / "run")
    settings = ("data.options.images=40", "data.options.test_images=10", "data.labels=observed")
    config = resolve(settings=settings)
    source = load_splits(config.data).train
    run.repair.mkdir(parents=True)
    record = {"format": 2, "config": config.model_dump(mode="json")}
    run.write({**record, "fingerprint": source.fingerprint()})
    write_queue(run.repair / run.suspects_file.name, source, most=50)
    with open_review(run.folder) as review:
        question = review.next("ann")[0]
        assert question.image == source.images[question.row] and len(review.queue) == 50
        assert review.store.path == run.repair / "verdicts.sqlite"
    write_queue(run.repair / run.suspects_file.name, make_source())
    with pytest.raises(tacit.errors.DataError, match="does not have"):
        open_review(run.folder)
    run.write({**record, "fingerprint": "f00d"})
    with pytest.raises(tacit.errors.DataError, match="was trained on other data"):
        open_review(run.folder)
