"""Means, intervals and paired differences, held against scipy's own tests and hand counts."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from tacit.errors import UsageError
from tacit.experiments.cells import Measured
from tacit.experiments.grid import Cell
from tacit.experiments.statistics import estimate, summarise
from tacit.experiments.table import WRITERS, list_notes, to_cells

MAPS = {
    ("an",): [50.0, 52.0, 51.0],
    ("em",): [53.0, 54.5, 55.0],
    ("gr",): [49.0, 53.0, 52.0],
}


def measure(maps: dict[tuple[str, ...], list[float]]) -> list[Measured]:
    return [
        Measured(Cell(values, seed, None), "done", {"test mAP": each, "validation mAP": each + 1.0})
        for values, scores in maps.items()
        for seed, each in enumerate(scores)
    ]


def test_the_interval_is_that_of_student() -> None:
    found = estimate([50.0, 52.0, 51.0])
    low, high = stats.t.interval(0.95, 2, loc=51.0, scale=1.0 / np.sqrt(3))
    assert found.mean == 51.0 and found.spread == 1.0 and found.seeds == 3
    assert found.half == pytest.approx((high - low) / 2)
    alone = estimate([50.0])
    assert alone.spread is None and alone.half is None


def test_differences_are_paired_by_seed_and_tested_as_scipy_does() -> None:
    rows = {row.name: row for row in summarise(measure(MAPS), ["an"])}
    assert rows["an"].differences == ()
    (em,), (gr,) = rows["em"].differences, rows["gr"].differences
    assert em.estimate.mean == pytest.approx(np.mean([3.0, 2.5, 4.0]))
    for name, found in (("em", em), ("gr", gr)):
        assert found.p == pytest.approx(stats.ttest_rel(MAPS[name,], MAPS["an",]).pvalue)
    # Holm: the smaller of two counts twice, the larger once, and never less than the smaller.
    assert em.p is not None and gr.p is not None and em.p < gr.p
    assert em.corrected == pytest.approx(2 * em.p)
    assert gr.corrected == pytest.approx(max(2 * em.p, gr.p))


def test_several_baselines_are_corrected_for_together() -> None:
    rows = summarise(measure(MAPS), ["an", "gr"])
    found = [each for row in rows for each in row.differences]
    assert len(found) == 4  # each of the two baselines against the two others
    smallest = min(found, key=lambda each: each.p or 0)
    assert smallest.corrected == pytest.approx(min(1.0, 4 * (smallest.p or 0)))


def test_the_best_by_validation_comes_first() -> None:
    cells = measure(MAPS)
    cells[0].figures["validation mAP"] = 400.0  # whatever the test says
    assert [row.name for row in summarise(cells)] == ["an", "em", "gr"]


def test_a_baseline_is_sought_where_all_else_is_equal() -> None:
    maps = {
        ("k 1", "an"): [50.0, 51.0],
        ("k 1", "em"): [52.0, 53.5],
        ("k 2", "an"): [60.0, 61.0],
        ("k 2", "em"): [61.0, 62.5],
    }
    rows = {row.name: row for row in summarise(measure(maps), ["an"])}
    assert rows["k 2 · em"].differences[0].baseline == "k 2 · an"
    assert rows["k 1 · em"].differences[0].estimate.mean == pytest.approx(2.25)
    with pytest.raises(UsageError, match="There is no row 'ann' to compare with"):
        summarise(measure(maps), ["ann"])


def test_a_failed_seed_is_named_and_in_no_mean() -> None:
    cells = measure(MAPS)
    cells[4] = Measured(Cell(("em",), 1, None), "failed", {}, "the loss is not finite")
    row = next(row for row in summarise(cells, ["an"]) if row.name == "em")
    assert row.figures["test mAP"].seeds == 2 and row.figures["test mAP"].mean == 54.0
    assert row.differences[0].estimate.mean == pytest.approx((3.0 + 4.0) / 2)
    assert "em, seed 1, is in no mean: the loss is not finite" in list_notes([row], 3)


def test_equal_runs_are_no_evidence_and_constant_gains_are() -> None:
    rows = summarise(measure({("an",): [1.0, 2.0], ("b",): [1.0, 2.0], ("c",): [2.0, 3.0]}), ["an"])
    found = {row.name: row.differences for row in rows}
    assert found["b"][0].p == 1.0 and found["c"][0].p == 0.0


def test_every_writer_says_the_same_numbers() -> None:
    rows = summarise(measure(MAPS), ["an"])
    header, body = to_cells(rows)
    assert header == ["method", "test mAP", "validation mAP", "against an"]
    assert body[0][0] == "em" and body[0][1].startswith("54.2 ± ")
    assert "| em | 54.2 ± " in WRITERS["md"](rows, 3)
    assert r"em & 54.2 $\pm$ " in WRITERS["tex"](rows, 3)
    read = list(csv.DictReader(io.StringIO(WRITERS["csv"](rows, 3))))
    assert float(read[0]["test mAP mean"]) == pytest.approx(np.mean(MAPS["em",]))
    assert float(read[0]["against an mean"]) == pytest.approx(19 / 6)
    told = json.loads(WRITERS["json"](rows, 3))
    assert told["rows"][0]["figures"]["test mAP"]["seeds"] == 3


def test_names_cannot_break_a_table() -> None:
    rows = summarise(measure({("a|b_c & 5%",): [1.0, 2.0]}))
    assert r"| a\|b_c & 5% |" in WRITERS["md"](rows, 2)
    assert r"a|b\_c \& 5\% &" in WRITERS["tex"](rows, 2)
