"""`tacit compare`: one command starts, goes on, repeats what failed, and ends in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacit.cli import run

SMALL = (
    *("--set", "data.options.images=60", "--set", "data.options.test_images=20"),
    *("--set", "phases.batch=16", "--set", "phases.epochs=1", "--jobs", "1"),
)


def compare(folder: Path, *words: str, methods: str = "an,em", seeds: str = "2") -> int:
    return run(
        ["compare", "--methods", methods, "--seeds", seeds, "--out", str(folder), *SMALL, *words]
    )


def read_times(folder: Path) -> dict[str, int]:
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in folder.glob("runs/*/model.safetensors")
    }


def test_the_same_command_starts_goes_on_and_extends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "grid"
    assert compare(folder, "--baseline", "an") == 0
    told = capsys.readouterr()
    assert "against an" in told.out and "0 of 4 trainings are done" in told.err
    before, table = read_times(folder), (folder / "results.md").read_bytes()
    assert len(before) == 4
    assert compare(folder, "--baseline", "an") == 0  # nothing is trained again
    assert read_times(folder) == before and (folder / "results.md").read_bytes() == table
    assert compare(folder, methods="an,em,wan") == 0  # what is new is added
    after = read_times(folder)
    assert len(after) == 6 and before.items() <= after.items()


def test_a_failure_is_told_kept_out_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "grid"
    assert compare(folder, methods="an,vlpl", seeds="1") == 1
    out = capsys.readouterr().out
    assert "vlpl, seed 0, is in no mean: This method needs the scores" in out
    told: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert {row["name"]: bool(row["figures"]) for row in told["rows"]} == {
        "an": True,
        "vlpl": False,
    }
    assert [file.name[:6] for file in (folder / "failed").iterdir()] == ["vlpl-0"]
    assert compare(folder, "--status", methods="an,vlpl", seeds="1") == 1
    assert "epoch" not in capsys.readouterr().err


def test_what_would_be_trained_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "grid"
    assert compare(folder, "--dry-run", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(each["row"], each["seed"], each["state"]) for each in listed] == [
        ("an", 0, "not launched"),
        ("an", 1, "not launched"),
        ("em", 0, "not launched"),
        ("em", 1, "not launched"),
    ]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "many"), "--seeds takes a number of seeds"),
        (("--methods", ","), "--methods names nothing"),
        (("--jobs", "0"), "--jobs must be 1 or more"),
        (("--preset", "quick", "--recipe", "grid.toml", "paper_fig3"), "leave one of them out"),
        (("paper_fig3", "--ablate", "ignore"), "leave one of them out"),
        (("paper_fig33",), "did you mean 'paper_fig3'"),
        (("--ablate", "an"), "there is one of: ignore"),
        (("--plots", "gif"), "There is no format of figures called 'gif'"),
        (("--methods", "ana"), "did you mean 'an'"),
        (("--methods", "an", "--baseline", "gr", "--status"), "There is no row 'gr'"),
    ],
)
def test_wrong_requests_are_a_sentence(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *words]) == 2
    assert message in capsys.readouterr().err
