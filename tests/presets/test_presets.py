"""Recipes that come with the package: they resolve, and photographs get one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tacit.config import Config, resolve
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.experiments.grid import read_grid
from tacit.presets import find_preset, list_presets
from tacit.training.checks import check_trunk
from tacit.training.run import complete


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_is_a_whole_recipe(name: str, tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("file,labels\n1.jpg,a\n")
    config = complete(resolve(find_preset(name), (f"data.name={tmp_path / 'photos.csv'}",)))
    assert config.model.trunk != "tiny" and config.model.weights != "none"


@pytest.mark.parametrize("name", ["quick", "good"])
def test_no_run_on_a_frozen_trunk_reads_an_image_twice(name: str) -> None:
    config = resolve(find_preset(name))
    assert config.data.store == "shared"
    assert {phase.features for phase in config.phases} == {"pooled"}
    assert all("trunk" in phase.freeze for phase in config.phases)


def test_good_is_quick_on_a_larger_trunk() -> None:
    quick, good = (resolve(find_preset(name)) for name in ("quick", "good"))
    assert (good.phases, good.method) == (quick.phases, quick.method)
    assert good.model.trunk != quick.model.trunk


def test_methods_that_make_images_have_a_preset(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("file,labels\n1.jpg,a\n")
    asked = (f"data.name={tmp_path / 'photos.csv'}", "method.name=ignore")
    complete(resolve(find_preset("best"), asked))
    with pytest.raises(UsageError, match="--preset best"):
        complete(resolve(find_preset("quick"), asked))


def test_an_unknown_preset_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="quikc.*quick"):
        find_preset("quikc")


@pytest.mark.parametrize(
    ("settings", "side", "refused"),
    [
        (("data.name=photos.csv",), 97, True),
        (("data.name=photos.csv",), 96, False),  # hardly larger than what it is made for
        (("data.name=photos.csv", "model.trunk=tiny"), 300, False),  # who says it means it
        (("data.name=photos.csv", "model.trunk=resnet18"), 300, False),
        (("data.name=scenes",), 300, False),
    ],
)
def test_photographs_on_the_toy_trunk_are_refused(
    settings: tuple[Any, ...], side: int, refused: bool
) -> None:
    config = resolve(settings=settings)
    labels = np.zeros((1, 2), np.int8)
    source = Source("photos", "ab", ["1"], labels, lambda row: Image.new("RGB", (40, side)))
    if not refused:
        return check_trunk(config, source)
    with pytest.raises(UsageError, match=r"photos.csv .*--preset quick.*tacit\[weights\]"):
        check_trunk(config, source)


@pytest.mark.parametrize("study", ["search", "photographs"])
def test_studies_start_from_the_preset_they_are_about(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a row that trains exactly as `--preset quick` does."""
    for name in ("coco18", "clothes17"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "labels.csv").write_text("file,a,b\n1.jpg,1,0\n")
    monkeypatch.chdir(tmp_path)
    grid = Path(__file__).parents[2] / "studies" / f"{study}.toml"
    settings = ("data.name=coco18/labels.csv",)
    _, cells = read_grid(grid, settings, {"methods": ["gr"], "seeds": 1})
    quick = resolve(find_preset("quick"))
    made = [cell.config for cell in cells if cell.config]
    assert (_list_model(quick), quick.phases) in [
        (_list_model(config), config.phases) for config in made
    ]


def _list_model(config: Config) -> tuple[object, ...]:
    return config.model.name, config.model.trunk, config.model.weights, config.model.size
