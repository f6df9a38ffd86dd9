"""Rejection by information gap: presets, and that each switch changes its own part alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.errors import UsageError
from tacit.methods import hyperparameters
from tacit.methods.gap_rejection import Ignore
from tacit.models import build_model
from tacit.types import Clock
from toys import annotations_of, make_batch

DEFAULTS = {
    "reject": True,
    "gap_threshold": True,
    "average_threshold": True,
    "cap": False,
    "strong_view": True,
    "reject_weight": 1.0,
    "spbc_weight": 1.0,
    "spbc_over": "positives",
    "consistency_weight": 0.5,
    "consistency_gradient": "both",
    "cam_threshold": 0.4,
    "cam_normalisation": "spatial",
    "cam_relu": False,
    "mask_fill": "mean",
    "gap_mode": "train",
    "read_twice": False,
    "reject_whole": False,
    "gap_decay": 0.999,
    "average_decay": 0.999,
    "average_scope": "unknown",
    "bias_correction": True,
    "warmup_epochs": None,
    "warmup_share": 0.25,
    "least_lift": 2.0,
    "warmup_loss": "full",
    "epsilon": 1e-5,
}
AT_ONCE = {"warmup_epochs": 3, "warmup_share": 0.0, "least_lift": 0.0}
UNCORRECTED = {**AT_ONCE, "bias_correction": False, "gap_mode": "update"}
DEPARTURES = {
    "robust": {},
    "paper": {
        **UNCORRECTED,
        "spbc_weight": 0.1,
        "spbc_over": "images",
        "warmup_loss": "an_weak",
        "epsilon": 0.0,
    },
    "released": {
        **UNCORRECTED,
        "cam_normalisation": "batch_div_max",
        "cam_threshold": 0.8,
        "reject_whole": True,
        "average_scope": "all",
        "spbc_weight": 0.5,
    },
    # The same authors' earlier method.
    "calr": {**AT_ONCE, "cam_threshold": 0.5, "spbc_weight": 0.5},
    "calr_released": {
        **UNCORRECTED,
        "cam_normalisation": "batch_minmax",
        "cam_threshold": 0.5,
        "read_twice": True,
        "reject_whole": True,
        "average_scope": "all",
        "spbc_weight": 0.5,
    },
}


@pytest.mark.parametrize(("preset", "departures"), DEPARTURES.items())
def test_presets_hold_the_documented_values(preset: str, departures: dict[str, Any]) -> None:
    assert {**hyperparameters("ignore"), **Ignore.presets[preset]} == {**DEFAULTS, **departures}


def test_there_is_no_other_preset() -> None:
    assert set(Ignore.presets) == set(DEPARTURES)


LABELS = [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, -1], [-1, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
SUSPICION = {"suspects", "ignore", "ignore gradient"}
IMAGE = {"masked image", "gap", "tau"}


def seen_in_two_steps(labels: list[list[int]] = LABELS, **options: Any) -> dict[str, Any]:
    """Take two steps without learning and return everything that a switch could change."""
    torch.manual_seed(0)
    model = build_model(classes=("a", "b", "c", "d"), size=24, trunk="tiny").double()
    images: list[Tensor] = []
    model.trunk.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    method = Ignore(**{"warmup_epochs": 0, "least_lift": 0.0, **options})
    method.setup(annotations_of(labels))
    method.double()
    for _ in range(2):
        weak, strong = torch.randn(2, len(labels), 3, 24, 24, dtype=torch.float64)
        step = method.step(model, make_batch(labels, weak=weak, strong=strong), Clock(2, 25))
    seen: dict[str, Any] = {
        "views": method.views,
        "suspects": step.suspects,
        "logit": step.evidence["logit"],
        "gap": step.evidence.get("gap"),
        "visible": step.readings.get("visible"),
        "tau": method.gap_average.current(),
        "mu": method.logit_average.current(),
        "masked image": images[-1],
        "passes": len(images),
        "remembered": torch.cat([b for n, b in model.named_buffers() if "running" in n]),
    }
    for name, term in step.terms.items():
        seen[name] = term.detach()
        (gradient,) = torch.autograd.grad(term, model.head.weight, retain_graph=True)
        seen[f"{name} gradient"] = gradient
    return seen


def differing(first: dict[str, Any], second: dict[str, Any]) -> set[str]:
    def equal(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return torch.equal(one, other)
        return type(one) is type(other) and one == other

    return {name for name in {*first, *second} if not equal(first.get(name), second.get(name))}


@pytest.fixture(scope="module")
def usual() -> dict[str, Any]:
    seen = seen_in_two_steps()
    assert seen["suspects"].any(), "otherwise this file shows little"
    return seen


# A switch, what it must change, and what may follow from that.
SWITCHES: list[tuple[dict[str, Any], set[str], set[str]]] = [
    ({"reject": False}, {*IMAGE, *SUSPICION, "mu", "visible", "passes"}, set()),
    ({"gap_threshold": False}, SUSPICION, set()),
    ({"average_threshold": False}, SUSPICION, set()),
    ({"cap": True}, SUSPICION, set()),  # at first nothing is thought to be missing
    (
        {"strong_view": False},
        {"views", "ignore", "consistency", "passes", "remembered"},
        {"ignore gradient", "consistency gradient"},
    ),
    ({"reject_weight": 2.0}, {"ignore", "ignore gradient"}, set()),
    ({"spbc_weight": 0.3}, {"spbc", "spbc gradient"}, set()),
    ({"spbc_weight": 0}, {"spbc", "spbc gradient"}, set()),
    ({"spbc_over": "images"}, set(), {"spbc", "spbc gradient"}),  # as many positives as images
    ({"consistency_weight": 0.3}, {"consistency", "consistency gradient"}, set()),
    ({"consistency_weight": 0}, {"consistency", "consistency gradient"}, set()),
    ({"consistency_gradient": "strong"}, {"consistency gradient"}, set()),
    ({"cam_threshold": 0.7}, {*IMAGE, "visible"}, SUSPICION),
    ({"cam_normalisation": "batch_minmax"}, {*IMAGE, "visible"}, SUSPICION),
    ({"cam_normalisation": "batch_div_max"}, {*IMAGE, "visible"}, SUSPICION),
    ({"cam_relu": True}, {*IMAGE, "visible"}, SUSPICION),
    ({"mask_fill": "black"}, IMAGE, SUSPICION),
    ({"gap_mode": "update"}, {"remembered"}, set()),
    ({"gap_mode": "evaluation"}, {*IMAGE, "mu", "visible", "passes"}, SUSPICION),
    ({"read_twice": True}, {"remembered", "passes"}, set()),
    ({"reject_whole": True}, set(), SUSPICION),  # the whole image hardly differs from itself
    ({"gap_decay": 0.5}, {"tau"}, SUSPICION),
    ({"average_decay": 0.5}, {"mu"}, SUSPICION),
    ({"average_scope": "all"}, {"mu"}, SUSPICION),
    ({"bias_correction": False}, {"tau", "mu"}, SUSPICION),
    ({"warmup_epochs": 2}, SUSPICION, set()),
    ({"warmup_epochs": None, "warmup_share": 0.1}, SUSPICION, set()),
    ({"least_lift": 0.1}, SUSPICION, set()),
    ({"warmup_loss": "an_only"}, set(), set()),
    ({"warmup_loss": "an_weak"}, set(), set()),
    ({"epsilon": 1e-3}, {"ignore", "spbc", "ignore gradient", "spbc gradient"}, set()),
]


@pytest.mark.parametrize(
    ("options", "must", "may"), SWITCHES, ids=[str(row[0]) for row in SWITCHES]
)
def test_a_switch_changes_its_own_part_alone(
    usual: dict[str, Any], options: dict[str, Any], must: set[str], may: set[str]
) -> None:
    changed = differing(usual, seen_in_two_steps(**options))
    assert changed >= must
    assert changed <= must | may


def test_every_switch_is_in_the_table() -> None:
    assert {name for options, _, _ in SWITCHES for name in options} == set(
        hyperparameters("ignore")
    )


def test_either_threshold_can_stand_alone(usual: dict[str, Any]) -> None:
    unknown = torch.tensor(LABELS) == 0
    unknown[4] = False  # nothing known, hence nothing masked
    over_gap = unknown & (usual["gap"] > usual["tau"])
    over_average = unknown & (usual["logit"] > usual["mu"])
    assert torch.equal(usual["suspects"], over_gap & over_average)
    assert torch.equal(seen_in_two_steps(average_threshold=False)["suspects"], over_gap)
    assert torch.equal(seen_in_two_steps(gap_threshold=False)["suspects"], over_average)
    neither = seen_in_two_steps(gap_threshold=False, average_threshold=False)
    assert torch.equal(neither["suspects"], unknown)


def test_black_is_the_colour_zero() -> None:
    mean = seen_in_two_steps()["masked image"]
    black = seen_in_two_steps(mask_fill="black")["masked image"]
    # Worked by hand: black minus ImageNet's mean, over its standard deviation.
    colour = torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    hidden = (mean == 0).all(1)
    assert hidden.any()
    torch.testing.assert_close(
        black.movedim(1, -1)[hidden].float(), colour.expand(int(hidden.sum()), 3)
    )


def test_the_weak_view_alone_agrees_with_itself() -> None:
    seen = seen_in_two_steps(strong_view=False)
    assert seen["views"] == ("weak",)
    assert seen["consistency"].item() == 0


def test_agreement_may_move_the_strong_branch_alone() -> None:
    both, strong = seen_in_two_steps(), seen_in_two_steps(consistency_gradient="strong")
    assert both["consistency"] == strong["consistency"]
    assert strong["consistency gradient"].abs().sum() > 0


def test_the_warm_up_may_be_assume_negative_alone() -> None:
    full = seen_in_two_steps(warmup_epochs=2)
    alone = seen_in_two_steps(warmup_epochs=2, warmup_loss="an_only")
    companions = {"spbc", "spbc gradient", "consistency", "consistency gradient"}
    assert differing(full, alone) == companions
    assert "spbc" not in alone and "consistency" not in alone
    weak = seen_in_two_steps(warmup_epochs=2, warmup_loss="an_weak")
    plain = seen_in_two_steps(warmup_epochs=2, warmup_loss="an_only", strong_view=False)
    assert differing(weak, plain) == {"views"}  # the strong view is loaded, but not read
    over = seen_in_two_steps(warmup_epochs=1, warmup_loss="an_only")
    assert differing(over, seen_in_two_steps(warmup_epochs=1)) == set()


def test_reading_twice_is_remembered_twice() -> None:
    """As in CALR's code, every view enters the running statistics twice, one after the other."""
    model = build_model(classes=("a", "b", "c", "d"), size=24, trunk="tiny").double()
    method = Ignore(warmup_epochs=0, gap_mode="update", read_twice=True)
    method.setup(annotations_of(LABELS))
    method.double()
    images: list[Tensor] = []
    model.trunk.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    weak, strong = torch.randn(2, len(LABELS), 3, 24, 24, dtype=torch.float64)
    step = method.step(model, make_batch(LABELS, weak=weak, strong=strong), Clock(2, 25))
    assert len(images) == 6 and all(torch.equal(images[n], images[n + 1]) for n in (0, 2, 4))
    assert torch.equal(images[0], weak) and torch.equal(images[2], strong)
    once = Ignore(warmup_epochs=0, gap_mode="update")
    once.setup(annotations_of(LABELS))
    torch.testing.assert_close(
        once.double().step(model, make_batch(LABELS, weak=weak, strong=strong), Clock(2, 25)).loss,
        step.loss,
    )


def test_known_positives_over_images_as_printed() -> None:
    labels = [*LABELS[:3], [-1, 0, 0, 0], LABELS[4]]  # four positives in five images
    found, printed = (seen_in_two_steps(labels, spbc_over=over) for over in ("positives", "images"))
    torch.testing.assert_close(printed["spbc"] * 5, found["spbc"] * 4)
    assert found["spbc"] != printed["spbc"]


@pytest.mark.parametrize(
    ("epochs", "first"), [(1, 1), (2, 1), (4, 2), (6, 3), (15, 5), (24, 7), (100, 26)]
)
def test_the_warm_up_is_a_quarter_of_a_phase(epochs: int, first: int) -> None:
    method = Ignore(least_lift=0.0)
    allowed = [bool(method._may_reject(Clock(epoch, epochs))) for epoch in range(1, epochs + 1)]
    assert allowed.index(True) + 1 == first and all(allowed[first - 1 :])


def test_rejection_waits_until_known_positives_stand_out_and_rests_when_they_do_not() -> None:
    method = Ignore(warmup_epochs=0, least_lift=2.0)
    late = Clock(9, 10)
    marked = torch.tensor([[1, 1, 0, 1, 0, 0]], dtype=torch.bool)
    positive = torch.tensor([[1, 1, 0, 0, 0, 0]], dtype=torch.bool)
    assert not method._may_reject(late)  # nothing was seen
    method.lift.count(marked, positive, ~positive)
    assert not method._may_reject(late)  # only whole epochs count
    method.end_epoch(late, lambda: torch.zeros(0))
    assert method.lift.value == 4.0  # all positives, against one of four
    assert method._may_reject(late)
    method.lift.count(~marked, positive, ~positive)
    method.end_epoch(late, lambda: torch.zeros(0))
    assert method.lift.value == 0.0 and not method._may_reject(late)


@pytest.mark.parametrize(
    "name",
    [
        "consistency_gradient",
        "spbc_over",
        "cam_normalisation",
        "mask_fill",
        "gap_mode",
        "average_scope",
        "warmup_loss",
    ],
)
def test_an_unknown_choice_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be one of .*'{DEFAULTS[name]}'.*not 'odd'"):
        Ignore(**{name: "odd"})


@pytest.mark.parametrize("missing", [0.0, 1.0, 3.0, 99.0])
def test_a_cap_keeps_the_largest_gaps_only(missing: float) -> None:
    torch.manual_seed(0)
    model = build_model(classes=("a", "b", "c", "d"), size=24, trunk="tiny").double()
    batch = make_batch(LABELS, weak=torch.randn(len(LABELS), 3, 24, 24, dtype=torch.float64))
    options: dict[str, Any] = {"strong_view": False, "average_threshold": False}
    found = []
    for cap in (False, True):
        method = Ignore(warmup_epochs=0, least_lift=0.0, cap=cap, **options)
        method.setup(annotations_of(LABELS))
        method.double()
        if cap:
            known = float(batch.positive.sum())
            method.expected.value.fill_((known + missing) / len(LABELS))
        step = method.step(model, batch, Clock(2, 25))
        assert step.suspects is not None
        found.append(step.suspects)
    free, capped = found
    assert free.sum() > 3 and not (capped & ~free).any()
    assert int(capped.sum()) == min(missing, int(free.sum()))
    gap = step.evidence["gap"]
    if missing and capped.sum() < free.sum():
        assert gap[capped].min() >= gap[free & ~capped].max()
    assert ("expected_positives" in step.readings) and step.readings["tau"].isfinite()


def test_the_cap_follows_what_the_model_says() -> None:
    method = Ignore(cap=True)
    method.setup(annotations_of(LABELS))
    before = method.expected.value.clone()
    shown = torch.tensor(LABELS).double() + torch.rand(len(LABELS), len(LABELS[0]))
    method.end_epoch(Clock(1, 5), lambda: shown)
    assert method.expected.value >= before
    assert not hasattr(Ignore(), "expected")
