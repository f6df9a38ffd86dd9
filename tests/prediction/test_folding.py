"""Folding: the same answers, to rounding, from fewer layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tacit.models import build_model
from tacit.models.base import Purpose
from tacit.models.cam_head import CamModel
from tacit.models.folding import fold, prepare_for_inference
from things_to_predict import CLASSES, SIZE, small_model

CPU = torch.device("cpu")


def wear(model: Any) -> Any:
    """Give normalisation layers statistics and weights, as training would."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return model.eval()


def normalisations(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@torch.no_grad()
def apart(one: nn.Module, other: nn.Module, size: int = SIZE) -> float:
    torch.manual_seed(2)
    images = torch.randn(4, 3, size, size)
    return float((one(images).sigmoid() - other(images).sigmoid()).abs().max())


@pytest.mark.parametrize(
    ("trunk", "layers"), [("tiny", 5), ("resnet18", 20), ("mobilenetv2_100", 52)]
)
def test_every_normalisation_is_folded_and_probabilities_stay(trunk: str, layers: int) -> None:
    model = wear(build_model(classes=CLASSES, size=64, trunk=trunk))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold(model)
    assert (normalisations(model), normalisations(folded)) == (layers, 0)
    assert apart(model, folded, 64) <= 1e-5
    assert not folded.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), "the model itself is not to change"


@pytest.mark.parametrize("name", ["query2label", "ml_decoder"])
def test_other_heads_stay_as_they_are(name: str) -> None:
    model = wear(build_model(name, classes=CLASSES, size=SIZE, trunk="tiny"))
    assert apart(model, fold(model)) <= 1e-5


class Forked(nn.Module):
    """A pair that can be folded, and one that cannot: one of its two is used a second time."""

    channels = 8

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3, 3, bias=False), nn.BatchNorm2d(3))
        self.convolution = nn.Conv2d(3, 8, 3, 2, 1)
        self.normalisation = nn.BatchNorm2d(8)
        self.twice = twice

    def forward(self, images: Tensor) -> Tensor:
        features = self.convolution(self.stem(images))
        normalised: Tensor = self.normalisation(features)
        if self.twice:
            return normalised + self.normalisation(features.neg())
        return normalised + features


@pytest.mark.parametrize(("twice", "left"), [(True, 1), (False, 2)])
def test_what_cannot_be_folded_is_left_alone(twice: bool, left: int) -> None:
    """A second call is seen beforehand; a second reader only by what the copy says."""
    torch.manual_seed(0)
    model = wear(CamModel(Forked(twice), Purpose(CLASSES, SIZE)))
    folded = fold(model)
    assert normalisations(folded) == left
    assert apart(model, folded) <= 1e-6


def test_weights_rounded_once_are_those_that_autocast_rounds_each_time() -> None:
    plain, hastened = fold(small_model()), prepare_for_inference(fold(small_model()), CPU, "bf16")
    images = torch.randn(4, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain.to(memory_format=torch.channels_last)(images), hastened(images))
    assert hastened.trunk.layers[0][0].weight.dtype == torch.bfloat16  # type: ignore[index, union-attr]
    assert hastened.head.weight.dtype == torch.float32  # type: ignore[union-attr]
