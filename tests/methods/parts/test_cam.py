"""Maps brought to a common range, and images reduced to what their known objects activate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tacit.methods.parts.cam import Normalisation, Salient, keep_salient, normalise

# Three images with one known object each, and its map.
MAPS = torch.tensor(
    [[[0.0, 1.0], [2.0, 4.0]], [[1.0, 1.0], [0.0, 8.0]], [[-1.0, 3.0], [1.0, -2.0]]],
    dtype=torch.float64,
)
BATCH_RULES: list[Normalisation] = ["batch_minmax", "batch_div_max"]


def random_maps(images: int = 5, classes: int = 4, side: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, classes, side, side, generator=generator) * 2 - 1


def one_positive(images: int = 5, classes: int = 4) -> Tensor:
    return torch.eye(classes).bool()[torch.arange(images) % classes]


def reduce(cam: Tensor, positive: Tensor, threshold: float = 0.4, **options: Any) -> Salient:
    side = options.pop("side", 14)
    return keep_salient(torch.ones(len(cam), 3, side, side), cam, positive, threshold, **options)


# Worked by hand. Spatial: (map - its minimum) / (its maximum - its minimum). Over the batch, per
# pixel: minima are -1, 1, 0, -2 and maxima 1, 3, 2, 8. The functions released with the literature
# give the same; the first one's second value is (3 - 1) / 3.
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (
            "spatial",
            [[0.0, 0.25, 0.5, 1.0], [0.125, 0.125, 0.0, 1.0], [0.2, 1.0, 0.6, 0.0]],
        ),
        ("batch_minmax", [[0.5, 0.0, 1.0, 0.6], [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.5, 0.0]]),
        ("batch_div_max", [[1.0, 0.0, 1.0, 0.75], [2.0, 0.0, 0.0, 1.25], [0.0, 2 / 3, 0.5, 0.0]]),
    ],
)
def test_scaled_maps_are_the_literatures(how: Normalisation, expected: list[list[float]]) -> None:
    scaled, flat = normalise(MAPS[:, None], torch.ones(3, 1, dtype=torch.bool), how)
    torch.testing.assert_close(
        scaled.view(3, 4), torch.tensor(expected, dtype=torch.float64), rtol=1e-7, atol=1e-7
    )
    assert not flat.any()


@pytest.mark.parametrize("how", BATCH_RULES)
def test_extremes_over_a_batch_leave_slots_without_an_object_out(how: Normalisation) -> None:
    alone, _ = normalise(MAPS[:, None], torch.ones(3, 1, dtype=torch.bool), how)
    empty = torch.full((3, 1, 2, 2), 100.0, dtype=torch.float64)
    empty[1] = -100
    valid = torch.tensor([[True, False]] * 3)
    beside, _ = normalise(torch.cat([MAPS[:, None], empty], 1), valid, how)
    assert torch.equal(beside[:, :1], alone)


def test_a_map_is_scaled_upsampled_and_cut() -> None:
    # Worked by hand from bilinear weights 1, 3/4 and 1/4 between the corners 0, 1/4, 1/2 and 1:
    # [0, .0625, .1875, .25], [.125, .203125, .359375, .4375], [.375, .484375, .703125, .8125],
    # [.5, .625, .875, 1].
    expected = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    salient = reduce(MAPS[:1, None], torch.tensor([[True]]), side=4)
    assert salient.mask[0].int().tolist() == expected
    assert salient.located.tolist() == [True]
    assert salient.images[0].int().tolist() == [expected] * 3


# Computed by running the function released with the literature on images of ones.
RELEASED_MASKS = [
    [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]],
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1]],
    [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]],
]


@pytest.mark.parametrize("most_positives", [None, 1, 2])
def test_the_released_mask_is_repeated(most_positives: int | None) -> None:
    positive = torch.tensor([[1, 0], [0, 1], [1, 0]]).bool()
    cam = torch.zeros(3, 2, 2, 2, dtype=torch.float64)
    cam[positive] = MAPS
    salient = reduce(cam, positive, side=4, how="batch_div_max", most_positives=most_positives)
    assert salient.mask.int().tolist() == RELEASED_MASKS


@pytest.mark.parametrize("how", BATCH_RULES)
def test_over_a_batch_a_single_known_object_is_hidden_too(how: Normalisation) -> None:
    # The extremes over one map are the map itself, so that nothing is left; also where the
    # division is 0 / 0.
    positive = torch.tensor([[False, True], [False, False]])
    cam = random_maps(2, 2)
    cam[0, 1, 3] = 0
    salient = reduce(cam, positive, how=how)
    assert salient.mask[0].sum() == 0
    assert salient.mask[1].all(), "an image without a known object stays whole"
    assert salient.located.tolist() == [True, False]


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 100.0), (1.0, -3.0), (7.0, 0.0), (0.01, 2.0)])
def test_the_spatial_mask_ignores_scale_and_shift(factor: float, shift: float) -> None:
    cam, positive = random_maps().double(), one_positive()
    assert torch.equal(reduce(factor * cam + shift, positive).mask, reduce(cam, positive).mask)


@pytest.mark.parametrize(
    ("how", "alone"), [("spatial", True), ("batch_minmax", False), ("batch_div_max", False)]
)
def test_only_the_spatial_mask_ignores_the_neighbours(how: Normalisation, alone: bool) -> None:
    cam, positive = random_maps(), one_positive()
    together = reduce(cam, positive, how=how).mask
    by_itself = torch.cat(
        [reduce(cam[i : i + 1], positive[i : i + 1], how=how).mask for i in range(len(cam))]
    )
    assert torch.equal(together, by_itself) == alone


def test_a_higher_threshold_keeps_less() -> None:
    cam, positive = random_maps(), one_positive()
    masks = [reduce(cam, positive, threshold).mask for threshold in (0.0, 0.2, 0.4, 0.8, 0.95)]
    for lower, higher in zip(masks, masks[1:], strict=False):
        assert not (higher & ~lower).any()
        assert higher.sum() < lower.sum()
    assert reduce(cam, positive, -0.01).mask.all()
    assert not reduce(cam, positive, 1.0).mask.any()


@pytest.mark.parametrize(("span", "located"), [(0.9e-8, False), (1e-8, True), (1.9e-8, True)])
def test_a_map_points_nowhere_if_its_values_are_closer_than_a_hundred_millionth(
    span: float, located: bool
) -> None:
    """As much is added to the span when a map is scaled: one of this span reaches a half."""
    cam = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    cam[0, 0, 1, 1] = span
    salient = reduce(cam, torch.tensor([[True]]))
    assert salient.located.tolist() == [located]
    assert bool(salient.mask.all()) == (not located)
    scaled, _ = normalise(cam, torch.tensor([[True]]))
    assert scaled.max().item() == pytest.approx(span / (span + 1e-8), rel=1e-9)


def test_only_the_maps_of_known_objects_count() -> None:
    cam, positive = random_maps(), one_positive()
    elsewhere = torch.where(positive[..., None, None], cam, torch.nan)
    assert torch.equal(reduce(elsewhere, positive).mask, reduce(cam, positive).mask)


def test_an_image_without_a_known_object_stays_whole() -> None:
    cam, positive = random_maps(), one_positive()
    positive[2] = False
    salient = reduce(cam, positive)
    assert salient.located.tolist() == [True, True, False, True, True]
    assert salient.mask[2].all()
    assert salient.images[2].all()
    rest = [0, 1, 3, 4]
    assert torch.equal(salient.mask[rest], reduce(cam[rest], positive[rest]).mask)


@pytest.mark.parametrize("most_positives", [None, 0, 1, 3])
def test_a_batch_without_known_objects_stays_whole(most_positives: int | None) -> None:
    nothing = torch.zeros(5, 4, dtype=torch.bool)
    for how in ("spatial", *BATCH_RULES):
        salient = reduce(random_maps(), nothing, how=how, most_positives=most_positives)
        assert salient.mask.all()
        assert not salient.located.any()


def test_several_known_objects_are_kept_together() -> None:
    cam = random_maps(1, 4)
    both = torch.tensor([[True, False, False, True]])
    first, second = torch.tensor([[True] + [False] * 3]), torch.tensor([[False] * 3 + [True]])
    expected = reduce(cam, first, 0.7).mask | reduce(cam, second, 0.7).mask
    assert torch.equal(reduce(cam, both, 0.7).mask, expected)
    assert 0 < expected.sum() < expected.numel()


def test_rooms_for_more_objects_change_nothing() -> None:
    cam = random_maps()
    positive = one_positive()
    positive[1, 3] = positive[4, 1] = True
    exact = reduce(cam, positive)
    roomy = reduce(cam, positive, most_positives=4)
    assert torch.equal(roomy.mask, exact.mask)
    assert torch.equal(roomy.located, exact.located)


def test_a_map_that_points_nowhere_hides_nothing() -> None:
    cam, positive = random_maps(), one_positive()
    cam[1, 1] = 3.7
    salient = reduce(cam, positive)
    assert salient.located.tolist() == [True, False, True, True, True]
    assert salient.mask[1].all()


def test_relu_drops_negative_activation_before_scaling() -> None:
    cam, positive = random_maps(), one_positive()
    dropped = reduce(cam, positive, relu=True)
    assert torch.equal(dropped.mask, reduce(cam.relu(), positive).mask)
    assert not torch.equal(dropped.mask, reduce(cam, positive).mask)


def test_relu_of_a_negative_map_points_nowhere() -> None:
    cam, positive = random_maps(), one_positive()
    cam[1, 1] = -cam[1, 1].abs() - 0.1
    assert reduce(cam, positive).located.all()
    salient = reduce(cam, positive, relu=True)
    assert salient.located.tolist() == [True, False, True, True, True]
    assert salient.mask[1].all()


def test_hidden_pixels_take_the_fill() -> None:
    cam, positive = random_maps(), one_positive()
    images = torch.randn(5, 3, 14, 14, generator=torch.Generator().manual_seed(1))
    fill = torch.tensor([-2.0, 5.0, 0.5]).view(1, 3, 1, 1)
    plain = keep_salient(images, cam, positive, 0.4)
    filled = keep_salient(images, cam, positive, 0.4, fill=fill)
    assert torch.equal(filled.mask, plain.mask)
    hidden = ~plain.mask[:, None]
    assert torch.equal(plain.images, torch.where(hidden, 0.0, images))
    assert torch.equal(filled.images, torch.where(hidden, fill, images))


def test_half_precision_maps_are_scaled_in_full() -> None:
    cam, positive = random_maps().bfloat16(), one_positive()
    assert torch.equal(reduce(cam, positive).mask, reduce(cam.float(), positive).mask)


def test_no_gradient_passes_through_the_mask() -> None:
    cam = random_maps().requires_grad_()
    assert not reduce(cam, one_positive()).images.requires_grad
