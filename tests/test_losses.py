"""The element-wise losses: against worked values, against plain loops, and at the extremes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tacit.losses import (
    assumed_negative,
    asymmetric,
    binary_cross_entropy,
    discounted,
    entropy,
    generalised_cross_entropy,
    hill,
    negative_loss,
    positive_loss,
    smoothed,
)

LOGITS = [[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]]
OBSERVED = [[1, 0, 0, 0], [0, 0, 1, 0]]
FULL = [[1, 0, 1, 0], [0, 1, 1, 0]]
EPSILON = 1e-5
EXTREME = 1e4

# Mean over all cells and its gradient, computed in float64 by an independent implementation of the
# equations; where epsilon is 1e-5 the functions released with the literature give the same.
# The gradients worked by hand: (p - y) / 8 where epsilon is 0, for instance (0.6225 - 1) / 8.
REFERENCES = {
    "assumed negative, epsilon": (
        OBSERVED,
        EPSILON,
        0.7800508492448474,
        [
            [-0.04719182544862347, 0.028934025574756748, 0.1100903992018867, 0.05319375939188687],
            [0.0387526282059835, 0.10219120771994103, -0.05937647053990416, 0.012468672637551179],
        ],
    ),
    "assumed negative, exact": (
        OBSERVED,
        0.0,
        0.7800795788503043,
        [
            [-0.047192583599768176, 0.028934402062622797, 0.11009963474723529, 0.05319468539854263],
            [0.038753189859048444, 0.10219680952420546, -0.0593776015651325, 0.012468811139960642],
        ],
    ),
    "full labels, epsilon": (
        FULL,
        EPSILON,
        0.34256523898428537,
        [
            [
                -0.04719182544862347,
                0.028934025574756748,
                -0.014900196085581281,
                0.05319375939188687,
            ],
            [0.0387526282059835, -0.022802911566505782, -0.05937647053990416, 0.012468672637551179],
        ],
    ),
    "full labels, exact": (
        FULL,
        0.0,
        0.3425795788503043,
        [
            [
                -0.047192583599768176,
                0.028934402062622797,
                -0.01490036525276471,
                0.05319468539854263,
            ],
            [
                0.038753189859048444,
                -0.022803190475794544,
                -0.0593776015651325,
                0.012468811139960642,
            ],
        ],
    ),
}

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "positive": positive_loss,
    "positive, epsilon": lambda logits: positive_loss(logits, EPSILON),
    "negative": negative_loss,
    "negative, epsilon": lambda logits: negative_loss(logits, EPSILON),
    "soft target": lambda logits: binary_cross_entropy(logits, soft_target(logits)),
    "soft target, epsilon": lambda logits: binary_cross_entropy(
        logits, soft_target(logits), EPSILON
    ),
    "assumed negative": lambda logits: assumed_negative(logits, three_states(logits)),
    "assumed negative, epsilon": lambda logits: assumed_negative(
        logits, three_states(logits), EPSILON
    ),
    "entropy": entropy,
    "entropy, epsilon": lambda logits: entropy(logits, EPSILON),
    "smoothed": lambda logits: smoothed(logits, three_states(logits), 0.1),
    "asymmetric": lambda logits: focal(logits, 1.0, 4.0),
    "asymmetric, powers below 1": lambda logits: focal(logits, 0.5, 0.5),
    "discounted": lambda logits: discounted(logits, three_states(logits) == 1, 2.0),
    "discounted, power below 1": lambda logits: discounted(logits, three_states(logits) == 1, 0.5),
    "hill": lambda logits: hill(logits, 1.5),
    "generalised, near the logarithm": lambda logits: generalised_cross_entropy(logits, 0.01),
    "generalised, the plain miss": lambda logits: generalised_cross_entropy(logits, 1.0),
    "generalised, forgiving": lambda logits: generalised_cross_entropy(-logits, 1.5),
}

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
both_epsilons = pytest.mark.parametrize("epsilon", [0.0, EPSILON], ids=["exact", "epsilon"])


def soft_target(logits: Tensor) -> Tensor:
    return torch.linspace(0, 1, logits.numel(), dtype=torch.float64).view_as(logits)


def three_states(logits: Tensor) -> Tensor:
    return (torch.arange(logits.numel()) % 3 - 1).to(torch.int8).view_as(logits)


def focal(logits: Tensor, positive_focus: float, negative_focus: float) -> Tensor:
    labels = three_states(logits)
    powers = {"positive_focus": positive_focus, "negative_focus": negative_focus}
    return asymmetric(logits, labels, shift=0.05, **powers)


def random_logits(rows: int = 7, classes: int = 5, spread: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return spread * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def minus_log(probability: float, epsilon: float) -> float:
    return -math.log(probability + epsilon)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize(
    ("labels", "epsilon", "value", "gradient"), REFERENCES.values(), ids=REFERENCES.keys()
)
def test_value_and_gradient_are_the_literatures(
    labels: list[list[int]], epsilon: float, value: float, gradient: list[list[float]]
) -> None:
    for loss in (
        lambda logits: assumed_negative(logits, torch.tensor(labels, dtype=torch.int8), epsilon),
        lambda logits: binary_cross_entropy(logits, torch.tensor(labels), epsilon),
    ):
        logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
        mean = loss(logits).mean()
        mean.backward()
        assert mean.item() == pytest.approx(value, rel=1e-9)
        expected = torch.tensor(gradient, dtype=torch.float64)
        torch.testing.assert_close(logits.grad, expected, rtol=1e-7, atol=0)


@both_epsilons
def test_positive_and_negative_loss_equal_plain_loops(epsilon: float) -> None:
    logits = random_logits()
    positive, negative = positive_loss(logits, epsilon), negative_loss(logits, epsilon)
    assert positive.shape == negative.shape == logits.shape
    for row, column in torch.cartesian_prod(torch.arange(7), torch.arange(5)).tolist():
        present = sigmoid(logits[row, column].item())
        absent = sigmoid(-logits[row, column].item())
        assert positive[row, column].item() == pytest.approx(minus_log(present, epsilon), rel=1e-9)
        assert negative[row, column].item() == pytest.approx(minus_log(absent, epsilon), rel=1e-9)


@both_epsilons
def test_soft_targets_weigh_both_losses(epsilon: float) -> None:
    logits = random_logits()
    target = soft_target(logits)
    loss = binary_cross_entropy(logits, target, epsilon)
    for logit, share, cell in zip(
        logits.flatten().tolist(), target.flatten().tolist(), loss.flatten().tolist(), strict=True
    ):
        expected = share * minus_log(sigmoid(logit), epsilon)
        expected += (1 - share) * minus_log(sigmoid(-logit), epsilon)
        assert cell == pytest.approx(expected, rel=1e-9)


@both_epsilons
def test_all_but_known_positives_are_assumed_absent(epsilon: float) -> None:
    logits = random_logits()
    labels = three_states(logits)
    loss = assumed_negative(logits, labels, epsilon)
    for logit, label, cell in zip(
        logits.flatten().tolist(), labels.flatten().tolist(), loss.flatten().tolist(), strict=True
    ):
        probability = sigmoid(logit) if label == 1 else sigmoid(-logit)
        assert cell == pytest.approx(minus_log(probability, epsilon), rel=1e-9)


@every_loss
def test_gradients_are_the_derivatives(loss: Callable[[Tensor], Tensor]) -> None:
    logits = random_logits(3, 4, spread=2.0).requires_grad_()
    assert torch.autograd.gradcheck(loss, (logits,))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(loss: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    logits = torch.tensor([[-EXTREME, EXTREME, 0.0], [EXTREME, -EXTREME, 90.0]], dtype=dtype)
    logits.requires_grad_()
    values = loss(logits)
    values.sum().backward()
    assert logits.grad is not None
    assert values.isfinite().all()
    assert logits.grad.isfinite().all()


def test_the_exact_loss_never_saturates_and_the_other_does() -> None:
    logits = torch.tensor([[-EXTREME]])
    assert positive_loss(logits).item() == EXTREME
    assert positive_loss(logits, EPSILON).item() == pytest.approx(-math.log(EPSILON), rel=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_full(
    loss: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    half = random_logits().to(dtype)
    values = loss(half)
    assert values.dtype == torch.float32
    assert torch.equal(values, loss(half.float()))


@every_loss
def test_double_precision_is_kept(loss: Callable[[Tensor], Tensor]) -> None:
    assert loss(random_logits()).dtype == torch.float64


def test_entropy_is_that_of_a_coin() -> None:
    logits = random_logits()
    for logit, cell in zip(logits.flatten().tolist(), entropy(logits).flatten(), strict=True):
        shares = sigmoid(logit), sigmoid(-logit)
        assert cell.item() == pytest.approx(-sum(p * math.log(p) for p in shares), rel=1e-9)
    assert entropy(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(math.log(2))


def test_smoothing_is_a_soft_target() -> None:
    logits = random_logits()
    labels = three_states(logits)
    target = 0.1 + 0.8 * (labels == 1).double()
    expected = binary_cross_entropy(logits, target)
    torch.testing.assert_close(smoothed(logits, labels, 0.1), expected, rtol=1e-12, atol=0)
    assert torch.equal(smoothed(logits, labels, 0.0), assumed_negative(logits, labels))


@pytest.mark.parametrize("power", [0.0, 0.5, 4.0])
def test_a_negative_below_the_shift_is_free(power: float) -> None:
    """Without the discount, too, where a likelihood above 1 would pay for itself."""
    logits = torch.tensor([[-30.0, -5.0, -3.0]]).double().requires_grad_()  # 0, 0.007, 0.047
    labels = torch.zeros(1, 3)
    loss = asymmetric(logits, labels, positive_focus=1, negative_focus=power, shift=0.05)
    loss.sum().backward()
    assert logits.grad is not None
    assert loss.abs().max() < 1e-12 and logits.grad.abs().max() < 1e-12
    above = asymmetric(
        torch.tensor([[-2.9]]), labels[:, :1], positive_focus=1, negative_focus=0, shift=0.05
    )
    assert above.item() == pytest.approx(-math.log(1.05 - 1 / (1 + math.exp(2.9))), abs=1e-6)


def test_focal_discounts_equal_plain_loops() -> None:
    logits = random_logits()
    labels = three_states(logits)
    sharp, discount = focal(logits, 1.0, 4.0), discounted(logits, labels == 1, 2.0)
    for row, column in torch.cartesian_prod(torch.arange(7), torch.arange(5)).tolist():
        present, absent = sigmoid(logits[row, column].item()), sigmoid(-logits[row, column].item())
        shifted = min(absent + 0.05, 1)
        if labels[row, column] == 1:
            expected = -absent * math.log(present), -(absent**2) * math.log(present)
        else:
            expected = -((1 - shifted) ** 4) * math.log(shifted), -(present**2) * math.log(absent)
        assert sharp[row, column].item() == pytest.approx(expected[0], rel=1e-7)
        assert discount[row, column].item() == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize("power", [0.01, 0.7, 1.0, 1.5, 3.0])
def test_the_generalised_cross_entropy_is_its_formula(power: float) -> None:
    for logit in random_logits().flatten().tolist():
        cell = generalised_cross_entropy(torch.tensor(logit, dtype=torch.float64), power)
        assert cell.item() == pytest.approx((1 - sigmoid(logit) ** power) / power, rel=1e-9)


def test_the_generalised_cross_entropy_ends_at_the_logarithm_even_in_single_precision() -> None:
    logits = random_logits().float()
    torch.testing.assert_close(
        generalised_cross_entropy(logits, 1e-6), positive_loss(logits), rtol=1e-4, atol=0
    )


def test_hill_rises_to_the_end_and_turns_only_below_its_published_peak() -> None:
    probability = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    published, early = hill(probability.logit(), 1.5), hill(probability.logit(), 1.2)
    assert (published.diff() > 0).all()
    assert probability[early.argmax()].item() == pytest.approx(2 / 3 * 1.2, abs=1e-3)
    assert published[-1].item() == pytest.approx(0.5, abs=1e-3)
