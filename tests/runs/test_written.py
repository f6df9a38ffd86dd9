"""Scores and logs of a run: anything may have become of them, and it is said in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacit.errors import DataError
from tacit.runs.folder import Run

WHOLE: dict[str, Any] = {
    **{"map": 50.0, "of1": 40.0, "cf1": 30, "n_images": 9, "split": "test"},
    **{"selection": "labels", "per_class": {"cat": 40.0}, "best": {"map": 45.0, "epoch": 2}},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"map": "50"}, "'map' is no number"),
        ({"map": True}, "'map' is no number"),
        ({"cf1": None}, "'cf1' is no number"),
        ({"of1": 1e300}, "'of1' is no number"),
        ({"best": None}, "'map' is no number"),
        ({"best": {"map": 1.0}}, "'epoch' is no number"),
        ({"per_class": [40.0]}, "score of a class"),
        ({"per_class": {"cat": "40"}}, "score of a class"),
        ({"n_images": 2.5}, "'n_images' is no number"),
        ({"split": 3}, "'split' is no text"),
        ({"selection": None}, "'selection' is no text"),
    ],
)
def test_scores_of_which_one_is_none_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    run = Run(tmp_path)
    run.write({"format": 2, "result": WHOLE})
    assert run.scores == WHOLE
    run.write({"format": 2, "result": {**WHOLE, **change}})
    with pytest.raises(DataError, match=rf"run\.json does not hold the scores of a run: .*{said}"):
        assert run.scores
    run.write({"format": 2, "result": [1]})
    with pytest.raises(DataError, match="they are no table"):
        assert run.scores


@pytest.mark.filterwarnings("ignore:.*no records of epochs")
@pytest.mark.parametrize(
    "change",
    [
        {"validation_map": "1"},
        {"seconds": None},
        {"terms": [1.0]},
        {"terms": {"an": "1"}},
        {"identification": 3},
        {"identification": {"tp": []}},
    ],
)
def test_a_line_of_the_log_that_is_of_no_epoch_is_left_out(
    change: dict[str, Any], tmp_path: Path
) -> None:
    whole = {"epoch": 1, "seconds": 1, "validation_map": float("nan"), "terms": {"an": 0.5}}
    lines = [json.dumps({**whole, **change}), json.dumps({**whole, "identification": None})]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert [record["epoch"] for record in Run(tmp_path).log.read()] == [1]
