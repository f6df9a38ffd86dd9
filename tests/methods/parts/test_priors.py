"""How common classes are, estimated from positives and unlabelled images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tacit.methods.parts.priors import ExpectedPositives, estimate_priors
from tacit.priors import interpolate_prior, measure_separation
from tacit.types import Annotations


def by_trying_every_threshold(scores: list[float], positive: list[bool]) -> float:
    """The estimate as the paper words it, one threshold after the other."""
    images, count = len(scores), sum(positive)
    bound = math.sqrt(math.log(400) / (2 * images)) + math.sqrt(math.log(400) / (2 * count))
    best, apart = (math.inf, 0.0), 0.0
    for threshold in sorted(set(scores)):
        share = sum(score >= threshold for score in scores) / images
        above = [known for score, known in zip(scores, positive, strict=True) if score >= threshold]
        found = sum(above) / count
        apart = max(apart, found - share)
        if found:
            best = min(best, ((share + 1.01 * bound) / found, share / found))
    least, most = count / images, min(max(best[1], count / images), 1.0)
    # Scores that tell nothing reach this once in a hundred times: exp(-2 d^2 / (1/m - 1/n)) = 0.01.
    chance = math.sqrt(math.log(100) / 2 * (1 / count - 1 / images))
    prior = least
    for _ in range(100_000):  # up to the first prior that agrees with its own separation
        room = 1 - prior - chance
        told = min(max((apart - chance) / room, 0), 1) if room > 0 else 1
        following = least + told * (most - least)
        if following - prior < 1e-12:
            break
        prior = following
    return prior


@pytest.mark.parametrize("digits", [1, 6])
def test_the_estimate_is_that_of_trying_every_threshold(digits: int) -> None:
    generator = torch.Generator().manual_seed(digits)
    positive = torch.rand(60, 4, generator=generator) < torch.tensor([0.5, 0.3, 0.2, 0.15])
    scores = (torch.rand(60, 4, generator=generator) + positive).double().round(decimals=digits)
    found = estimate_priors(scores, positive)
    for column in range(4):
        column_scores, known = scores[:, column].tolist(), positive[:, column].tolist()
        assert found[column].item() == pytest.approx(
            by_trying_every_threshold(column_scores, known)
        )


def test_the_bound_on_few_known_positives_moves_the_best_threshold() -> None:
    """With few known, and with many of few images, each part of the bound decides at times."""
    generator = torch.Generator().manual_seed(4)
    for images, known in ((400, 4), (40, 30), (25, 3)):
        positive = torch.rand(images, 12, generator=generator).argsort(0) < known
        noise = torch.rand(images, 12, generator=generator)
        scores = (noise + positive * torch.linspace(0.2, 2, 12)).double()
        found = estimate_priors(scores, positive)
        for column in range(12):
            expected = by_trying_every_threshold(
                scores[:, column].tolist(), positive[:, column].tolist()
            )
            assert found[column].item() == pytest.approx(expected)


def test_where_chance_alone_could_be_perfect_nothing_is_told_apart() -> None:
    # Three images of four are positives: perfect scores put them apart by a quarter.
    assert measure_separation(apart=0.25, chance=0.25, prior=0.75) == 0
    assert measure_separation(apart=0.25, chance=0.5, prior=0.75) == 0
    assert measure_separation(apart=0.25, chance=0.125, prior=0.75) == 1
    assert measure_separation(apart=0.1875, chance=0.125, prior=0.75) == 0.5
    assert measure_separation(apart=0.0625, chance=0.125, prior=0.75) == 0


@pytest.mark.parametrize("apart", [0.15, 0.2, 0.3, 0.35])
def test_a_prior_agrees_with_the_separation_that_it_makes(apart: float) -> None:
    least, most, chance = 0.1, 0.6, 0.1
    prior = interpolate_prior(least, most, apart, chance)
    told = measure_separation(apart, chance, prior)
    assert prior == pytest.approx(least + told * (most - least)) and least < prior < most
    assert interpolate_prior(least, most, 0.9, chance) == most
    assert interpolate_prior(least, most, chance, chance) == least


def test_one_image_is_enough_to_begin_with() -> None:
    expected = ExpectedPositives(None)
    expected.begin(Annotations(torch.tensor([[1, 0, 1]], dtype=torch.int8), tuple("abc")))
    assert expected.value.item() == 2 and expected.priors.tolist() == [1, 0, 1]


@pytest.mark.parametrize("stated", [None, 1.5])
def test_after_an_epoch_the_number_is_estimated_again_unless_it_is_stated(
    stated: float | None,
) -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(600, 3, generator=generator) < 0.4
    known = truth & (torch.rand(600, 3, generator=generator) < 0.4)
    scores = (torch.randn(600, 3, generator=generator) + 6 * truth).sigmoid()
    expected = ExpectedPositives(stated)
    expected.begin(Annotations(known.to(torch.int8), tuple("abc")))
    shares = known.float().mean(0)
    assert expected.value.item() == pytest.approx(stated or shares.sum().item())
    asked = []

    def predict() -> Tensor:
        asked.append(1)
        return scores

    expected.end_epoch(predict)
    assert len(asked) == (stated is None)
    if stated is None:
        assert expected.value.item() == pytest.approx(expected.priors.sum().item())
        assert expected.value.item() == pytest.approx(1.2, abs=0.15)
        assert (expected.priors > 1.5 * shares).all() and (expected.told_apart > 0.5).all()
    else:
        assert expected.value.item() == 1.5
    with pytest.raises(RuntimeError, match="`begin` was not called"):
        ExpectedPositives(None).follow(scores)


def test_a_known_share_is_found_again() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(20_000, 1, generator=generator) < 0.3
    known = truth & (torch.rand(20_000, 1, generator=generator) < 0.4)
    scores = torch.randn(20_000, 1, generator=generator) + 4 * truth
    assert estimate_priors(scores, known).item() == pytest.approx(0.3, abs=0.03)


def drawn(separation: float, seed: int, images: int = 2000) -> tuple[Tensor, Tensor, Tensor]:
    """Draw scores of present and absent images with known positives among the present: the truth
    is 0.4, of which 0.3 are known."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(images, 6, generator=generator) < 0.4
    known = truth & (torch.rand(images, 6, generator=generator) < 0.3)
    return torch.randn(images, 6, generator=generator) + separation * truth, truth, known


def test_scores_that_tell_nothing_leave_what_is_known() -> None:
    scores, _, known = drawn(0, seed=5)
    for told in (scores, torch.zeros_like(scores)):
        torch.testing.assert_close(estimate_priors(told, known), known.double().mean(0))


def test_the_estimate_rises_with_what_scores_tell_and_does_not_overshoot() -> None:
    estimates = []
    for separation in (0.5, 1, 2, 3, 5):
        scores, _, known = drawn(separation, seed=5)
        estimates.append(estimate_priors(scores, known).mean().item())
    assert estimates[0] < 0.3 and 0.35 < estimates[-1] < 0.43
    assert max(estimates) < 0.55  # the bound from above is 0.9 for the first of them


def test_chance_alone_seldom_moves_the_estimate() -> None:
    generator = torch.Generator().manual_seed(11)
    known = torch.rand(1000, 500, generator=generator) < 0.03  # 500 classes, some 30 known each
    moved = estimate_priors(torch.randn(1000, 500, generator=generator), known)
    share = known.double().mean(0)
    assert 0 < (moved > share).sum() < 15  # one in a hundred, give or take


def test_few_known_positives_are_believed_less() -> None:
    scores, _, known = drawn(3, seed=5)
    few = known & (torch.arange(len(known)) % 40 == 0)[:, None]
    gain = estimate_priors(scores, few).mean() - few.double().mean()
    assert 0 < gain < 0.75 * (estimate_priors(scores, known).mean() - known.double().mean())


def test_the_estimate_is_never_below_what_is_known() -> None:
    known = torch.tensor([[True], [True], [True], [False]])
    assert estimate_priors(torch.tensor([[0.9], [0.2], [0.1], [0.8]]), known) >= 0.75


def test_a_class_without_a_known_positive_has_no_prior() -> None:
    known = torch.tensor([[True, False], [False, False]])
    assert estimate_priors(torch.rand(2, 2), known)[1] == 0


def test_expected_positives_are_stated_or_followed() -> None:
    labels = torch.tensor([[1, 0], [1, -1], [0, 0], [0, 1]], dtype=torch.int8)
    stated, followed = ExpectedPositives(1.5), ExpectedPositives(None)
    for expected in (stated, followed):
        expected.begin(Annotations(labels, ("boat", "car")))
    assert (stated.value.item(), followed.value.item()) == (1.5, 0.75)
    scores = torch.rand(4, 2)
    followed.follow(scores)
    assert followed.value.item() == pytest.approx(estimate_priors(scores, labels == 1).sum().item())


def test_the_end_of_an_epoch_moves_an_estimate_and_asks_nothing_for_a_stated_number() -> None:
    labels = torch.tensor([[1, 0], [1, -1], [0, 0], [0, 1]], dtype=torch.int8)
    stated, followed = ExpectedPositives(1.5), ExpectedPositives(None)
    scores = torch.rand(4, 2)
    for expected in (stated, followed):
        expected.begin(Annotations(labels, ("boat", "car")))
    stated.end_epoch(lambda: pytest.fail("predictions are costly"))
    followed.end_epoch(lambda: scores)
    assert stated.value.item() == 1.5
    assert followed.value.item() == pytest.approx(estimate_priors(scores, labels == 1).sum().item())


def test_the_penalty_is_the_squared_surplus_for_each_class() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 50.0, 50.0]])  # 2 and 3 positives
    assert ExpectedPositives(2.0).penalise(logits).item() == pytest.approx((0.5 / 4) ** 2)


def test_priors_and_separations_are_kept_with_the_method() -> None:
    scores, _, known = drawn(3, seed=5, images=500)
    expected = ExpectedPositives(2.0)  # stated: the number stays, the priors are followed
    labels = known.to(torch.int8)
    expected.begin(Annotations(labels, tuple("abcdef")))
    torch.testing.assert_close(expected.priors, known.float().mean(0))
    assert not expected.told_apart.any()
    expected.follow(scores)
    torch.testing.assert_close(expected.priors, estimate_priors(scores, known).float())
    assert expected.value.item() == 2.0 and (expected.told_apart > 0.3).all()
    assert {"value", "priors", "told_apart"} <= expected.state_dict().keys()


def test_following_without_a_beginning_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="begin"):
        ExpectedPositives(None).follow(torch.rand(2, 2))
