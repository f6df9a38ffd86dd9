"""Figures: what the logs say, averaged over seeds, and nothing that no log holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tacit.errors import UsageError
from tacit.experiments import plots
from tacit.experiments.figures import (
    FIGURES,
    draw_classes,
    draw_figures,
    draw_gap,
    draw_identification,
    draw_rejection,
    draw_sensitivity,
    follow,
)
from tacit.experiments.finished import FinishedRun, Series
from tacit.report.charts import TONES, draw_chart


def make_run(name: str, maps: list[float], gamma: float = 0.4, **found: int) -> FinishedRun:
    counts = {"tp": 0, "fp": 0, "fn": 9, "precision": 0.0, "recall": 0.0, "f1": 0.0} | found
    log: list[dict[str, Any]] = [
        {
            "validation_map": score,
            "terms": {"loss": 1.0},
            "readings": {"tau": gamma * 2},
            "identification": counts,
            "cells": {"known": 10, "missed": 10, "negative": 30},
            "evidence": {"gap": {"known": 0.5, "missed": 1.0, "negative": 0.1}},
        }
        for score in maps
    ]
    record = {
        "config": {"method": {"name": "own", "options": {"gamma": gamma}}, "run": {"seed": 0}},
        "result": {"map": maps[-1], "per_class": {"cat": maps[-1], "dog": 90.0, "eel": None}},
    }
    return FinishedRun(name, Path(name), record, log)


def test_a_line_is_the_mean_over_seeds_with_the_least_and_the_largest() -> None:
    series = Series("a", (make_run("a", [10, 20, 30]), make_run("a", [20, 40])))
    line = follow(series, lambda record: record["validation_map"])
    assert line.ys == (15.0, 30.0, 30.0)
    assert line.band == ((10.0, 20.0), (20.0, 40.0), None)  # one seed had ended before
    assert "band" in draw_chart(draw_figures([series])[0], "x")


def test_what_no_log_holds_is_not_drawn() -> None:
    quiet = Series("quiet", (make_run("quiet", [10, 20]),))
    assert draw_identification([quiet]) == [] and draw_rejection([quiet]) == []
    assert draw_classes([quiet]) == [] and draw_sensitivity([quiet]) == []
    bare = FinishedRun("b", Path("b"), {"config": {}, "result": {"map": 1.0, "per_class": {}}}, [])
    assert [chart for draw in FIGURES.values() for chart in draw([Series("b", (bare,))])] == []


def test_rejection_is_missing_labels_for_each_absent_one() -> None:
    run = make_run("a", [10, 20], tp=6, fp=4, precision=0.6)
    ratio, share = draw_rejection([Series("a", (run,))])
    assert ratio.lines[0].ys == (1.5, 1.5)
    assert share.lines[0].ys == (10 / 40, 10 / 40)


def test_the_gap_has_a_chart_for_each_row_and_a_line_for_each_group() -> None:
    charts = draw_gap([Series(name, (make_run(name, [1, 2]),)) for name in "ab"])
    assert [chart.title for chart in charts] == ["Information gap: a", "Information gap: b"]
    assert {line.name: line.ys[0] for line in charts[0].lines} == {
        "given": 0.5,
        "missing": 1.0,
        "absent": 0.1,
    }


def test_sensitivity_is_drawn_against_the_number_that_differs() -> None:
    series = [
        Series(str(gamma), (make_run(str(gamma), [10, 50 + 10 * gamma], gamma),))
        for gamma in (0.6, 0.2, 0.4)
    ]
    accuracy, tau = draw_sensitivity(series)
    assert (accuracy.x_label, tau.y_label) == ("gamma", "tau")
    assert accuracy.lines[0].xs == (0.2, 0.4, 0.6) and accuracy.lines[0].ys == (52.0, 54.0, 56.0)
    assert tau.lines[0].ys == pytest.approx((0.4, 0.8, 1.2))


def test_gains_by_class_are_against_the_first_row_with_classes_named() -> None:
    rows = [Series("a", (make_run("a", [10, 40]),)), Series("b", (make_run("b", [10, 45]),))]
    (chart,) = draw_classes(rows)
    assert chart.names == ("cat", "dog") and chart.lines[0].ys == [5.0, 0.0]
    html = draw_chart(chart, "x")
    assert 'scope="row">cat' in html and html.count('<path class="marker"') == 2 + 2


def test_more_rows_than_tones_are_named_and_not_drawn() -> None:
    rows = [Series(f"row {n}", (make_run(f"row {n}", [1, n]),)) for n in range(TONES + 3)]
    chart = draw_figures(rows)[0]
    assert len(chart.lines) == TONES
    assert f"The first {TONES} of {TONES + 3} rows are drawn." in chart.caption


def test_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [Series("a", (make_run("a", [10, 40]),)), Series("b", (make_run("b", [10, 45]),))]
    charts = draw_figures(rows)
    first = plots.write_plots(charts, tmp_path / "one", plots.FORMATS)
    second = plots.write_plots(charts, tmp_path / "two", plots.FORMATS)
    assert len(first) == 3 * len(charts)
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes() and 0 < one.stat().st_size < 100_000


def test_matplotlib_that_is_missing_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"need matplotlib.*pip install 'tacit\[figures\]'"):
        plots.import_pyplot()
