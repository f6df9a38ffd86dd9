"""What every model promises, on trunks of several kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.errors import UsageError
from tacit.models import MODELS, build_model
from tacit.models.artefact import load_model, save_model
from tacit.models.base import Model, Purpose

CLASSES = ("bird", "boat", "car", "fish", "tree")
TRUNKS = {"tiny": (24, 3), "resnet18": (64, 2), "mobilenetv2_050": (64, 2)}  # side, side of maps

SMALL = {"width": 32, "heads": 2, "feedforward": 48}
HEADS: dict[str, dict[str, Any]] = {
    "cam": {},
    "cam boosted": {"boost": 5.0},
    "query2label": {"options": {**SMALL, "cam_layer": "mean"}},
    "query2label dropping": {"options": {**SMALL, "cam_dropout": True, "encoder_layers": 2}},
    "ml_decoder": {"options": {**SMALL, "groups": 2}},
    "ml_decoder learning": {"options": {**SMALL, "learn_queries": True}},
}

every_model = pytest.mark.parametrize("head", HEADS)
every_trunk = pytest.mark.parametrize("trunk", TRUNKS)


def build(head: str, trunk: str = "tiny", embedding_dim: int = 6) -> Model:
    torch.manual_seed(0)
    return build_model(
        head.split()[0],
        classes=CLASSES,
        size=TRUNKS[trunk][0],
        trunk=trunk,
        embedding_dim=embedding_dim,
        **HEADS[head],
    ).eval()


def images(model: Model, count: int = 3, times: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    side = model.size * times
    return torch.randn(count, 3, side, side, generator=generator)


def test_every_model_is_under_contract() -> None:
    assert {head.split()[0] for head in HEADS} == set(MODELS)


@every_model
@every_trunk
@torch.no_grad()
def test_three_verbs_give_the_same_logits(head: str, trunk: str) -> None:
    model = build(head, trunk)
    inputs, side = images(model), TRUNKS[trunk][1]
    logits = model(inputs)
    again, maps = model.localise(inputs)
    third, embeddings = model.embed(inputs)
    assert torch.equal(logits, again) and torch.equal(logits, third)
    assert logits.shape == (3, 5) and logits.isfinite().all()
    assert maps.shape == (3, 5, side, side) and maps.isfinite().all()
    assert maps.std((2, 3)).min() > 0
    assert embeddings.shape == (3, 5, 6)
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(3, 5))
    assert embeddings.std(1).min() > 0  # every class has one of its own


@every_model
@torch.no_grad()
def test_verbs_may_start_from_features_that_were_kept(head: str) -> None:
    model = build(head, "resnet18")
    inputs = images(model)
    features = model.trunk(inputs)
    assert features.shape == (3, 512, 2, 2)
    assert torch.equal(model.logits_from(features), model(inputs))
    for verb in ("localise", "embed"):
        kept, whole = getattr(model, f"{verb}_from")(features), getattr(model, verb)(inputs)
        assert all(torch.equal(one, other) for one, other in zip(kept, whole, strict=True))


@every_model
@every_trunk
def test_the_gradient_reaches_every_parameter(head: str, trunk: str) -> None:
    model = build(head, trunk).train()
    for name, parameter in model.named_parameters():
        if name.endswith("bn2.weight"):  # residual networks begin with branches of weight zero
            torch.nn.init.ones_(parameter)
    logits, embeddings = model.embed(images(model))
    weights = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(2))
    (logits.square().sum() + (embeddings * weights).sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


@every_model
@every_trunk
@torch.no_grad()
def test_under_half_precision_logits_stay_in_single(head: str, trunk: str) -> None:
    model = build(head, trunk)
    inputs = images(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.trunk(inputs).dtype == torch.bfloat16
        logits, (also, maps), (third, embeddings) = (
            model(inputs),
            model.localise(inputs),
            model.embed(inputs),
        )
    assert torch.equal(logits, also) and torch.equal(logits, third)
    assert logits.dtype == embeddings.dtype == torch.float32
    assert logits.unique().numel() == logits.numel()  # nothing has been rounded to a tie
    spread = max(model(inputs).std().item(), 0.05)
    torch.testing.assert_close(logits, model(inputs), rtol=0, atol=0.2 * spread)
    assert maps.isfinite().all()


@every_model
@every_trunk
@torch.no_grad()
def test_images_may_be_twice_the_size_or_no_square(head: str, trunk: str) -> None:
    model, side = build(head, trunk), TRUNKS[trunk][1]
    inputs = images(model, times=2)
    logits, maps = model.localise(inputs)
    assert torch.equal(model(inputs), logits)
    assert maps.shape == (3, 5, 2 * side, 2 * side)
    wide = model.localise(inputs[:, :, : model.size])[1]
    assert wide.shape == (3, 5, side, 2 * side)
    again = model(images(model))  # and the usual size is as before
    assert torch.equal(again, build(head, trunk)(images(model)))


@every_model
@torch.no_grad()
def test_an_image_does_not_depend_on_its_neighbours(head: str) -> None:
    model = build(head)
    inputs = images(model)
    together = (*model.localise(inputs), model.embed(inputs)[1])
    alone = [
        (*model.localise(inputs[i : i + 1]), model.embed(inputs[i : i + 1])[1]) for i in (2, 0)
    ]
    for position, output in zip((2, 0), alone, strict=True):
        for one, other in zip(output, together, strict=True):
            torch.testing.assert_close(one[0], other[position], rtol=1e-4, atol=1e-5)


@every_model
def test_parts_have_every_parameter_once(head: str) -> None:
    model = build(head)
    groups = model.param_groups()
    assert set(groups) >= {"trunk", "head"}
    listed = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
    assert {id(p) for p in groups["trunk"]} == {id(p) for p in model.trunk.parameters()}


@every_model
def test_without_a_length_there_are_no_embeddings(head: str) -> None:
    model = build(head, embedding_dim=0)
    message = "no embeddings; set model.embedding_dim"
    with pytest.raises(UsageError, match=message):
        model.embed(images(model))
    with pytest.raises(UsageError, match=message):
        model.embed_from(torch.zeros(1, 128, 3, 3))
    assert not any(name.startswith("projection") for name in model.state_dict())


@every_model
@torch.no_grad()
def test_a_model_comes_back_bit_for_bit(head: str, tmp_path: Path) -> None:
    model = build(head)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():  # nothing is left as a fresh model has it
            tensor.add_(0.01 * torch.rand_like(tensor))
    save_model(model, tmp_path)
    torch.manual_seed(99)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model) and loaded.recipe["options"] == model.recipe["options"]
    inputs = images(model)
    for verb in ("localise", "embed"):
        for one, other in zip(getattr(model, verb)(inputs), getattr(loaded, verb)(inputs)):  # noqa: B905
            assert torch.equal(one, other)


@every_model
@torch.no_grad()
def test_double_precision_stays_double(head: str) -> None:
    model = build(head).double()
    inputs = images(model).double()
    assert model(inputs).dtype == torch.float64
    torch.testing.assert_close(model(inputs).float(), build(head)(inputs.float()))


def test_a_model_of_ones_own_says_what_it_cannot_do() -> None:
    bare = Model(torch.nn.Identity(), Purpose(CLASSES, 8))
    for verb in ("logits", "localise", "describe"):
        with pytest.raises(TypeError, match=f"Model .*define `{verb}_from`"):
            getattr(bare, f"{verb}_from")(torch.zeros(1, 3, 8, 8))


def test_a_model_of_ones_own_can_be_built_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Model):
        def __init__(self, *given: Any, depth: int = 3) -> None:
            super().__init__(*given)
            self.depth = depth

    monkeypatch.setitem(MODELS, "mine", Mine)
    model: Any = build_model("mine", classes=CLASSES, size=8, trunk="tiny", options={"depth": 4})
    assert (type(model), model.depth) == (Mine, 4)
    with pytest.raises(UsageError, match="no option of model 'mine' called 'dpth'"):
        build_model("mine", classes=CLASSES, size=8, trunk="tiny", options={"dpth": 4})
