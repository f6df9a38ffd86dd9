"""Maps of a linear head need no gradient, and their positive parts are Grad-CAM."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.models import build_model

CLASSES = ("bird", "boat", "car")
TRUNKS = ["tiny", "resnet18", "convnext_atto", "vit_tiny_patch16_224", "swinv2_tiny_window8_256"]


def model_and_images(trunk: str) -> tuple[Any, Tensor]:
    torch.manual_seed(0)
    model: Any = build_model(classes=CLASSES, size=128, trunk=trunk).double().eval()
    with torch.no_grad():
        model.head.bias.uniform_(-1, 1)
    return model, torch.randn(2, 3, 128, 128, dtype=torch.float64)


def evidence(model: Any, images: Tensor) -> Tensor:
    """Return the positive part of the maps, without the bias that Grad-CAM knows nothing of."""
    maps = model.localise(images)[1].detach()
    return (maps - model.head.bias.detach().view(1, -1, 1, 1)).relu()


def grad_cam(model: Any, images: Tensor, position: int) -> Tensor:
    """Weigh each channel of the trunk's map by the mean gradient of a class's logit; (B, h, w)."""
    features = model.trunk(images).detach().requires_grad_()
    logit = model.logits_from(features)[:, position].sum()
    (gradient,) = torch.autograd.grad(logit, features)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * features).sum(1).relu().detach()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_positive_parts_of_maps_are_grad_cam_by_its_definition(trunk: str) -> None:
    model, images = model_and_images(trunk)
    found = evidence(model, images)
    for position in range(len(CLASSES)):
        expected = grad_cam(model, images, position)
        assert expected.amax((1, 2)).min() > 0
        torch.testing.assert_close(found[:, position] / found[0, 0].numel(), expected)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_positive_parts_of_maps_are_those_of_the_library(trunk: str) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, images = model_and_images(trunk)
    found = evidence(model, images)
    for position in range(len(CLASSES)):
        with GradCAM(model, [model.trunk]) as library:
            drawn = library(images, [ClassifierOutputTarget(position)] * len(images))
        maps = found[:, position] / found[0, 0].numel()
        # The library hands maps out from 0 to 1, in the size of the images.
        ours = scale_cam_image(scale_cam_image(maps.numpy(), (128, 128)))
        assert drawn.shape == (2, 128, 128) and drawn.max() > 0.5
        assert abs(drawn - ours).max() < 1e-5
