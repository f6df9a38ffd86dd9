"""`tacit demo`, made tiny: its table, its files, and folders that are somebody else's."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacit.cli import run
from tacit.data.formats import read_listing
from tacit.experiments import demo as experiment
from tacit.training.interrupts import Interrupted

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def shown(
    small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a demonstration and its results."""
    folder = tmp_path_factory.mktemp("shown") / "demo"
    assert run(["demo", "--jobs=1", "--out", str(folder), *small]) == 0
    return folder, json.loads((folder / "results.json").read_text())


def test_results_have_the_promised_form(shown: tuple[Path, dict[str, Any]]) -> None:
    folder, results = shown
    assert results["report"] == "index.html"
    assert [row["method"] for row in results["rows"]] == list(experiment.RUNS)
    for row in results["rows"]:
        assert {"method", "map", "precision", "recall", "f1", "seconds"} <= set(row)
        assert 0 < row["map"] <= 100 and row["seconds"] > 0
        assert all(0 <= row[share] <= 1 for share in ("precision", "recall", "f1"))
    assert (folder / results["report"]).is_file()


def test_each_row_is_a_run(shown: tuple[Path, dict[str, Any]]) -> None:
    folder, results = shown
    scores = {
        json.loads(record.read_text())["result"]["map"]
        for record in (folder / "runs").glob("*/run.json")
    }
    assert scores == {row["map"] for row in results["rows"]}
    assert len(list((folder / "runs").iterdir())) == 4


def test_the_repair_is_what_its_files_say(shown: tuple[Path, dict[str, Any]]) -> None:
    folder, results = shown
    repair = results["repair"]
    before, after, full = (
        read_listing(folder / name) for name in ("labels.csv", "repaired.csv", "all-labels.csv")
    )
    train = np.array([split == "train" for split in before.splits])
    added = (after.labels.dense() == 1) & (before.labels.dense() != 1)
    assert repair["added"] == repair["confirmed"] + repair["accepted"] == added.sum() > 0
    assert not added[~train].any()
    assert repair["right"] == (added & (full.labels.dense() == 1)).sum()
    assert repair["given"] == (before.labels.dense()[train] == 1).sum() == train.sum()
    # Nothing that came with the data is gone, and what a person denied is known to be absent.
    assert (after.labels.dense()[before.labels.dense() != 0] != 0).all()
    changes = [json.loads(line) for line in (folder / "changes.jsonl").read_text().splitlines()]
    assert sum(change["new"] == 1 for change in changes) == repair["added"]
    assert repair["looks"] == min(experiment.LOOKS, repair["looks"])
    assert len(list((folder / "images").iterdir())) == len(before.images)


class Elements(HTMLParser):
    """Lists the elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_needs_nothing_but_itself(shown: tuple[Path, dict[str, Any]]) -> None:
    page = (shown[0] / "index.html").read_text(encoding="utf-8")
    found = Elements(page).found
    tags = {tag for tag, _ in found}
    assert {"table", "svg", "img"} <= tags
    assert not tags & {"script", "link", "iframe", "object", "embed", "audio", "video"}
    for _, attributes in found:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in page and "@import" not in page
    assert "http://" not in page and "https://" not in page


def test_the_page_says_what_the_table_says(shown: tuple[Path, dict[str, Any]]) -> None:
    page = (shown[0] / "index.html").read_text(encoding="utf-8")
    assert "validation images with clean labels" in " ".join(page.split())
    for row in shown[1]["rows"]:
        assert row["method"] in page and f"{row['map']:.1f}" in page


def fake_demo(folder: Path, **options: Any) -> experiment.Story:
    """Write what a demonstration leaves behind, without training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / experiment.MARKER).write_text("{}")
    (folder / "runs" / "an-0").mkdir(parents=True)  # fails if an earlier one is there
    rows = [experiment.Row(name, 12.34, 0.5, 0.25, 0.33, 7) for name in "ab"]
    labels = folder / "repaired.csv"
    numbers = dict.fromkeys(("given", "missing", "looks", "confirmed", "accepted", "right"), 3)
    repair = experiment.Repair(labels, expected=3.0, low=1, high=5, said="", above=0.8, **numbers)
    return experiment.Story(rows, repair)


def test_people_get_a_table_and_programs_get_rows(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_demo", fake_demo)
    answer = call("demo", "--jobs=1", "--out=my [demo]")
    lines = answer.out.splitlines()
    assert answer.status == 0
    assert lines[1].split() == ["a", "12.3", "0.50", "0.25", "0.33", "7"]
    assert lines[-4].endswith("of 6 added labels 3 are right, 3 were missing.")
    assert lines[-3] == "The epoch was chosen on validation images with clean labels."
    assert lines[-2] == "Open my [demo]/index.html in a browser."
    assert lines[-1].endswith("tacit review 'my [demo]/runs/ignore'")
    told = call("demo", "--jobs=1", "--out=other", "--json").json()
    assert [row["method"] for row in told["rows"]] == ["a", "b"]
    assert told["repair"]["added"] == 6


def test_an_earlier_demo_is_replaced_and_nothing_else(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_demo", fake_demo)
    assert call("demo", "--jobs=1").status == 0
    for name in ("index.html", "results.json", "notes.txt", "runs/an-0/old.txt"):
        Path("demo", name).write_text("from before")
    assert call("demo", "--jobs=1").status == 0
    left = sorted(str(path.relative_to("demo")) for path in Path("demo").rglob("*"))
    assert left == ["demo.json", "notes.txt", "runs", "runs/an-0"]


def test_a_second_demo_takes_the_place_of_the_first(
    call: Call, shown: tuple[Path, dict[str, Any]], small: tuple[str, ...]
) -> None:
    folder, first = shown
    answer = call("demo", "--jobs=1", "--out", folder, *small, "--set=phases.lr=0.001", "--json")
    assert answer.status == 0
    results = json.loads((folder / "results.json").read_text())
    assert results["rows"] == answer.json()["rows"]
    assert [row["map"] for row in results["rows"]] != [row["map"] for row in first["rows"]]
    assert len(list((folder / "runs").iterdir())) == 4


def test_a_folder_of_somebody_else_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(experiment, "run_demo", fake_demo)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    answer = call("demo", "--jobs=1", "--out=mine")
    assert (answer.status, answer.out) == (2, "")
    assert "The folder mine is not empty and holds no earlier demo" in answer.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    answer = call("demo", "--out=mine/thesis.tex")
    assert answer.status == 2
    assert "mine/thesis.tex is a file, not a folder" in answer.err


def test_a_wrong_request_costs_nobody_the_earlier_demo(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_demo", fake_demo)
    assert call("demo").status == 0
    assert call("demo", "--set=phases.epoch=1").status == 2
    assert call("demo", "--seeds=0").status == 2
    assert Path("demo/runs/an-0").is_dir()


def test_an_interrupted_demo_starts_again(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(folder: Path, **options: Any) -> None:
        fake_demo(folder)
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(experiment, "run_demo", stop)
    answer = call("demo")
    assert (answer.status, answer.out) == (130, "")
    assert "`tacit demo` starts again from the beginning" in answer.err
    monkeypatch.setattr(experiment, "run_demo", fake_demo)
    assert call("demo").status == 0


def test_settings_of_the_data_draw_and_all_others_train() -> None:
    plain = experiment.plan()
    changed = experiment.plan(("data.options.images=70", "method.epsilon=0.001", "phases.epochs=2"))
    config = changed.config("ignore", Path("labels.csv"))
    assert (config.method.options["epsilon"], config.phases[0].epochs) == (0.001, 2)
    assert changed.drawn.data.options["images"] == 70 and "images" not in config.data.options
    assert experiment.count_epochs(changed) == 4 * 2
    assert experiment.plan() == plain and plain.drawn.data.options == experiment.SCENES
