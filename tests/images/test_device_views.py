"""Strong views of whole batches: the operations of the view made picture by picture."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import RandAugment

from tacit.images.device_views import NAMES, SIGNED, batch_strong, draw, operations
from tacit.images.views import USUAL

SIZE, IMAGES = 40, 24
# What torchvision calls them.
THEIRS = {
    "shear x": "ShearX",
    "shear y": "ShearY",
    "translate x": "TranslateX",
    "translate y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "colour": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "identity": "Identity",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "stretch contrast": "AutoContrast",
    "equalize": "Equalize",
}


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(IMAGES, 3, 5, 5, generator=generator)
    large = torch.nn.functional.interpolate(small, (SIZE, SIZE), mode="bilinear")
    return (200 * large + 20).byte()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_the_usual_one(
    name: str, sign: int, pixels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = RandAugment(num_ops=1, magnitude=USUAL.magnitude)
    only = {THEIRS[name]: usual._AUGMENTATION_SPACE[THEIRS[name]]}
    monkeypatch.setattr(usual, "_AUGMENTATION_SPACE", only)
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.25 if sign < 0 else 0.75))
    expected = torch.stack([usual(picture) for picture in pixels])
    found = operations(SIZE)[name](pixels, sign if name in SIGNED else 1)
    # Within a level: sums of many pixels are rounded differently than those of few.
    assert (found.int() - expected.int()).abs().max() <= (name == "colour")
    assert name == "identity" or not torch.equal(found, pixels)


def test_all_operations_are_there_and_drawn_alike() -> None:
    assert {*THEIRS.values()} == {*RandAugment._AUGMENTATION_SPACE}
    drawn = [draw(0, epoch, row) for epoch in range(20) for row in range(200)]
    counts = Counter(name for steps, _ in drawn for name, _ in steps)
    expected = USUAL.operations * len(drawn) / len(NAMES)
    assert all(abs(counts[name] - expected) < 5 * expected**0.5 for name in NAMES)
    signs = Counter(sign for steps, _ in drawn for name, sign in steps if name in SIGNED)
    assert 0.45 < signs[1] / signs.total() < 0.55
    assert 0.45 < sum(mirror for _, mirror in drawn) / len(drawn) < 0.55


def test_a_view_depends_on_seed_epoch_and_image_alone(pixels: Tensor) -> None:
    rows = list(range(IMAGES))
    whole = batch_strong(pixels, rows, 0, 1)
    for part in (rows[:7], rows[7:], [3]):
        assert torch.equal(batch_strong(pixels[part], part, 0, 1), whole[part])
    for other in (batch_strong(pixels, rows, 1, 1), batch_strong(pixels, rows, 0, 2)):
        changed = (other != whole).flatten(1).any(1)
        assert changed.float().mean() > 0.8


def test_the_views_are_what_was_drawn_one_after_the_other(pixels: Tensor) -> None:
    before = pixels.clone()
    views = batch_strong(pixels, list(range(IMAGES)), 5, 3)
    for row in range(IMAGES):
        steps, mirror = draw(5, 3, row)
        picture = pixels[row][None]
        for name, sign in steps:
            picture = operations(SIZE)[name](picture, sign)
        assert torch.equal(views[row], (picture.flip(-1) if mirror else picture)[0])
    assert torch.equal(pixels, before)
    assert views.dtype == torch.uint8
