"""The optimiser's groups and rates, and the one-cycle schedule step by step."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from tacit.config import Phase
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods.base import Method
from tacit.models import build_model
from tacit.training.optim import build_optimiser, build_schedule, freeze_parameters, list_frozen

# One cycle over 100 steps with a peak of 1e-4 and a fifth of the steps rising, so 19 steps up and
# 80 down, along half cosines: 1e-4 / 25 = 4e-6 at step 0, the peak at 19, 4e-6 / 1e4 at 99.
RATES = {
    0: 4.000000000000002e-06,
    1: 4.654657436669327e-06,
    10: 5.5963808582671955e-05,
    19: 0.0001,
    20: 9.99614519662289e-05,
    50: 6.730598363046323e-05,
    99: 3.9999999999999996e-10,
}
FIRST_BETAS = {
    0: 0.95,
    10: 0.8958710327263834,
    19: 0.85,
    50: 0.8826941471461254,
    99: 0.95,
}


class Estimating(Method):
    """Has parameters of its own, which learn ten times as fast."""

    lr_scale: ClassVar[float] = 10.0

    def __init__(self) -> None:
        super().__init__()
        self.estimate = nn.Parameter(torch.zeros(4, 3))


def make_learner(method: Method | None = None) -> Learner:
    model = build_model(classes=("sun", "moon", "star"), size=16, trunk="tiny")
    return Learner(model, method or Method())


def groups(optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in optimiser.param_groups}


def run_schedule(phase: Phase, steps: int) -> list[dict[str, Any]]:
    """Return the first group's settings at every step of a training."""
    optimiser = build_optimiser(make_learner(), phase)
    schedule = build_schedule(optimiser, phase, steps)
    seen = []
    for _ in range(steps):
        seen.append(dict(optimiser.param_groups[0]))
        optimiser.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_one_cycle_moves_the_rate_and_the_first_beta(optimiser: str) -> None:
    phase = Phase(lr=1e-4, optimiser=optimiser, schedule="onecycle", warmup_share=0.2)
    seen = run_schedule(phase, 100)
    assert {step: seen[step]["lr"] for step in RATES} == pytest.approx(RATES, rel=1e-9)
    betas = {step: seen[step]["betas"][0] for step in FIRST_BETAS}
    assert betas == pytest.approx(FIRST_BETAS, rel=1e-9)
    assert {group["betas"][1] for group in seen} == {0.999}


def test_one_cycle_moves_the_momentum_of_sgd() -> None:
    seen = run_schedule(Phase(optimiser="sgd", momentum=0.5, schedule="onecycle"), 100)
    momenta = {step: seen[step]["momentum"] for step in FIRST_BETAS}
    assert momenta == pytest.approx(FIRST_BETAS, rel=1e-9)


def test_every_group_has_a_peak_of_its_own() -> None:
    phase = Phase(lr=1e-3, head_lr=5.0, warmup_share=0.5)
    optimiser = build_optimiser(make_learner(Estimating()), phase)
    schedule = build_schedule(optimiser, phase, 4)
    optimiser.step()
    schedule.step()  # half of four steps rise: from step 0 to the peak at step 1
    rates = [group["lr"] for group in optimiser.param_groups]
    assert rates == pytest.approx([1e-3, 5e-3, 1e-2])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 10, 20])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.5])
def test_one_cycle_survives_short_trainings(steps: int, share: float) -> None:
    rates = [group["lr"] for group in run_schedule(Phase(lr=1.0, warmup_share=share), steps)]
    assert all(0 < rate <= 1 + 1e-6 for rate in rates)
    assert rates[-1] == min(rates)


def test_a_rise_of_one_step_begins_at_the_peak() -> None:
    # A fifth of five steps: the rise is over where it begins, and the rest falls.
    rates = [group["lr"] for group in run_schedule(Phase(lr=1.0, warmup_share=0.2), 5)]
    assert rates[0] == pytest.approx(1.0, abs=1e-6)
    assert rates == sorted(rates, reverse=True)


def test_a_constant_schedule_stays() -> None:
    seen = run_schedule(Phase(lr=0.25, schedule="constant"), 7)
    assert [group["lr"] for group in seen] == [0.25] * 7
    assert [group["betas"] for group in seen] == [(0.9, 0.999)] * 7


def test_parts_learn_at_their_own_rates() -> None:
    learner = make_learner(Estimating())
    found = groups(build_optimiser(learner, Phase(lr=1e-3, head_lr=2.0)))
    assert {name: group["lr"] for name, group in found.items()} == pytest.approx(
        {"trunk": 1e-3, "head": 2e-3, "method": 1e-2}
    )
    optimised = [id(p) for group in found.values() for p in group["params"]]
    assert sorted(optimised) == sorted(id(p) for p in learner.parameters())
    assert {id(p) for p in found["head"]["params"]} == {
        id(p) for p in learner.get_submodule("model.head").parameters()
    }


def test_a_method_without_parameters_has_no_group() -> None:
    assert list(groups(build_optimiser(make_learner(), Phase()))) == ["trunk", "head"]


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_the_optimiser_is_the_one_asked_for(name: str, kind: type) -> None:
    phase = Phase(optimiser=name, weight_decay=0.125, momentum=0.75)
    optimiser = build_optimiser(make_learner(), phase)
    assert type(optimiser) is kind
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.125}
    if name == "sgd":
        assert {group["momentum"] for group in optimiser.param_groups} == {0.75}


def test_a_frozen_part_neither_learns_nor_asks_for_gradients() -> None:
    learner = make_learner(Estimating())
    phase = Phase(freeze=("trunk",))
    found = groups(build_optimiser(learner, phase))
    assert all(parameter.requires_grad for parameter in learner.parameters())  # not yet
    freeze_parameters(learner, phase)
    assert list(found) == ["head", "method"]
    learning = {name for name, p in learner.named_parameters() if p.requires_grad}
    assert learning == {"model.head.weight", "model.head.bias", "method.estimate"}


def test_part_of_a_part_can_be_frozen() -> None:
    learner = make_learner()
    found = groups(build_optimiser(learner, Phase(freeze=("trunk.layers.0",))))
    frozen = {id(p) for p in learner.get_submodule("model.trunk.layers.0").parameters()}
    trunk = {id(p) for p in learner.get_submodule("model.trunk").parameters()}
    assert {id(p) for p in found["trunk"]["params"]} == trunk - frozen


def test_the_next_phase_thaws_what_the_one_before_froze() -> None:
    learner = make_learner()
    freeze_parameters(learner, Phase(freeze=("trunk",)))
    assert list(groups(build_optimiser(learner, Phase()))) == ["trunk", "head"]
    freeze_parameters(learner, Phase())
    assert all(p.requires_grad for p in learner.parameters())


def test_frozen_parts_are_modules_of_the_model() -> None:
    learner = make_learner()
    parts = list_frozen(learner, Phase(freeze=("head", "trunk")))
    assert parts == [learner.model.head, learner.model.trunk]
    assert list_frozen(learner, Phase()) == []


def test_an_unknown_part_is_named_beside_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no part 'trunc'.*trunk, head"):
        build_optimiser(make_learner(), Phase(freeze=("trunc",)))


def test_something_must_be_left_to_learn() -> None:
    phase = Phase(freeze=("trunk", "head"))
    with pytest.raises(UsageError, match="Nothing is left to learn when trunk, head are frozen"):
        build_optimiser(make_learner(), phase)
    # A method that learns is enough.
    assert list(groups(build_optimiser(make_learner(Estimating()), phase))) == ["method"]
