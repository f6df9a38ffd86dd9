"""The page about runs: it says what the records say, and refuses what has not ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacit.errors import DataError
from tacit.experiments.finished import read_runs
from tacit.experiments.report_page import build_report
from tacit.report.page import render_page


def write_run(folder: Path, score: float, lr: float, **changes: Any) -> Path:
    """Write a run folder as training leaves it, without a model."""
    folder.mkdir(parents=True)
    record = {
        "format": 2,
        "config": {
            "method": {"name": "an"},
            "phases": [{"lr": lr, "epochs": 2}],
            "run": {"seed": 0},
        },
        "versions": {"tacit": "0"},
        "data": {"name": "x", "images": 1200, "classes": 2},
        "fingerprint": "f00d",
        "result": {
            **{"map": score, "of1": 20.0, "cf1": 10.0, "n_images": 300, "split": "test"},
            "selection": "validation, observed labels",
            "per_class": {"<b>cat": score + 5, "dog": score - 5},
            "best": {"epoch": 2, "map": score + 1},
        },
    }
    (folder / "run.json").write_text(json.dumps(record | changes), encoding="utf-8")
    log = [
        {"epoch": n, "seconds": 30.0, "terms": {"bce": 0.5}, "validation_map": score + n - 1}
        for n in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in log))
    return folder


def test_the_page_says_what_the_runs_say(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", 50.0, 1e-3)
    after = write_run(tmp_path / "after", 61.5, 1e-2, fingerprint="beef")
    page = build_report(read_runs([before, after]))
    assert "`after` (an) reached 61.5 mAP on 300 test images" in page.lead
    assert "From `before` to `after`: 50.0 to 61.5 mAP, +11.5." in page.lead
    assert "Their training labels differ" in page.lead
    assert ("images", "1,200") in page.facts
    assert page.table.emphasised_row == 1 and page.table.rows[0][-1] == "1.0"
    classes, differing = (table for _, table in page.further)
    assert classes.rows[0] == ("dog", "45.0", "56.5")
    assert differing.rows == (("phases.0.lr", "0.001", "0.01"),)
    html = render_page(page)
    assert "&lt;b&gt;cat" in html and "<b>cat" not in html
    assert html.count("<table") >= 3


def test_runs_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a" / "run", 50.0, 1e-3)
    two = write_run(tmp_path / "b" / "run", 50.0, 1e-3)
    assert [run.name for run in read_runs([one, two])] == ["a/run", "b/run"]
    with pytest.raises(DataError, match="named twice"):
        read_runs([one, one])


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", 50.0, 1e-3, result=None)
    with pytest.raises(DataError, match="has not ended"):
        read_runs([folder])
