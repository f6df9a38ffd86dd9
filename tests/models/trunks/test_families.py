"""The table of families: each is built, and gives the map it says for the sizes it says."""

from __future__ import annotations

from math import lcm
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.errors import UsageError
from tacit.models import FAMILIES, build_model
from tacit.models.trunks.layouts import looking, make_black_image

CLASSES = ("bird", "boat", "car")
# Large families, made small: what is tested is the layout.
REDUCED = {"depth": 2, "embed_dim": 48, "num_heads": 3}
OPTIONS: dict[str, dict[str, Any]] = {
    "vit_base_patch32_clip_224": REDUCED,
    "vit_base_patch16_siglip_224": REDUCED,
    "vit_small_patch14_dinov2": REDUCED,
    "vit_small_patch14_reg4_dinov2": REDUCED,
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 2, 1), "embed_dim": 24},
    "swinv2_tiny_window8_256": {"depths": (1, 1, 2, 1), "embed_dim": 24},
}
# How many tokens are not of places: class tokens, distillation tokens, registers.
PREFIXES = {
    "vit_tiny_patch16_224": 1,
    "deit_tiny_distilled_patch16_224": 2,
    "eva02_tiny_patch14_224": 1,
    "vit_small_patch14_dinov2": 1,
    "vit_small_patch14_reg4_dinov2": 5,
    "vit_tiny_patch16_dinov3_qkvb": 5,
    "vit_base_patch32_clip_224": 1,
    "vit_base_patch16_siglip_224": 0,
}

every_family = pytest.mark.parametrize("trunk", FAMILIES)


def side_of(trunk: str) -> int:
    """Return the first size beyond 60 pixels that fills whole places of the map."""
    unit = lcm(FAMILIES[trunk].stride, FAMILIES[trunk].step)
    return -(-60 // unit) * unit


def build(trunk: str, size: int) -> Any:
    torch.manual_seed(0)
    return build_model(
        classes=CLASSES, size=size, trunk=trunk, trunk_options=OPTIONS.get(trunk, {})
    ).eval()


def images(side: int, width: int | None = None) -> Tensor:
    return torch.randn(1, 3, side, width or side, generator=torch.Generator().manual_seed(1))


@every_family
@torch.no_grad()
def test_every_family_gives_the_map_and_takes_the_sizes_of_its_row(trunk: str) -> None:
    row, side = FAMILIES[trunk], side_of(trunk)
    model = build(trunk, side)
    logits, maps = model.localise(images(side))
    places = side // row.stride
    assert maps.shape == (1, 3, places, places) and maps.std() > 0
    assert torch.equal(model(images(side)), logits)
    if row.others == "none":
        with pytest.raises(UsageError, match=f"does not take {2 * side} x .*; it takes {side}\\."):
            model(images(2 * side))
    else:  # as a model trained at 224 pixels is read at 448
        assert model.localise(images(2 * side))[1].shape == (1, 3, 2 * places, 2 * places)
    if row.others == "all of these":
        beyond = lcm(row.stride, row.step) + side
        assert model.localise(images(side, beyond))[1].shape[2] == places
        assert model.localise(images(beyond))[1].shape[2:] == (beyond // row.stride,) * 2
    if row.step == 1 and trunk != "tiny":
        assert build(trunk, side + 1)(images(side + 1)).isfinite().all()


@pytest.mark.parametrize("trunk", [name for name, row in FAMILIES.items() if row.step > 1])
def test_a_size_that_cannot_be_divided_is_refused_with_two_that_can(trunk: str) -> None:
    step, side = FAMILIES[trunk].step, side_of(trunk)
    with pytest.raises(UsageError, match=f"'{trunk}' does not take .* {side + 1} pixels") as caught:
        build(trunk, side + 1)
    advised = [int(word.strip(",")) for word in str(caught.value).split(": it takes ")[1].split()
               if word.strip(",").isdigit()]  # fmt: skip
    assert len(advised) == 2 and all(size % step == 0 for size in advised)
    for size in advised:
        assert build(trunk, size)(images(size)).shape == (1, 3)


@every_family
def test_every_parameter_has_a_say_in_the_map(trunk: str) -> None:
    model = build(trunk, side_of(trunk))
    for parameter in model.parameters():  # scales of residual branches may begin at 0
        torch.nn.init.normal_(parameter, std=0.1)
    model.train()
    model(torch.cat([images(side_of(trunk))] * 2)).square().sum().backward()
    unread = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not unread


@pytest.mark.parametrize(("trunk", "prefix"), PREFIXES.items())
@torch.no_grad()
def test_places_are_told_from_other_tokens(trunk: str, prefix: int) -> None:
    side = side_of(trunk)
    network = build(trunk, side).trunk.network
    tokens = network.forward_features(images(side))
    read = build(trunk, side).trunk(images(side))
    assert tokens.shape[1] == prefix + read.shape[2] * read.shape[3]
    torch.testing.assert_close(read.flatten(2).transpose(1, 2), tokens[:, prefix:])


@pytest.mark.parametrize("trunk", [*PREFIXES, "swin_tiny_patch4_window7_224", "resnet18"])
@torch.no_grad()
def test_a_place_of_the_map_lies_where_it_lies_in_the_image(trunk: str) -> None:
    """Rows and columns are not exchanged: change one corner, and see where features change most."""
    side = side_of(trunk) * 2
    model, image = build(trunk, side), torch.zeros(1, 3, side, side)
    changed = image.clone()
    changed[:, :, : side // 4, -side // 4 :] = torch.randn(3, side // 4, side // 4)
    moved = (model.trunk(changed) - model.trunk(image)).square().sum(1)[0]
    row, column = divmod(int(moved.argmax()), moved.shape[1])
    assert row < moved.shape[0] / 2 <= column


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_trunk_has_the_same_parts_wherever_it_is_built(mode: Any) -> None:
    expected = build("convnext_atto", 64).state_dict()
    assert not any(name.startswith("trunk.network.head") for name in expected)  # behind a pooling
    with mode():
        assert build("convnext_atto", 64).state_dict().keys() == expected.keys()


def test_the_documentation_has_the_same_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "trunks.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 6]
    assert shown == [
        f"| `{trunk}` | {row.title} | {row.maps} | {row.stride} | {row.sizes} |"
        for trunk, row in FAMILIES.items()
    ]


def test_a_look_leaves_no_traces() -> None:
    network = build("resnet18", 64).trunk.network.train()
    network.layer1.eval()  # as a frozen part is
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with looking(network):
        assert not any(module.training for module in network.modules())
        network(make_black_image(network, 64, 64))
    assert torch.equal(torch.rand(3), expected)
    assert network.training and network.layer2.training and not network.layer1[0].bn1.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_error_that_is_not_about_the_size_is_not_called_one() -> None:
    model = build("vit_tiny_patch16_224", 64)
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.zeros(1, 4, 128, 128))
