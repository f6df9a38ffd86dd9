"""What every method promises, whatever it does: one table over all names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from support.methods import labels_for, needed_options
from tacit.config import LabelKind
from tacit.errors import UsageError
from tacit.images.views import VIEWS
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, method_class
from tacit.models import build_model
from tacit.types import Annotations, Batch, Clock, Step

CLASSES = ("bird", "boat", "car", "fish", "tree")
SIDES = {"tiny": 24, "mobilenetv2_050": 64}
BATCH = 4
EARLY, LATE = Clock(1, 10), Clock(6, 10, phase=1)

# Unknown rows but for one positive, two positives, negatives, none known, all known.
OBSERVED = torch.tensor(
    [
        [1, 0, 0, 0, 0],
        [0, 1, -1, 0, 1],
        [0, 0, 0, 0, 0],
        [-1, 1, -1, 1, -1],
        [0, 0, 0, 0, 1],
        [0, 0, -1, -1, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
    ],
    dtype=torch.int8,
)

every_method = pytest.mark.parametrize("name", sorted(METHODS))


def build(name: str, trunk: str = "tiny", seed: int = 0) -> Learner:
    torch.manual_seed(seed)
    options = {"size": SIDES[trunk], "trunk": trunk, **method_class(name).model_options}
    model = build_model(classes=CLASSES, **options)
    method = build_method(name, **needed_options(name, *OBSERVED.shape))
    method.setup(Annotations(labels_for(name, OBSERVED), CLASSES))
    return Learner(model, method).train()


def batch_for(learner: Learner, labels: Tensor, rows: range = range(BATCH)) -> Batch:
    generator = torch.Generator().manual_seed(rows.start)
    side = int(learner.model.size)  # type: ignore[arg-type]
    views = {
        view: torch.randn(len(rows), 3, side, side, generator=generator)
        for view in learner.method.views
    }
    return Batch(torch.tensor(rows), labels[rows.start : rows.stop], views)


def take_step(learner: Learner, batch: Batch, clock: Clock, rate: float = 0.01) -> Step:
    """Take one training step by plain gradient descent; gradients are kept."""
    learner.zero_grad()
    step: Step = learner(batch, clock)
    step.loss.backward()
    with torch.no_grad():
        for parameter in learner.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    return step


def predictions() -> Tensor:
    return torch.rand(len(OBSERVED), len(CLASSES), generator=torch.Generator().manual_seed(5))


def train_a_little(learner: Learner, labels: Tensor) -> None:
    """Take three steps in two epochs, with what happens after each of them."""
    take_step(learner, batch_for(learner, labels), EARLY)
    learner.method.end_epoch(EARLY, predictions)
    for first in (4, 2):
        rows = range(first, first + BATCH)
        take_step(learner, batch_for(learner, labels, rows), LATE)
    learner.method.end_epoch(LATE, predictions)


def assert_sound(step: Step, batch: Batch) -> None:
    assert step.terms
    for term in step.terms.values():
        assert term.shape == ()
        assert term.isfinite()
    if step.suspects is not None:
        assert step.suspects.dtype == torch.bool
        assert step.suspects.shape == batch.labels.shape
        assert not step.suspects[batch.labels != 0].any()
    for value in step.evidence.values():
        assert value.shape == batch.labels.shape
        assert not value.requires_grad
    for value in step.readings.values():
        assert value.numel() == 1
        assert not value.requires_grad


@every_method
def test_declarations_make_sense(name: str) -> None:
    method = build(name).method
    assert method.views
    assert len(set(method.views)) == len(method.views)
    assert set(method.views) <= set(VIEWS)
    assert method.labels in get_args(LabelKind)
    assert method.lr_scale > 0


@every_method
@pytest.mark.parametrize("trunk", SIDES)
def test_three_steps_are_finite_and_reach_every_parameter(name: str, trunk: str) -> None:
    learner, labels = build(name, trunk), labels_for(name, OBSERVED)
    reached: set[str] = set()
    for first, clock in ((0, EARLY), (4, LATE), (2, LATE)):
        batch = batch_for(learner, labels, range(first, first + BATCH))
        assert_sound(take_step(learner, batch, clock), batch)
        for parameter_name, parameter in learner.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), parameter_name
                if parameter.grad.any():
                    reached.add(parameter_name)
    assert reached == {n for n, p in learner.named_parameters() if p.requires_grad}


@every_method
def test_training_goes_on_from_a_saved_state(name: str) -> None:
    first, labels = build(name), labels_for(name, OBSERVED)
    train_a_little(first, labels)
    second = build(name, seed=1)
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    batch, losses = batch_for(first, labels), []
    for learner in (first, second):
        torch.manual_seed(7)
        losses.append(take_step(learner, batch, LATE).loss.item())
    assert losses[0] == losses[1]
    assert first.state_dict().keys() == second.state_dict().keys()
    for key, value in first.state_dict().items():
        torch.testing.assert_close(
            second.state_dict()[key], value, rtol=0, atol=0, equal_nan=True, msg=key
        )


@every_method
@pytest.mark.parametrize("clock", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize("row", [2, 0, 1], ids=["nothing known", "one positive", "three states"])
def test_a_batch_may_be_a_single_image(name: str, row: int, clock: Clock) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    batch = batch_for(learner, labels, range(row, row + 1))
    assert_sound(take_step(learner, batch, clock), batch)


@every_method
@pytest.mark.parametrize("state", [-1, 0, 1])
def test_labels_may_be_the_same_everywhere(name: str, state: int) -> None:
    if state == 0 and method_class(name).labels != "observed":
        pytest.skip("a bound may refuse unknown cells")
    learner = build(name)
    batch = batch_for(learner, torch.full_like(labels_for(name, OBSERVED), state))
    for clock in (EARLY, LATE):
        assert_sound(take_step(learner, batch, clock), batch)
    assert all(parameter.isfinite().all() for parameter in learner.parameters())


@every_method
def test_a_step_writes_to_nothing_it_was_given(name: str) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    batch = batch_for(learner, labels)
    before = (batch.index.clone(), batch.labels.clone(), *(v.clone() for v in batch.views.values()))
    modes = [module.training for module in learner.modules()]
    take_step(learner, batch, LATE)
    after = (batch.index, batch.labels, *batch.views.values())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(labels, labels_for(name, OBSERVED))
    assert [module.training for module in learner.modules()] == modes
    assert all(getattr(module, "track_running_stats", True) for module in learner.modules())


@every_method
def test_a_view_that_was_not_declared_is_missed_by_name(name: str) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    batch = batch_for(learner, labels)
    for view in learner.method.views:
        others = {other: images for other, images in batch.views.items() if other != view}
        with pytest.raises(KeyError, match=f"no '{view}' view .*must name every view it reads"):
            learner(Batch(batch.index, batch.labels, others), LATE)


@every_method
def test_half_precision_comes_close(name: str) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    batch = batch_for(learner, labels)
    torch.manual_seed(7)
    full: Step = learner(batch, EARLY)
    again = build(name)
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16):
        half: Step = again(batch, EARLY)
    assert half.terms.keys() == full.terms.keys()
    for term_name, term in full.terms.items():
        assert half.terms[term_name].dtype == torch.float32, term_name
        torch.testing.assert_close(half.terms[term_name], term, rtol=0.02, atol=2e-3)
    half.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in again.parameters())


@every_method
def test_the_loss_falls(name: str) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    batch = batch_for(learner, labels)
    optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        step: Step = learner(batch, EARLY)
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        losses.append(step.loss.item())
    assert losses[-1] < 0.8 * losses[0]


def with_recorded_logits(model: Any) -> list[Tensor]:
    """Collect the logits that a model hands out, with their gradients."""
    recorded: list[Tensor] = []
    inside: list[bool] = []

    def recording(verb: Callable[..., Any]) -> Callable[..., Any]:
        def record(*inputs: Any) -> Any:
            inside.append(True)
            result = verb(*inputs)
            inside.pop()
            logits = result[0] if isinstance(result, tuple) else result
            if logits.requires_grad and not inside:
                logits.retain_grad()
                recorded.append(logits)
            return result

        return record

    for verb in {"forward", "localise", "embed"} & set(dir(model)):
        setattr(model, verb, recording(getattr(model, verb)))
    return recorded


@every_method
def test_known_negatives_are_always_pushed_down(name: str) -> None:
    learner, labels = build(name), labels_for(name, OBSERVED)
    recorded = with_recorded_logits(learner.model)
    for clock in (EARLY, LATE):
        recorded.clear()
        batch = batch_for(learner, labels)
        learner(batch, clock).loss.backward()
        # Several views may have gone through the model together, one below the other.
        gradients = [
            one.grad.view(-1, *batch.labels.shape) for one in recorded if one.grad is not None
        ]
        assert (torch.cat(gradients).sum(0)[batch.labels == -1] > 0).all()


def test_the_truth_has_no_way_in() -> None:
    assert [field.name for field in dataclasses.fields(Batch)] == ["index", "labels", "views"]
    known = vars(Annotations(OBSERVED, CLASSES))
    assert set(known) == {"known", "classes", "images"}


RESNET, VIT = "resnet18", "vit_tiny_patch16_224"
SMALL_VIT = {"depth": 2, "embed_dim": 48, "num_heads": 3}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "cam on a ResNet": ("cam", {"trunk": RESNET}),
    "cam on a MobileNet": ("cam", {"trunk": "mobilenetv2_050"}),
    "cam on a ViT": ("cam", {"trunk": VIT, "trunk_options": SMALL_VIT}),
    "query2label": (
        "query2label",
        {"trunk": RESNET, "options": {"width": 32, "heads": 2, "feedforward": 48}},
    ),
    "ml_decoder": (
        "ml_decoder",
        {"trunk": RESNET, "options": {"width": 32, "heads": 2, "feedforward": 48, "groups": 2}},
    ),
}


@every_method
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("which", MODELS)
def test_every_method_runs_on_every_model(name: str, which: str, precision: str) -> None:
    torch.manual_seed(0)
    asked = method_class(name).model_options
    head, options = MODELS[which]
    whole = {"size": 32, **options, **asked}
    if head != "cam" and "boost" in asked:
        with pytest.raises(UsageError, match=f"'{head}' has no class-activation map to boost"):
            build_model(head, classes=CLASSES, **whole)
        return
    method = build_method(name, **needed_options(name, *OBSERVED.shape))
    method.setup(Annotations(labels_for(name, OBSERVED), CLASSES))
    learner = Learner(build_model(head, classes=CLASSES, **whole), method).train()
    for first, clock in ((0, EARLY), (4, LATE)):
        learner.zero_grad()
        batch = batch_for(learner, labels_for(name, OBSERVED), range(first, first + BATCH))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            step: Step = learner(batch, clock)
        step.loss.backward()
        assert_sound(step, batch)
        assert all(term.dtype == torch.float32 for term in step.terms.values())
        for part in ("trunk.", "head."):
            gradients = [
                parameter.grad
                for parameter_name, parameter in learner.model.named_parameters()
                if parameter_name.startswith(part) and parameter.grad is not None
            ]
            assert any(gradient.any() for gradient in gradients), part
            assert all(gradient.isfinite().all() for gradient in gradients), part
