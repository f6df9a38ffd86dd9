"""Published numbers: one file, which the page says again and the table finds rows in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark_copies import voc2012 as voc2012
from tacit.cli import run
from tacit.config import load_recipe
from tacit.experiments.published import SETS, find_published, read_tables
from tacit.experiments.studies import list_studies

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results" / "published.md"
# The page's table of parts has settings in its first column, which the file calls `off`.
OFF = {
    "": (),
    "`method.reject=false`, `method.spbc_weight=0`": ("reject", "spbc_weight"),
    "`method.average_threshold=false`": ("average_threshold",),
}


def read_page() -> set[tuple[str, ...]]:
    found = set()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[\d.]+", cells[-1]):
            found.add(tuple(cells[1:]))
    return found


def test_the_page_says_what_the_file_says() -> None:
    said = {
        (row["called"], *(row[name] for name in SETS))
        for table in read_tables()["tables"]
        for row in table["rows"]
    }
    page = {(called, *map(float, scores)) for called, *scores in read_page()}
    assert page == said


def test_every_row_is_a_table_of_the_recipes() -> None:
    for name in SETS:
        methods = load_recipe(ROOT / "recipes" / f"{name}.toml")["methods"]
        for table in read_tables()["tables"]:
            assert {row["method"] for row in table["rows"]} <= set(methods)


@pytest.fixture
def prepared(voc2012: Path, tmp_path: Path) -> Path:
    out = tmp_path / "prepared"
    assert run(["prepare", "voc2012", "--root", str(voc2012), "--out", str(out)]) == 0
    return out


SMALL = [
    word
    for setting in ("model.trunk=tiny", "model.weights=none", "model.size=32", "data.workers=0")
    + ("phases.epochs=1", "phases.batch=2", "phases.freeze=[]", "run.precision=fp32")
    for word in ("--set", setting)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("paper_table1", "--methods", "an,plc_lac,ignore"),
            {"an": "87.6", "plc_lac": "89.6", "ignore": "90.1"},
        ),
        (
            ("--ablate", "ignore", "--models", "query2label"),
            {
                "assume negative": "87.9",
                "consistency": "88.8",
                "consistency, SPBC, rejection by gap": "90",
                "IGNORE": "90.1",
                "strong view alone": "–",
                "SPBC alone": "–",
                "rejection alone": "–",
                "all but rejection": "–",
            },
        ),
        (("paper_table2", "--methods", "an,boostlu"), {"an": "85.89", "boostlu": "89.29"}),
    ],
)
def test_on_a_copy_of_voc_the_paper_stands_beside_ours(
    prepared: Path, tmp_path: Path, words: tuple[str, ...], expected: dict[str, str]
) -> None:
    """In its official format, tiny and of grey images; only the shape of the table is judged."""
    out = tmp_path / "grid"
    recipe = ROOT / "recipes" / "voc2012.toml"
    given = ["--recipe", str(recipe), "--data", str(prepared), "--out", str(out), "--jobs", "1"]
    assert run(["compare", *words, *given, *SMALL, "--seeds", "1"]) == 0
    lines = (out / "results.md").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("|")
    assert header[-2].strip() == "published" and header[2].strip() == "test mAP"
    found = {}
    for line in lines[2 : 2 + len(expected)]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[cells[0].split(" · ")[0]] = cells[-1].split(" ")[0]
        assert float(cells[1].split(" ")[0]) >= 0
    assert found == expected
    assert any(line.startswith("Published: IGNORE, Table") for line in lines)
    assert "Song et al." in (out / "report.html").read_text(encoding="utf-8")


def test_other_data_have_nothing_published() -> None:
    assert find_published([]) == {}


def test_every_study_is_a_grid_that_says_its_command() -> None:
    from tacit.experiments.grid import read_grid

    studies = list_studies()
    assert {"paper_table1", "paper_table2", "paper_table3", "paper_fig3"} <= set(studies)
    assert "scenes_in_minutes" not in studies
    for path in studies.values():
        _, cells = read_grid(path)
        assert cells and all(cell.config for cell in cells)
        text = path.read_text(encoding="utf-8")
        assert f"tacit compare {path.stem}" in text or "tacit compare --ablate" in text
