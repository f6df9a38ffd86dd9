"""The class-activation head: logits and maps are two readings of one linear map."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F

from tacit.errors import UsageError
from tacit.models import build_model
from tacit.models.base import IMAGENET_MEAN, IMAGENET_STD, Purpose
from tacit.models.cam_head import CamModel

CLASSES = ("bird", "boat", "car", "fish", "tree")

TRUNKS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "resnet18": {},
    "resnet50": {},
    "mobilenetv2_100": {},
    "convnext_tiny": {},
    "swin_tiny_patch4_window7_224": {"img_size": 64},
}


def build(trunk: str = "tiny", **options: Any) -> Any:
    torch.manual_seed(0)
    return build_model(classes=CLASSES, size=64, trunk=trunk, **options).eval()


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("trunk", "trunk_options"), TRUNKS.items())
@torch.no_grad()
def test_pooling_and_the_linear_map_commute(trunk: str, trunk_options: dict[str, Any]) -> None:
    model = build(trunk, trunk_options=trunk_options)
    inputs = images()
    logits, maps = model.localise(inputs)
    side = 8 if trunk == "tiny" else 2
    assert logits.shape == (2, 5)
    assert maps.shape == (2, 5, side, side)
    assert torch.equal(model(inputs), logits)
    torch.testing.assert_close(logits, maps.mean((2, 3)), rtol=1e-5, atol=1e-5)
    pooled = model.trunk(inputs).mean((2, 3))
    linear = F.linear(pooled, model.head.weight[:, :, 0, 0], model.head.bias)
    torch.testing.assert_close(logits, linear, rtol=1e-5, atol=1e-5)
    assert maps.std((2, 3)).min() > 0


@torch.no_grad()
def test_a_map_may_be_without_the_bias() -> None:
    usual, bare = build(), build(options={"bias_in_map": False})
    for model in (usual, bare):
        model.head.bias.copy_(torch.linspace(-2, 3, 5))
    logits, maps = usual.localise(images())
    same, without = bare.localise(images())
    assert torch.equal(logits, same)
    shift = usual.head.bias.view(1, -1, 1, 1).expand_as(maps)
    torch.testing.assert_close(maps - without, shift, rtol=0, atol=1e-5)
    boosted = build(options={"bias_in_map": False}, boost=5.0)
    torch.testing.assert_close(
        *(f.mean((2, 3)) if f.ndim == 4 else f for f in boosted.localise(images()))
    )


def test_the_bias_is_part_of_the_map() -> None:
    model = build()
    with torch.no_grad():
        before = model.localise(images())
        model.head.bias += 3
        after = model.localise(images())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one + 3)


def test_a_boosted_map_counts_what_speaks_for_a_class_more() -> None:
    plain, boosted = build(), build(boost=5.0)
    boosted.load_state_dict(plain.state_dict())
    with torch.no_grad():
        _, maps = plain.localise(images())
        logits, boosted_maps = boosted.localise(images())
        assert torch.equal(boosted(images()), logits)
    assert (maps < 0).any() and (maps > 0).any()
    torch.testing.assert_close(boosted_maps, torch.where(maps > 0, 5 * maps, maps))
    torch.testing.assert_close(logits, boosted_maps.mean((2, 3)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("boost_at", "training", "evaluation"),
    [("both", True, True), ("training", True, False), ("evaluation", False, True)],
)
@torch.no_grad()
def test_maps_are_boosted_when_they_should_be(
    boost_at: str, training: bool, evaluation: bool
) -> None:
    plain, boosted = build(), build(boost=5.0, options={"boost_at": boost_at})
    boosted.load_state_dict(plain.state_dict())
    features = plain.trunk(images())
    for mode, expected in ((True, training), (False, evaluation)):
        logits, maps = boosted.train(mode).localise_from(features)
        unmoved = torch.equal(maps, plain.localise_from(features)[1])
        assert unmoved != expected
        assert torch.equal(logits, plain.logits_from(features)) != expected


def test_a_moment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        UsageError, match="boost_at' must be one of 'both', 'training', 'evaluation', not 'never'"
    ):
        build(boost=5.0, options={"boost_at": "never"})


@torch.no_grad()
def test_a_network_with_a_pooled_linear_layer_is_the_same_model() -> None:
    """What the literature calls a linear head; timm's own classifier is one."""
    model = build("resnet18")
    network = timm.create_model("resnet18", num_classes=len(CLASSES)).eval()
    weights = {**model.trunk.network.state_dict(), "fc.bias": model.head.bias}
    network.load_state_dict({**weights, "fc.weight": model.head.weight.flatten(1)})
    logits, maps = model.localise(images())
    torch.testing.assert_close(logits, network(images()), rtol=1e-4, atol=1e-4)
    # The map of such a layer is without the bias, which moves every place alike.
    features = network.forward_features(images())
    bare = torch.einsum("cd,bdhw->bchw", network.fc.weight, features)
    moved = bare + network.fc.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(maps, moved, rtol=1e-4, atol=1e-4)


def test_the_boost_worked_by_hand() -> None:
    class Given(torch.nn.Module):
        channels = 2

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = [[[1.0, -2.0], [0.5, -0.1]], [[-1.0, -1.0], [2.0, -3.0]]]
            return torch.tensor([maps])

    model = CamModel(Given(), Purpose(("bird", "boat"), 2), boost=5.0)
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(2)[..., None, None])
        model.head.bias.zero_()
    # (5 - 2 + 2.5 - 0.1) / 4 and (-1 - 1 + 10 - 3) / 4.
    torch.testing.assert_close(model(torch.zeros(1, 3, 2, 2)), torch.tensor([[1.35, 1.25]]))


def test_every_class_of_an_image_has_an_embedding_of_its_own() -> None:
    model = build(embedding_dim=6)
    with torch.no_grad():
        logits, embeddings = model.embed(images())
        assert torch.equal(model(images()), logits)
    assert embeddings.shape == (2, 5, 6)
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(2, 5))
    assert embeddings.std(1).min() > 0


def test_under_half_precision_logits_are_computed_in_full() -> None:
    model = build()
    inputs = images()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features = model.trunk(inputs)
        logits, _ = model.localise(inputs)
        assert torch.equal(model(inputs), logits)
    assert features.dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    expected = F.linear(
        features.float().mean((2, 3)), model.head.weight.flatten(1), model.head.bias
    )
    assert torch.equal(logits, expected)


def test_parts_have_their_own_parameters() -> None:
    model = build()
    groups = model.param_groups()
    assert {id(p) for p in groups["head"]} == {id(p) for p in model.head.parameters()}
    assert {id(p) for p in groups["trunk"]} == {id(p) for p in model.trunk.parameters()}


@pytest.mark.parametrize("given", [False, True])
def test_pixels_are_normalised_as_the_trunk_expects(given: bool) -> None:
    mean, std = ((0.1, 0.2, 0.3), (0.5, 0.25, 0.2)) if given else (IMAGENET_MEAN, IMAGENET_STD)
    model = build(mean=mean, std=std) if given else build()
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    # Worked by hand: (0, 0.2, 1) minus the mean, over the standard deviation.
    expected = [
        (value - centre) / spread
        for value, centre, spread in zip((0.0, 0.2, 1.0), mean, std, strict=True)
    ]
    read = model.normalise(pixels).flatten()
    torch.testing.assert_close(read, torch.tensor(expected))
    torch.testing.assert_close(model.normalise(pixels / 255).flatten(), read)
    assert not {"mean", "std"} & set(model.state_dict())
