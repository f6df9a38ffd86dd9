"""Recipes that come with the package: they resolve, and photographs get one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tacit.config import resolve
from tacit.data.source import Source
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.models.wrappers import divide
from tacit.presets import find_preset, list_presets
from tacit.training.checks import check_trunk
from tacit.training.optim import freeze_parameters
from tacit.training.run import complete


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_is_a_whole_recipe(name: str, tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("file,labels\n1.jpg,a\n")
    config = complete(resolve(find_preset(name), (f"data.name={tmp_path / 'photos.csv'}",)))
    assert config.model.trunk != "tiny" and config.model.weights != "none"


def test_quick_lets_no_run_read_an_image_twice() -> None:
    config = resolve(find_preset("quick"))
    assert config.data.store == "shared"
    assert {phase.features for phase in config.phases} == {"pooled"}


def test_good_moves_a_trunk_whose_lower_stages_read_each_image_once() -> None:
    quick, good = (resolve(find_preset(name)) for name in ("quick", "good"))
    assert (good.model, good.method) == (quick.model, quick.method)  # so that features are shared
    heads, stages = good.phases
    assert heads.features == "pooled" and stages.features == "stages" and stages.versions == 2
    model: Any = build_model(
        classes=("a", "b"), size=good.model.size, trunk=good.model.trunk
    ).eval()
    learner = Learner(model, build_method("gr"))
    freeze_parameters(learner, stages)
    still = {name for name, each in model.trunk.named_parameters() if not each.requires_grad}
    lower, _ = divide(model, still)
    assert lower.first == "network.blocks.6"
    assert 0 < sum(each.numel() for each in model.trunk.parameters() if each.requires_grad) < 2e6


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
