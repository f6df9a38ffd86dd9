"""Means, intervals and paired differences, held against scipy's own tests and hand counts."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tacit.errors import UsageError
from tacit.experiments.cells import Measured
from tacit.experiments.grid import Cell
from tacit.experiments.published import Published
from tacit.experiments.statistics import estimate, summarise
from tacit.experiments.table import WRITERS, from_json, list_notes, to_cells

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


def test_differences_equal_to_the_last_digit_are_no_evidence() -> None:
    rows = summarise(measure({("an",): [1.0, 2.0], ("b",): [1.0, 2.0], ("c",): [2.0, 3.0]}), ["an"])
    found = {row.name: row.differences for row in rows}
    assert found["b"][0].p == 1.0 and found["c"][0].p is None


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


def test_few_seeds_do_not_find_more_than_chance_does() -> None:
    """Of tables whose rows are equally good, one in twenty has a star, and no more."""
    draw = np.random.default_rng(0)
    for seeds in (2, 3, 5):
        starred = 0
        for _ in range(400):
            scores = draw.normal(50, 1, (4, seeds)) + draw.normal(0, 3, seeds)
            maps = {(name,): row.tolist() for name, row in zip("abcd", scores, strict=True)}
            found = [each for row in summarise(measure(maps), ["a"]) for each in row.differences]
            assert len(found) == 3
            starred += any(each.corrected is not None and each.corrected < 0.05 for each in found)
        assert starred / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_what_has_not_converged_is_named_and_not_ranked() -> None:
    cells = [
        replace(each, rising=each.cell.values == ("em",), near_chance=each.cell.values == ("gr",))
        for each in measure(MAPS)
    ]
    rows = summarise(cells)
    assert [row.name for row in rows] == ["an", "em", "gr"]  # though em has the best validation
    assert [row.converged for row in rows] == [True, False, False]
    header, body = to_cells(rows)
    assert [line[header.index("converged")] for line in body] == ["yes", "no", "no"]
    (note,) = [note for note in list_notes(rows, 3) if note.startswith("Not converged")]
    assert "gr (hardly above chance)" in note and "em (validation gained" in note


def test_clean_and_observed_selection_stand_side_by_side() -> None:
    clean, observed = "validation_labels clean", "validation_labels observed"
    maps = {
        (clean, "an"): [50.0, 52.0],
        (clean, "em"): [55.0, 56.0],
        (observed, "an"): [49.0, 49.0],
        (observed, "em"): [55.0, 55.5],
    }
    rows = {row.name: row for row in summarise(measure(maps), ["an"])}
    assert set(rows) == {"an", "em"}
    assert rows["an"].figures["chosen by observed"].mean == 49.0
    assert rows["an"].figures["cost of no clean labels"].mean == 2.0
    assert rows["em"].differences[0].estimate.mean == 4.5
    alone = summarise(measure({(observed, "an"): [49.0, 49.0]}))
    assert [row.name for row in alone] == [f"{observed} · an"]


def test_json_says_all_that_a_page_needs() -> None:
    said = Published(87.6, "AN", "Query2Label", "one positive", "Table 1", "a paper")
    rows = [
        replace(row, published=said, runs={0: f"runs/{row.name}"})
        for row in summarise(measure(MAPS), ["an"])
    ]
    assert from_json(WRITERS["json"](rows, 3, ["tuned"])) == (rows, 3, ["tuned"])
    header, body = to_cells(rows)
    assert header[-1] == "published" and body[0][-1] == "87.6 (Query2Label, one positive)"
