"""Views: pixels exactly as the imaging library makes them, and chance that is repeatable."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tacit.config import DataConfig
from tacit.images import views as transforms
from tacit.images.views import (
    USUAL,
    VIEWS,
    Strength,
    make_view,
    plain,
    seeded,
    strong,
    to_pixels,
    weak,
)

SIZE = 24


def picture(seed: int = 0) -> Image.Image:
    """Make a picture that is wider than high and not symmetrical."""
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def reference(image: Image.Image) -> Tensor:
    resized = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def seen(view: str, *numbers: int) -> Tensor:
    with seeded(*numbers):
        return VIEWS[view](picture(), SIZE)


def test_pixels_keep_their_place_and_type() -> None:
    pixels = to_pixels(picture())
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (3, 30, 40)
    assert tuple(pixels[:, 7, 31].tolist()) == picture().getpixel((31, 7))


def test_the_plain_view_is_scaled_and_nothing_else() -> None:
    state = torch.get_rng_state()
    assert torch.equal(plain(picture(), SIZE), reference(picture()))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_weak_view_is_scaled_and_mirrored_half_of_the_time() -> None:
    upright = reference(picture())
    mirrored = reference(ImageOps.mirror(picture()))
    assert torch.equal(mirrored, upright.flip(2))
    with seeded(0):
        views = [weak(picture(), SIZE) for _ in range(400)]
    times = sum(torch.equal(view, mirrored) for view in views)
    assert all(torch.equal(view, mirrored) or torch.equal(view, upright) for view in views)
    assert 160 <= times <= 240  # four standard deviations


def test_the_strong_view_changes_colours_and_shapes() -> None:
    upright = reference(picture())
    views = [seen("strong", number) for number in range(30)]
    assert all(view.shape == (3, SIZE, SIZE) and view.dtype == torch.uint8 for view in views)
    untouched = sum(torch.equal(v, upright) or torch.equal(v.flip(2), upright) for v in views)
    assert untouched < 5
    assert len({view.numpy().tobytes() for view in views}) > 20


def test_the_strong_view_is_made_at_the_images_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def augment(image: Image.Image) -> Image.Image:
        sizes.append(image.size)
        return image

    monkeypatch.setattr(transforms, "_rand_augment", lambda strength: augment)
    with seeded(0):
        view = strong(picture(), SIZE)
    assert sizes == [(40, 30)]
    upright = reference(picture())
    assert torch.equal(view, upright) or torch.equal(view, upright.flip(2))


def test_the_strong_view_is_three_operations_of_magnitude_five_or_what_is_asked() -> None:
    for strength, expected in ((USUAL, (3, 5)), (Strength(1, 30), (1, 30))):
        augment = transforms._rand_augment(strength)
        assert type(augment).__name__ == "RandAugment"
        assert (augment.num_ops, augment.magnitude) == expected
    data = DataConfig()
    assert Strength(data.strong_operations, data.strong_magnitude) == USUAL


def test_a_stronger_view_differs_more() -> None:
    def difference(strength: Strength) -> float:
        gaps = []
        for number in range(40):
            with seeded(number):
                view = make_view("strong", picture(), SIZE, strength)
            with seeded(number):
                usual = strong(picture(), SIZE)
            gaps.append((view.float() - usual.float()).abs().mean().item())
        return sum(gaps) / len(gaps)

    assert difference(USUAL) == 0 < difference(Strength(3, 6)) < difference(Strength(3, 30))


@pytest.mark.parametrize("view", VIEWS)
def test_the_same_numbers_give_the_same_view(view: str) -> None:
    for numbers in ((1, 2, 3, 4), (5,)):
        assert torch.equal(seen(view, *numbers), seen(view, *numbers))


def test_a_view_leaves_the_image_alone() -> None:
    image = picture()
    for view in VIEWS.values():
        view(image, SIZE)
    assert np.array_equal(np.array(image), np.array(picture()))


def test_seeding_gives_all_generators_back() -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    with pytest.raises(ZeroDivisionError), seeded(1, 2):
        strong(picture(), SIZE)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])


def test_every_number_counts_and_so_does_their_order() -> None:
    drawn = set()
    for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 0, 2)):
        with seeded(*numbers):
            drawn.add(torch.rand(()).item())
    assert len(drawn) == 6
