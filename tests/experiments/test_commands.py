"""The command on a page does what the run did."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tacit.config import resolve
from tacit.experiments.commands import write_command
from tacit.experiments.finished import FinishedRun
from tacit.training.run import complete

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        (None, ()),
        (None, ("method.name=ignore", "method.reject=false", "data.options.images=60")),
        (None, ('data.name="a folder/it\'s.csv"', "phases.lr=3e-4", "phases.freeze=['trunk']")),
        ("voc2012", ("method.name=ignore", "model.name=query2label", "data.name=scenes")),
        ("coco2014", ("method.name=plc_lac", "data.name=scenes")),
        ("scenes", ("method.name=em_apl",)),
    ],
)
def test_a_command_says_all_that_differs(
    recipe: str | None,
    settings: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "it's.csv").write_text("image,labels\na.png,cat\n")
    file = RECIPES / f"{recipe}.toml" if recipe else None
    config = complete(resolve(file, settings))
    record = {"config": config.model_dump(mode="json")}
    words = shlex.split(write_command(FinishedRun("a", Path("a"), record, [])))
    assert words[:3] == ["tacit", "train", "--method"]
    again = [f"method.name={words[3]}", *words[5::2]]
    assert words[4::2] == ["--set"] * (len(again) - 1)
    assert complete(resolve(settings=again)) == config
