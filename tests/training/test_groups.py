"""Groups of the optimiser: rates by layer, what decays, and what stands still, by name."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from tacit.config import Phase
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods.base import Method
from tacit.models import build_model
from tacit.training.optim import build_optimiser, freeze_parameters, list_frozen

TRUNKS = ["test_resnet", "test_vit", "test_convnext", "regnetx_002", "mobilenetv2_050"]


def make_learner(trunk: str = "test_resnet", **options: Any) -> Learner:
    classes = ("sun", "moon", "star")
    return Learner(build_model(classes=classes, size=32, trunk=trunk, **options), Method())


def settings(learner: Learner, phase: Phase) -> dict[str, tuple[float, float]]:
    """Return rate and weight decay by the name of the parameter."""
    names = {id(parameter): name for name, parameter in learner.model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in build_optimiser(learner, phase).param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("trunk", TRUNKS)
def test_rates_and_decay_are_those_of_timm(trunk: str) -> None:
    """timm's network has a classifier, which is the last layer there; here it is the head."""
    network = timm.create_model(trunk, num_classes=3)
    listed = param_groups_layer_decay(
        network, 0.25, no_weight_decay_list=network.no_weight_decay()
        if hasattr(network, "no_weight_decay") else (), layer_decay=0.5
    )  # fmt: skip
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    expected = {
        f"trunk.network.{names[id(parameter)]}": (group["lr_scale"], group["weight_decay"])
        for group in listed
        for parameter in group["params"]
    }
    phase = Phase(lr=1.0, layer_decay=0.5, weight_decay=0.25, decay_norms=False)
    found = settings(make_learner(trunk), phase)
    head = {name: found.pop(name) for name in ("head.weight", "head.bias")}
    assert head == {"head.weight": (1.0, 0.25), "head.bias": (1.0, 0.0)}
    assert len({rate for rate, _ in found.values()}) > 3
    for name, (rate, decay) in found.items():
        assert (rate, decay) == (pytest.approx(expected[name][0]), expected[name][1]), name


def test_without_a_decay_over_layers_groups_are_the_parts() -> None:
    learner = make_learner()
    groups = build_optimiser(learner, Phase(lr=1e-3, head_lr=10.0)).param_groups
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("trunk", pytest.approx(1e-3)),
        ("head", pytest.approx(1e-2)),
    ]


def test_the_heads_factor_and_the_decay_over_layers_do_not_meet() -> None:
    found = settings(make_learner("tiny"), Phase(lr=1.0, head_lr=10.0, layer_decay=0.5))
    assert found["head.weight"][0] == 10
    rates = [found[f"trunk.layers.{number}.0.weight"][0] for number in range(5)]
    assert rates == [0.5**5, 0.5**4, 0.5**3, 0.5**2, 0.5]


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_norms_and_biases_may_be_spared(optimiser: str) -> None:
    phase = Phase(optimiser=optimiser, weight_decay=0.5, decay_norms=False)
    learner = make_learner("test_vit")
    found = settings(learner, phase)
    spared = {name for name, (_, decay) in found.items() if decay == 0}
    one = {name for name, p in learner.model.named_parameters() if p.ndim <= 1}
    others = spared - one
    assert one <= spared and "trunk.network.pos_embed" in others
    assert all(name.endswith(("pos_embed", "token")) for name in others)
    everything = settings(learner, phase.model_copy(update={"decay_norms": True}))
    assert {decay for _, decay in everything.values()} == {0.5}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_parameter_learns_in_one_group_alone(trunk: str) -> None:
    learner = make_learner(trunk)
    optimiser = build_optimiser(learner, Phase(layer_decay=0.75, decay_norms=False))
    listed = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in learner.parameters())
    names = [group["name"] for group in optimiser.param_groups]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("trunk", "name", "prefixes"),
    [
        ("resnet18", "trunk.stem", ("conv1.", "bn1.")),
        ("resnet18", "trunk.stage1", ("layer1.",)),
        ("resnet18", "trunk.stage4", ("layer4.",)),
        ("test_vit", "trunk.stem", ("cls_token", "pos_embed", "reg_token", "patch_embed.")),
        ("test_vit", "trunk.stage2", ("blocks.1.",)),
        ("test_convnext", "trunk.stage1", ("stages.0.",)),
    ],
)
def test_stages_are_frozen_by_number(trunk: str, name: str, prefixes: tuple[str, ...]) -> None:
    learner = make_learner(trunk)
    freeze_parameters(learner, Phase(freeze=(name,)))
    network: Any = learner.model.trunk
    frozen = {name for name, p in network.network.named_parameters() if not p.requires_grad}
    expected = {n for n, _ in network.network.named_parameters() if n.startswith(prefixes)}
    assert frozen == expected and frozen


def test_in_a_frozen_stage_batch_statistics_stand_still() -> None:
    learner = make_learner("resnet18").train()
    for part in list_frozen(learner, Phase(freeze=("trunk.stem", "trunk.stage1"))):
        part.eval()
    network: Any = learner.model.trunk.network  # type: ignore[union-attr]
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.forward_features(torch.randn(4, 3, 64, 64))
    moved = {
        name for name, value in network.named_buffers() if not torch.equal(value, before[name])
    }
    assert moved and not any(name.startswith(("bn1.", "layer1.")) for name in moved)
    assert {name.split(".")[0] for name in moved} == {"layer2", "layer3", "layer4"}


def test_statistics_alone_may_stand_still() -> None:
    learner = make_learner("resnet18").train()
    phase = Phase(freeze=("batch_norm",))
    parts = list_frozen(learner, phase)
    assert len(parts) == 20 and all(isinstance(part, nn.BatchNorm2d) for part in parts)
    for part in parts:
        part.eval()
    freeze_parameters(learner, phase)
    assert all(parameter.requires_grad for parameter in learner.parameters())
    before = {name: value.clone() for name, value in learner.model.named_buffers()}
    learner.model(torch.randn(4, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in learner.model.named_buffers())


def test_batch_normalisation_may_be_constant() -> None:
    learner = make_learner("resnet18").train()
    phase = Phase(freeze=("batch_norm", "batch_norm_affine"))
    for part in list_frozen(learner, phase):
        part.eval()
    build_optimiser(learner, phase)
    still = {name for name, p in learner.named_parameters() if not p.requires_grad}
    norms = [n for n, part in learner.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert still == {f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias")}
    assert len(still) == 40
    # The one without the other leaves statistics as they always were.
    assert not list_frozen(learner, Phase(freeze=("batch_norm_affine",)))


def test_the_projection_is_frozen_where_there_is_one() -> None:
    learner = make_learner("tiny", embedding_dim=4)
    freeze_parameters(learner, Phase(freeze=("projection",)))
    still = {name for name, p in learner.model.named_parameters() if not p.requires_grad}
    assert still and all(name.startswith("projection.") for name in still)
    with pytest.raises(UsageError, match="no part 'projection' to freeze; it has: trunk, head"):
        build_optimiser(make_learner("tiny"), Phase(freeze=("projection",)))


@pytest.mark.parametrize(
    ("trunk", "name", "problem"),
    [
        ("resnet18", "trunk.stage5", "no stage 5 .*trunk.stem and trunk.stage1 to trunk.stage4"),
        ("resnet18", "trunk.stage0", "no part 'trunk.stage0'"),
        ("resnet18", "", "no part ''"),
        ("metaformer", "trunk.stage1", "does not say how deep its layers lie"),
    ],
)
def test_what_cannot_be_frozen_is_named(trunk: str, name: str, problem: str) -> None:
    learner = make_learner("poolformer_s12" if trunk == "metaformer" else trunk)
    with pytest.raises(UsageError, match=problem):
        build_optimiser(learner, Phase(freeze=(name,)))


def test_a_trunk_that_does_not_say_how_deep_its_layers_lie_has_no_decay_over_them() -> None:
    learner = make_learner("poolformer_s12")
    with pytest.raises(UsageError, match="'poolformer_s12' does not say how deep its layers lie"):
        build_optimiser(learner, Phase(layer_decay=0.9))
    build_optimiser(learner, Phase())
