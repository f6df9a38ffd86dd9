"""Composes and draws the images of the generated data set `scenes`.

An image is decided in two steps. `compose` chooses what is in it and where, in coordinates from
0 to 1; `draw_scene` paints that composition at the size asked for. Both depend on nothing but the
seed and the number of the image, so a data set needs no files and no download.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tacit.data.scenes.glyphs import GLYPHS, Box, Colour, Pen, ring, shade

CLASSES: tuple[str, ...] = tuple(GLYPHS)

MOST_OBJECTS = 6
SMALLEST, LARGEST = 0.25, 0.38  # side of an object, as a share of the image's side
# Limits on overlap, as shares of the objects' squares: how much of one all later ones may cover,
# and how much of its own square a later one may lay over an earlier one.
MOST_COVERED, MOST_SHARED = 0.24, 0.20
SUPERSAMPLING = 3  # canvas pixels per finished pixel

# How often a kind of scene occurs, and how often each class occurs in it. The mixture makes the
# classes long-tailed (trees in nearly half of the images, mushrooms in one of sixteen) and
# makes them keep company: a boat says "sea" and so makes a fish likely.
THEME_SHARES = {"garden": 0.28, "sky": 0.18, "night": 0.20, "sea": 0.15, "town": 0.19}
CLASS_SHARES: dict[str, tuple[float, float, float, float, float]] = {
    "tree": (0.80, 0.15, 0.40, 0.06, 0.60),
    "cloud": (0.34, 0.90, 0.10, 0.58, 0.42),
    "sun": (0.42, 0.84, 0.01, 0.44, 0.28),
    "house": (0.30, 0.08, 0.38, 0.06, 0.78),
    "flower": (0.74, 0.05, 0.10, 0.02, 0.28),
    "star": (0.04, 0.06, 0.82, 0.14, 0.08),
    "moon": (0.03, 0.04, 0.74, 0.10, 0.04),
    "car": (0.05, 0.04, 0.10, 0.03, 0.62),
    "fish": (0.02, 0.03, 0.04, 0.68, 0.02),
    "boat": (0.02, 0.05, 0.04, 0.62, 0.02),
    "balloon": (0.04, 0.25, 0.02, 0.06, 0.05),
    "mushroom": (0.18, 0.01, 0.05, 0.01, 0.01),
}
REPEAT_SHARE = 0.15  # how often a class that is there is there twice

_THEME_LIMITS = np.cumsum(list(THEME_SHARES.values()))
_SHARES_BY_THEME = np.array([CLASS_SHARES[name] for name in CLASSES]).T
_ALL_COLOURS = tuple(colour for glyph in GLYPHS.values() for colour in glyph.main)


@dataclass(frozen=True)
class Placement:
    """One object of a composition, in shares of the image's side."""

    label: int
    x: float
    y: float
    size: float
    angle: float
    mirrored: bool
    main: Colour
    accent: Colour
    variant: float


@dataclass(frozen=True)
class SceneObject:
    """One object of a finished image; the box is x0, y0, x1, y1 in its pixels."""

    label: int
    box: Box


@dataclass(frozen=True)
class Scene:
    """A finished image, (S, S, 3), and everything that can be seen in it."""

    image: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]


def compose(seed: int, index: int) -> tuple[Placement, ...]:
    """Return what is in an image and where, without drawing it.

    Args:
        seed: Names the data set; not negative.
        index: Number of the image in it; not negative.

    Returns:
        One to six placements in drawing order, so later ones may cover a bit of earlier ones.
    """
    return _compose(_generator(seed, index))


def draw_scene(seed: int, index: int, size: int = 48) -> Scene:
    """Draw one image.

    Args:
        seed: Names the data set; not negative.
        index: Number of the image in it; not negative.
        size: Side of the image in pixels. It changes the resolution, not what is where.

    Returns:
        The image with the label and the box of each object.
    """
    rng = _generator(seed, index)
    placements = _compose(rng)
    side = size * SUPERSAMPLING
    canvas = _backdrop(rng, side)
    draw = ImageDraw.Draw(canvas)
    _clutter(draw, rng, side, count=int(rng.integers(2, 6)))
    objects = tuple(_draw_object(draw, placement, side) for placement in placements)
    _strokes(draw, rng, side, count=int(rng.integers(0, 2)))
    image = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32)
    # The grain comes last: it is the one thing whose amount of randomness depends on the size.
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 6))
    return Scene(np.clip(image + grain, 0, 255).astype(np.uint8), objects)


def _generator(seed: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, index))))


def _compose(rng: np.random.Generator) -> tuple[Placement, ...]:
    placed: list[Placement] = []
    squares: list[tuple[Box, float]] = []  # a square and the share of it that is covered so far
    for label in _choose_labels(rng):
        spot = _find_room(rng, squares)
        if spot is not None:  # an object without room is left out, and its label with it
            placed.append(_dress(rng, label, *spot))
    return tuple(placed)


def _choose_labels(rng: np.random.Generator) -> list[int]:
    """Draw the classes of one image in drawing order, with repeats."""
    while True:
        theme = min(int(np.searchsorted(_THEME_LIMITS, rng.random())), len(THEME_SHARES) - 1)
        present = rng.random(len(CLASSES)) < _SHARES_BY_THEME[theme]
        labels = np.flatnonzero(present)
        if 1 <= len(labels) <= MOST_OBJECTS:
            break
    repeated: list[int] = labels[rng.random(len(labels)) < REPEAT_SHARE].tolist()
    first: list[int] = rng.permutation(labels).tolist()
    # Repeats come last, so that it is they who go when there is no room.
    return (first + repeated)[:MOST_OBJECTS]


def _find_room(
    rng: np.random.Generator, squares: list[tuple[Box, float]]
) -> tuple[float, float, float] | None:
    """Find a centre and a side that cover little of what is already there."""
    for chance_x, chance_y, chance_side in rng.random((24, 3)).tolist():
        side = SMALLEST + (LARGEST - SMALLEST) * chance_side
        room = 1 - side
        left, top = room * chance_x, room * chance_y
        square = (left, top, left + side, top + side)
        covered = [_covered_share(other, square) for other, _ in squares]
        fits = all(
            before + now <= MOST_COVERED
            and now * (other[2] - other[0]) ** 2 <= MOST_SHARED * side**2
            for (other, before), now in zip(squares, covered, strict=True)
        )
        if fits:
            squares[:] = [
                (other, before + now) for (other, before), now in zip(squares, covered, strict=True)
            ]
            squares.append((square, 0.0))
            return left + side / 2, top + side / 2, side
    return None


def _covered_share(square: Box, other: Box) -> float:
    """Return the share of `square` that lies under `other`."""
    across = min(square[2], other[2]) - max(square[0], other[0])
    down = min(square[3], other[3]) - max(square[1], other[1])
    return max(across, 0.0) * max(down, 0.0) / (square[2] - square[0]) ** 2


def _dress(rng: np.random.Generator, label: int, x: float, y: float, size: float) -> Placement:
    """Give an object its colours, its turn and its variant."""
    glyph = GLYPHS[CLASSES[label]]
    turn, mirror, variant, pick_main, pick_accent = rng.random(5).tolist()
    shifts = rng.normal(0, 10, 6).tolist()
    return Placement(
        label=label,
        x=x,
        y=y,
        size=size,
        angle=0.4 * (turn - 0.5),
        mirrored=mirror < 0.5,
        main=_shifted(glyph.main[int(pick_main * len(glyph.main))], shifts[:3]),
        accent=_shifted(glyph.accent[int(pick_accent * len(glyph.accent))], shifts[3:]),
        variant=variant,
    )


def _shifted(colour: Colour, shifts: list[float]) -> Colour:
    red, green, blue = (
        min(255, max(0, round(channel + shift)))
        for channel, shift in zip(colour, shifts, strict=True)
    )
    return red, green, blue


def _draw_object(draw: ImageDraw.ImageDraw, placement: Placement, side: int) -> SceneObject:
    half = 0.5 * placement.size * side
    centre = (placement.x * side, placement.y * side)
    pen = Pen(draw, centre, half, placement.angle, placement.mirrored)
    GLYPHS[CLASSES[placement.label]].draw(pen, placement.main, placement.accent, placement.variant)
    box = pen.finish(rim=shade(placement.main, 0.45), width=_rim_width(side))
    x0, y0, x1, y1 = (min(max(edge, 0), side) / SUPERSAMPLING for edge in box)
    return SceneObject(placement.label, (x0, y0, x1, y1))


def _rim_width(side: int) -> int:
    return max(1, round(0.02 * side))


def _backdrop(rng: np.random.Generator, side: int) -> Image.Image:
    """Paint a background of two colours, mixed smoothly or in patches, at times with a hill."""
    hue, other, strength, dimness, tilt, height, hill = rng.random(7).tolist()
    near = _tint(hue, 0.15 + 0.45 * strength, 0.95 - 0.6 * dimness)
    far = _tint(hue + 0.3 * (other - 0.5), 0.15 + 0.45 * other, 0.95 - 0.6 * dimness * strength)
    columns, rows, smooth = _BACKDROPS[int(rng.integers(len(_BACKDROPS)))]
    mix = rng.random((rows, columns, 1))
    colours = mix * near + (1 - mix) * far + rng.normal(0, 7, (rows, columns, 3))
    small = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    canvas = small.resize((side, side), smooth)
    if hill < 0.4:
        top, wide = (0.25 + 0.65 * height) * side, (0.8 + other) * side
        middle = tilt * side
        colour = _tint(hue + 0.5 * (tilt - 0.5), 0.2 + 0.4 * strength, 0.9 - 0.5 * height)
        ImageDraw.Draw(canvas).ellipse(
            (middle - wide, top, middle + wide, top + 2 * side),
            fill=(round(colour[0]), round(colour[1]), round(colour[2])),
        )
    return canvas


def _tint(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


# Columns and rows of random colours, and how they are spread over the image.
_BACKDROPS = (
    (1, 2, Image.Resampling.BILINEAR),
    (2, 2, Image.Resampling.BILINEAR),
    (1, 4, Image.Resampling.NEAREST),
    (3, 3, Image.Resampling.BICUBIC),
    (7, 7, Image.Resampling.BICUBIC),
    (5, 5, Image.Resampling.NEAREST),
)


def _clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int, count: int) -> None:
    """Scatter blobs, shards and strokes in the colours of objects; none of them is a class."""
    for x, y, reach, kind, pick, turn in rng.random((count, 6)).tolist():
        colour = _ALL_COLOURS[int(pick * len(_ALL_COLOURS))]
        pen = Pen(draw, (x * side, y * side), (0.03 + 0.05 * reach) * side, 6.3 * turn, False)
        if kind < 0.25:
            pen.ellipse(0, 0, 0.9, 0.4 + 2 * kind, colour)
        elif kind < 0.5:
            pen.rectangle(-0.9, -kind, 0.9, kind, colour)
        elif kind < 0.75:
            pen.polygon(((-0.9, -kind), (0.9, 0.2 - kind), (0.1, 0.9)), colour)
        else:
            pen.polygon(ring(24, math.pi)[:13], colour)
        pen.finish(shade(colour, 0.45), width=_rim_width(side))
    _strokes(draw, rng, side, count=count // 2)


def _strokes(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int, count: int) -> None:
    """Draw thin bent lines."""
    width = max(1, round(0.015 * side))
    for x, y, across, down, bend, pick in rng.random((count, 6)).tolist():
        far_x, far_y = x + 0.6 * (across - 0.5), y + 0.6 * (down - 0.5)
        middle_x, middle_y = (x + far_x) / 2 + 0.3 * bend, (y + far_y) / 2 - 0.3 * bend
        points = ((x, y), (middle_x, middle_y), (far_x, far_y))
        colour = _ALL_COLOURS[int(pick * len(_ALL_COLOURS))]
        draw.line([(a * side, b * side) for a, b in points], fill=colour, width=width)
