"""Views: one image as a network gets to see it, 8-bit, (3, S, S).

Random views draw from torch's own generator, seeded by `seeded` from (seed, epoch, image, view),
so that a view depends on nothing else: not on workers, not on processes, not on other images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor


@dataclass(frozen=True)
class Strength:
    """Of a strong view: how many operations, and how large of 30; by default the literature's."""

    operations: int = 3
    magnitude: int = 5


USUAL = Strength()
View = Callable[[Image.Image, int], Tensor]


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Give torch's generator a state derived from the numbers, and its old state back after."""
    generator = torch.default_generator
    state = generator.get_state()
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    generator.manual_seed(int(mixed[0]))
    try:
        yield
    finally:
        generator.set_state(state)


def to_pixels(image: Image.Image) -> Tensor:
    """Return the image's pixels as a tensor, (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def resized(image: Image.Image, size: int) -> Image.Image:
    """Scale to a square, ignoring the aspect ratio as the literature does."""
    return image.resize((size, size), Image.Resampling.BILINEAR)


def is_mirrored() -> bool:
    """Draw whether a weak view is mirrored."""
    return bool(torch.rand(()) < 0.5)


def plain(image: Image.Image, size: int) -> Tensor:
    """The view of evaluation: scaled and nothing else."""
    return to_pixels(resized(image, size))


def weak(image: Image.Image, size: int) -> Tensor:
    """Scaled, and mirrored half of the time."""
    scaled = resized(image, size)
    return to_pixels(ImageOps.mirror(scaled) if is_mirrored() else scaled)


def strong(image: Image.Image, size: int, strength: Strength = USUAL) -> Tensor:
    """RandAugment at the image's own size, then a weak view."""
    return weak(_rand_augment(strength)(image), size)


@cache
def _rand_augment(strength: Strength) -> Any:
    # torchvision takes seconds to import, and only strong views need it.
    from torchvision.transforms.v2 import RandAugment

    return RandAugment(num_ops=strength.operations, magnitude=strength.magnitude)


def scaled_fast(image: Image.Image, size: int) -> Tensor:
    """Return the plain view, scaled by torch: within one level of Pillow's, and faster."""
    from torchvision.transforms.v2.functional import resize

    scaled: Tensor = resize(to_pixels(image), [size, size], antialias=True)
    return scaled


VIEWS: dict[str, View] = {"plain": plain, "weak": weak, "strong": strong}


def make_view(name: str, image: Image.Image, size: int, strength: Strength = USUAL) -> Tensor:
    """Return one view of an image, by name."""
    return strong(image, size, strength) if name == "strong" else VIEWS[name](image, size)
