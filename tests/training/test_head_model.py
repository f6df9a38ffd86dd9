"""What may be asked of stored features, and that a step on them is a step on images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tacit.config import Config
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, hyperparameters, method_class
from tacit.models import MODELS, build_model
from tacit.models.wrappers import HeadModel
from tacit.training import run
from tacit.training.trainer import Trainer
from tacit.types import Annotations, Batch, Clock, Step

Configure = Callable[..., Config]
MakeTrainer = Callable[..., Trainer]

CLASSES = ("bird", "boat", "car", "fish", "tree")


def frozen(kind: str) -> list[dict[str, Any]]:
    return [{"epochs": 1, "batch": 16, "freeze": ["trunk"], "features": kind}]


class TestRefusals:
    def complaint(self, config: Config) -> str:
        with pytest.raises(UsageError) as caught:
            run.complete(config)
        return str(caught.value)

    def test_the_trunk_must_stand_still(self, configure: Configure) -> None:
        config = configure(phases=[{"epochs": 1}, {"freeze": ["head"], "features": "pooled"}])
        assert self.complaint(config) == (
            'phases.1.features = "pooled" computes the trunk\'s features once, but there the trunk '
            'goes on learning; add "trunk" to phases.1.freeze.'
        )

    @pytest.mark.parametrize("name", ["ignore", "calr"])
    def test_images_of_the_methods_own_making_have_no_features(
        self, configure: Configure, name: str
    ) -> None:
        config = configure(f"method.name={name}", phases=frozen("maps"))
        assert self.complaint(config) == (
            f"Method '{name}' shows the model images of its own making, of which no features can "
            f'be stored; set phases.0.features = "fresh", or take --preset best, which stores none.'
        )

    def test_mixtures_have_no_features(self, configure: Configure) -> None:
        config = configure("data.mix=logicmix", phases=frozen("maps"))
        assert self.complaint(config) == (
            'phases.0.features = "maps" stores features of single images, and none of mixtures; '
            'set data.mix = "none".'
        )

    def test_a_head_that_reads_maps_refuses_pooled_features(
        self, make_trainer: MakeTrainer
    ) -> None:
        trainer = make_trainer("model.boost=5.0", phases=frozen("pooled"))
        with pytest.raises(UsageError, match=r"reads whole maps.*set phases\.features = \"maps\""):
            trainer.fit()

    def test_a_method_that_asks_where_classes_are_refuses_pooled_features(
        self, make_trainer: MakeTrainer
    ) -> None:
        settings = ("method.name=plc_lac", "model.embedding_dim=128")
        with pytest.raises(
            UsageError, match=r"asks where classes are.*phases\.features = \"maps\""
        ):
            make_trainer(*settings, phases=frozen("pooled")).fit()


def head_and_whole(name: str) -> tuple[Any, HeadModel]:
    torch.manual_seed(0)
    options = {"options": {"width": 16}} if name != "cam" else {}
    model = build_model(
        name, classes=CLASSES, size=24, trunk="tiny", embedding_dim=128, **options
    ).eval()
    return model, HeadModel(model, pooled=False)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_verb_of_every_model_begins_with_the_features(name: str) -> None:
    model, head = head_and_whole(name)
    images = torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    features = model.trunk(images)
    assert torch.equal(head(features), model(images))
    for verb in ("localise", "embed"):
        found, expected = getattr(head, verb)(features), getattr(model, verb)(images)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert head.normalise(features) is features
    assert not head.training


SHARES = torch.rand(6, 5, generator=torch.Generator().manual_seed(9)).mul(4).softmax(1)
STEPPING = sorted(name for name in METHODS if not method_class(name).makes_images)


@pytest.mark.parametrize("name", STEPPING)
def test_every_method_without_images_of_its_own_takes_the_same_step(name: str) -> None:
    labels = torch.tensor([[1, 0, 0, 0, 0], [0, 1, -1, 0, 1], [0, 0, 0, 0, 0]] * 2).to(torch.int8)
    if method_class(name).labels != "observed":
        labels = torch.where(labels == 1, 1, -1).to(torch.int8)
    images = torch.randn(6, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    terms = []
    for stored in (False, True):
        model, head = head_and_whole("cam")
        model.train().trunk.eval().requires_grad_(False)
        torch.manual_seed(1)
        needed = {"scores": SHARES} if "scores" in hyperparameters(name) else {}
        method = build_method(name, **needed)
        method.setup(Annotations(labels, CLASSES))
        shown = model.trunk(images) if stored else images
        batch = Batch(torch.arange(6), labels, dict.fromkeys(method.views, shown))
        learner = Learner(head if stored else model, method)
        step: Step = learner(batch, Clock(6, 10, phase=1))
        step.loss.backward()
        gradients = [p.grad for p in learner.parameters() if p.grad is not None]
        terms.append(([*step.terms.values()], gradients))
    for fresh, again in zip(*terms, strict=True):
        assert fresh
        assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(fresh, again, strict=True))
