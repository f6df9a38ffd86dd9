"""Trunks by name: what is built, and what is refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.resnet import ResNet

from tacit.errors import UsageError
from tacit.models import build_model
from tacit.models.base import IMAGENET_MEAN

CLASSES = ("bird", "boat")
SMALL = "test_resnet"  # half a million parameters


def build(trunk: str, **options: Any) -> Any:
    return build_model(classes=CLASSES, size=64, trunk=trunk, **options)


@pytest.mark.parametrize(
    ("trunk", "options", "problem"),
    [
        ("crossvit_tiny_240", {}, "gives no single output with a spatial map"),
        (SMALL, {"output_stride": 33}, "cannot be built like this"),
        (SMALL, {"dpth": 3}, "cannot be built like this: .*'dpth'"),
    ],
)
def test_a_trunk_without_maps_is_refused_when_it_is_built(
    trunk: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=f"The trunk '{trunk}' {problem}") as caught:
        build_model(classes=CLASSES, size=240, trunk=trunk, trunk_options=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dimensions", [2, 3, 5])
def test_features_without_places_are_refused(
    dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = torch.zeros([2] * dimensions)
    monkeypatch.setattr(ResNet, "forward_features", lambda self, images: found)
    monkeypatch.delattr(ResNet, "forward_intermediates")
    expected = f"gives a {dimensions}-dimensional output without a spatial map, .*'resnet50'"
    with pytest.raises(UsageError, match=expected):
        build(SMALL)


def test_an_unknown_trunk_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no trunk called 'resnet5O'; did you mean 'resnet5"):
        build("resnet5O")
    with pytest.raises(UsageError, match="no trunk called 'tinny'; did you mean 'tiny'"):
        build("tinny")


def test_an_unknown_model_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model called 'camm'; did you mean 'cam'"):
        build_model("camm", classes=CLASSES, size=64)


@pytest.mark.parametrize("classes", [(), ("bird",)])
def test_too_few_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"two classes or more, not {len(classes)}"):
        build_model(classes=classes, size=64, trunk="tiny")


def test_the_tiny_trunk_takes_neither_weights_nor_options() -> None:
    with pytest.raises(UsageError, match="no published weights"):
        build("tiny", weights="hub")
    with pytest.raises(UsageError, match="no options; remove depth"):
        build("tiny", trunk_options={"depth": 3})


def test_a_tag_without_weights_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no weights called 'tv_in1' .*did you mean 'resnet50.tv_"):
        build("resnet50.tv_in1")


def test_a_trunk_without_published_weights_is_refused_before_it_is_built() -> None:
    with pytest.raises(UsageError, match="timm has no published weights of 'maxvit_pico_rw_256'"):
        build("maxvit_pico_rw_256", weights="hub")


def test_weights_that_the_hub_does_not_give_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*given: Any, **named: Any) -> None:
        raise OSError("the hub cannot be reached\nand more")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    expected = "weights of 'test_resnet' cannot be had from the hub: the hub cannot be reached;"
    with pytest.raises(UsageError, match=expected) as caught:
        build(SMALL, weights="hub")
    assert "\n" not in str(caught.value)


def test_hub_weights_bring_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    state = dict(timm.create_model(SMALL).state_dict())
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *a, **b: state)
    model = build(SMALL, weights="hub")
    assert model.recipe["mean"] == [0.5, 0.5, 0.5] and model.recipe["std"] == [0.5, 0.5, 0.5]
    torch.testing.assert_close(model.normalise(torch.ones(1, 3, 1, 1)), torch.ones(1, 3, 1, 1))
    assert model.recipe["weights"]["source"] == "timm/test_resnet.r160_in1k"
    assert model.recipe["weights"]["tag"] == "r160_in1k"
    assert torch.equal(model.trunk.network.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    told = build(SMALL, weights="hub", mean=(0.1, 0.2, 0.3))  # what the recipe says comes first
    assert told.recipe["mean"] == [0.1, 0.2, 0.3]
    assert build(SMALL).recipe["mean"] == list(IMAGENET_MEAN)  # of random weights nothing is known


def test_random_weights_say_so() -> None:
    assert build(SMALL).recipe["weights"] == {"source": "none"}
    assert build("tiny").recipe["weights"] == {"source": "none"}
