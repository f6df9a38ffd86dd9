"""Strong views of a whole batch at once, on whatever device its pixels are.

The operations are those of the strong view that is made picture by picture, drawn alike for every
image from (seed, epoch, image); but they act on scaled pixels instead of the picture at its own
size, so that the two are alike and not equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from torch import Tensor

from tacit.images.in_memory import send
from tacit.images.views import USUAL, VIEWS, Strength

Operation = Callable[[Tensor, int], Tensor]
SIGNED = (
    ("shear x", "shear y", "translate x", "translate y", "rotate")
    + ("brightness", "colour", "contrast", "sharpness")
)  # fmt: skip
UNSIGNED = ("identity", "posterize", "solarize", "stretch contrast", "equalize")
NAMES = SIGNED + UNSIGNED


@cache
def operations(size: int, magnitude: int = USUAL.magnitude) -> dict[str, Operation]:
    """Return what can be done to pixels, (B, 3, S, S) uint8, in one direction or the other."""
    # torchvision takes seconds to import, and only strong views need it.
    from torchvision.transforms.v2 import functional as change

    level = magnitude / 30  # magnitudes are 31 steps, counted from 0
    shear = float(np.degrees(np.arctan(0.3 * level)))
    step = int(150 / 331 * size * level)
    affine = partial(change.affine, angle=0.0, translate=[0, 0], scale=1.0, shear=[0.0, 0.0])
    corner = {"center": [0, 0]}
    factor = 0.9 * level
    bits = int(round(8 - magnitude / 7.5))
    table: dict[str, Any] = {
        "shear x": lambda pixels, sign: affine(pixels, shear=[sign * shear, 0.0], **corner),
        "shear y": lambda pixels, sign: affine(pixels, shear=[0.0, sign * shear], **corner),
        "translate x": lambda pixels, sign: affine(pixels, translate=[sign * step, 0]),
        "translate y": lambda pixels, sign: affine(pixels, translate=[0, sign * step]),
        "rotate": lambda pixels, sign: change.rotate(pixels, angle=sign * 30 * level),
        "brightness": lambda pixels, sign: change.adjust_brightness(pixels, 1 + sign * factor),
        "colour": lambda pixels, sign: change.adjust_saturation(pixels, 1 + sign * factor),
        "contrast": lambda pixels, sign: change.adjust_contrast(pixels, 1 + sign * factor),
        "sharpness": lambda pixels, sign: change.adjust_sharpness(pixels, 1 + sign * factor),
        "identity": lambda pixels, sign: pixels,
        "posterize": lambda pixels, sign: change.posterize(pixels, bits),
        "solarize": lambda pixels, sign: change.solarize(pixels, 255 * (1 - level)),
        "stretch contrast": lambda pixels, sign: change.autocontrast(pixels),
        "equalize": lambda pixels, sign: change.equalize(pixels),
    }
    return table


def draw(
    seed: int, epoch: int, row: int, count: int = USUAL.operations
) -> tuple[list[tuple[str, int]], bool]:
    """Draw what happens to one image: operations with their directions, and whether to mirror."""
    generator = np.random.default_rng((seed, epoch, row, list(VIEWS).index("strong")))
    chosen = [NAMES[number] for number in generator.integers(0, len(NAMES), count)]
    signs = generator.choice([-1, 1], count)
    steps = [
        (name, int(sign) if name in SIGNED else 1) for name, sign in zip(chosen, signs, strict=True)
    ]
    return steps, bool(generator.random() < 0.5)


def batch_strong(
    pixels: Tensor, rows: list[int], seed: int, epoch: int, strength: Strength = USUAL
) -> Tensor:
    """Make strong views of scaled pixels, (B, 3, S, S) uint8.

    Images that draw the same operation are changed together. Which ones they are is known to the
    host, so that it never waits for the device.
    """
    drawn = [draw(seed, epoch, row, strength.operations) for row in rows]
    table, views = operations(pixels.shape[-1], strength.magnitude), pixels.clone()
    for turn in range(strength.operations):
        groups: dict[tuple[str, int], list[int]] = {}
        for place, (steps, _) in enumerate(drawn):
            groups.setdefault(steps[turn], []).append(place)
        for (name, sign), places in groups.items():
            here = send(places, pixels.device)
            views[here] = table[name](views[here], sign)
    mirrored = send([place for place, (_, mirror) in enumerate(drawn) if mirror], pixels.device)
    views[mirrored] = views[mirrored].flip(-1)
    return views
