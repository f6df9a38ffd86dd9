"""All views in one go: as if each had been read alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.models.wrappers import FusedViews, can_fuse_views
from tacit.types import Annotations, Batch, Clock, Step

CLASSES = ("boat", "car", "fish")
pytestmark = pytest.mark.digits


def learner_of(method: str, trunk: str, **options: Any) -> Learner:
    torch.manual_seed(0)
    model = build_model(classes=CLASSES, size=32, trunk=trunk, **options)
    built = build_method(method)
    built.setup(Annotations(labels_of(4), CLASSES))
    return Learner(model, built).double().train()


def labels_of(rows: int) -> torch.Tensor:
    labels = torch.zeros(rows, len(CLASSES), dtype=torch.int8)
    labels[torch.arange(rows), torch.arange(rows) % len(CLASSES)] = 1
    return labels


def batch_of(views: tuple[str, ...], seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn(len(views), 4, 3, 32, 32, generator=generator, dtype=torch.float64)
    return Batch(torch.arange(4), labels_of(4), dict(zip(views, pictures, strict=True)))


def descend(learner: Learner, steps: int) -> list[Step]:
    optimiser = torch.optim.SGD(learner.parameters(), 0.05)
    taken = []
    for number in range(steps):
        taken.append(learner(batch_of(("weak", "strong"), number), Clock(4 + number, 10)))
        optimiser.zero_grad()
        taken[-1].loss.backward()
        optimiser.step()
    return taken


# Batch statistics of four pictures make rounding a hundred times larger with every step, in deep
# networks more than in others.
@pytest.mark.parametrize(
    ("trunk", "steps"),
    [("tiny", 3), ("resnet10t", 3), ("efficientnet_b0", 1), ("convnext_atto", 3)],
)
def test_steps_equal_those_over_views_read_apart(trunk: str, steps: int) -> None:
    apart = learner_of("ignore", trunk)
    for layer in apart.modules():  # what draws random numbers draws others for other batches
        if type(layer).__name__ in {"Dropout", "DropPath"}:
            layer.eval()
    fused = copy.deepcopy(apart)
    fused.fuse_views = True
    first, second = descend(apart, steps), descend(fused, steps)
    for one, two in zip(first, second, strict=True):
        assert torch.allclose(one.loss, two.loss, rtol=1e-12)
        assert torch.equal(one.suspects, two.suspects)
    expected = apart.state_dict()
    for name, value in fused.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-11), name


@pytest.mark.parametrize("verb", ["forward", "localise", "embed"])
def test_a_trunk_reads_once_for_all_views(verb: str) -> None:
    model = learner_of("ignore", "tiny", embedding_dim=8).model
    read: list[int] = []
    model.get_submodule("trunk").register_forward_hook(lambda *told: read.append(len(told[2])))
    batch = batch_of(("weak", "strong"), 0)
    fused: Any = FusedViews(model, batch.views)
    ask = fused if verb == "forward" else getattr(fused, verb)
    ask(batch["weak"]), ask(batch["strong"])
    assert read == [8]
    ask(batch["weak"])  # a second time is another pass
    with torch.no_grad():
        ask(batch["strong"])
    assert read == [8, 4, 4]


def test_what_is_read_without_a_graph_or_at_rest_is_read_alone() -> None:
    model = learner_of("ignore", "tiny").model
    batch = batch_of(("weak", "strong"), 0)
    fused = FusedViews(model, batch.views)
    with torch.no_grad():
        assert fused(batch["weak"]).grad_fn is None
    model.eval()
    assert torch.equal(fused(batch["weak"]), model(batch["weak"]))
    model.train()
    assert len(fused.views) == 2
    other = batch["weak"].clone()  # pictures of a method's own making
    fused(other)
    assert len(fused.views) == 2


def test_layers_that_look_at_other_pictures_in_their_own_way_are_noticed() -> None:
    model = learner_of("ignore", "tiny").model
    assert can_fuse_views(model)
    norm = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    norm.momentum = None
    assert not can_fuse_views(model)
    norm.momentum = 0.1
    trunk = model.get_submodule("trunk")
    trunk.add_module("synced", nn.SyncBatchNorm(3))
    assert not can_fuse_views(model)
    del trunk.synced
    strange = nn.Identity()
    strange.register_buffer("running_var", torch.ones(3))
    trunk.add_module("strange", strange)
    assert not can_fuse_views(model)
    assert not can_fuse_views(nn.Linear(2, 2))


def test_a_method_with_one_view_is_left_alone() -> None:
    learner = learner_of("an", "tiny")
    learner.fuse_views = True
    seen: list[nn.Module] = []
    learner.method.step = lambda model, batch, clock: seen.append(model)  # type: ignore[method-assign, assignment, return-value]
    learner(batch_of(("weak",), 0), Clock(1, 4))
    assert seen == [learner.model]
