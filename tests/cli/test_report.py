"""`tacit report`: a page of a comparison, with images on which its rows differ, and of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tacit.cli import run

SMALL = (
    *("--set", "data.options.images=60", "--set", "data.options.test_images=20"),
    *("--set", "phases.batch=16", "--set", "phases.epochs=2", "--set", "data.workers=0"),
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared")
    command = ["compare", "--methods", "an,ignore", "--seeds", "2", "--baseline", "an"]
    assert run([*command, "--jobs", "1", "--out", str(out), *SMALL]) == 0
    return out


def test_the_page_of_a_comparison_is_written_again_with_images(
    compared: Path, tmp_path: Path
) -> None:
    page = compared / "report.html"
    first = page.read_text(encoding="utf-8")
    assert "Information gap: ignore" in first and "Gains by class" in first
    assert "tacit train --method ignore" in first and 'class="band"' in first
    assert run(["report", str(compared)]) == 0
    assert page.read_text(encoding="utf-8") == first
    other = tmp_path / "page.html"
    assert run(["report", str(compared), "--examples", "--out", str(other)]) == 0
    text = other.read_text(encoding="utf-8")
    assert "Where they disagree" in text and text.count("<img") <= 6
    assert all(f'class="chip {kind}"' in text for kind in ("known", "found", "missed", "wrong"))


def test_a_run_is_shown_in_images_and_drawn_into_files(compared: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (folder, *_) = sorted(compared.glob("runs/ignore-*"))
    page = tmp_path / "page.html"
    words = ["--examples", "--plots", "svg", "--out", str(page), "--json"]
    assert run(["report", str(folder), *words]) == 0
    assert "In images" in page.read_text(encoding="utf-8")
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"accuracy-while-training.svg", "loss.svg"} <= drawn


def test_a_damaged_comparison_is_a_sentence(
    compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads((compared / "results.json").read_text(encoding="utf-8"))
    del told["rows"][0]["figures"]
    (tmp_path / "results.json").write_text(json.dumps(told), encoding="utf-8")
    assert run(["report", str(tmp_path)]) == 3
    assert "is not what this tacit writes" in capsys.readouterr().err
