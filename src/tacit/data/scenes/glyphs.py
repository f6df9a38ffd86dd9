"""The twelve little things that the generated scenes are made of, and the pen that draws them.

Every glyph is a small function that draws inside the square from -1 to 1, with x to the right and
y downwards; the pen turns, mirrors, scales and moves it to its place. To add a class, write its
function, give it colours and add a line to `GLYPHS`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]

WHITE: Colour = (246, 244, 238)
INK: Colour = (38, 36, 48)
GLASS: Colour = (190, 226, 240)
WOOD: Colour = (116, 76, 46)


def ring(corners: int, start: float = 0.0) -> tuple[Point, ...]:
    """Return the corners of a regular polygon on the unit circle.

    Args:
        corners: How many corners there are.
        start: Angle of the first corner, in radians.
    """
    angles = (start + 2 * math.pi * corner / corners for corner in range(corners))
    return tuple((math.cos(angle), math.sin(angle)) for angle in angles)


def spikes(count: int, inner: float, outer: float = 1.0) -> tuple[Point, ...]:
    """Return a star with `count` points, the first of which looks up."""
    corners = ring(2 * count, -math.pi / 2)
    radii = (outer, inner) * count
    return tuple((x * radius, y * radius) for (x, y), radius in zip(corners, radii, strict=True))


CIRCLE = ring(16)


class Pen:
    """Draws the shapes of one object in the object's own coordinates.

    Shapes are collected first and drawn together at the end: all rims before all fills, so that
    the object gets one outline around the whole of it and none between its parts.
    """

    def __init__(
        self,
        draw: ImageDraw.ImageDraw,
        centre: Point,
        half: float,
        angle: float,
        mirrored: bool,
    ) -> None:
        """Place the pen.

        Args:
            draw: The canvas.
            centre: Where the object's own (0, 0) lies on the canvas, in canvas pixels.
            half: Half the side of the object's square, in canvas pixels.
            angle: By how much the object is turned, in radians.
            mirrored: Whether left and right are exchanged.
        """
        self._draw = draw
        self._centre = centre
        self._half = half
        cosine, sine = half * math.cos(angle), half * math.sin(angle)
        side = -1.0 if mirrored else 1.0
        self._from_x = (side * cosine, side * sine)
        self._from_y = (-sine, cosine)
        self._shapes: list[tuple[list[Point], Colour, bool]] = []

    def polygon(self, points: Sequence[Point], colour: Colour, inside: bool = False) -> None:
        """Add a filled polygon; one that lies `inside` others gets no rim."""
        (across, down), (skew, fall), (left, top) = self._from_x, self._from_y, self._centre
        placed = [(left + across * x + skew * y, top + down * x + fall * y) for x, y in points]
        self._shapes.append((placed, colour, inside))

    def ellipse(
        self, x: float, y: float, wide: float, high: float, colour: Colour, inside: bool = False
    ) -> None:
        """Add a filled ellipse around (x, y) with the half axes `wide` and `high`."""
        points = [(x + wide * across, y + high * down) for across, down in CIRCLE]
        self.polygon(points, colour, inside)

    def rectangle(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        inside: bool = False,
    ) -> None:
        """Add a filled rectangle."""
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        self.polygon(corners, colour, inside)

    def finish(self, rim: Colour, width: int) -> Box:
        """Draw everything that was added and return the box around it, in canvas pixels.

        Args:
            rim: Colour of the outline around the whole object.
            width: Width of the line that makes the rim; half of it shows.
        """
        outlined = [points for points, _, inside in self._shapes if not inside]
        for points in outlined:
            self._draw.line([*points, points[0], points[1]], fill=rim, width=width)
        for points, colour, _ in self._shapes:
            self._draw.polygon(points, fill=colour)
        across = [x for points in outlined for x, _ in points]
        down = [y for points in outlined for _, y in points]
        edge = width / 2
        return min(across) - edge, min(down) - edge, max(across) + edge, max(down) + edge


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made darker (factor below 1) or lighter (above 1)."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def draw_tree(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a fir of two storeys or a tree with a round crown."""
    pen.rectangle(-0.14, 0.3, 0.14, 1.0, accent)
    if variant < 0.5:
        pen.polygon(((0, -0.35), (0.8, 0.62), (-0.8, 0.62)), main)
        pen.polygon(((0, -1.0), (0.6, 0.1), (-0.6, 0.1)), shade(main, 1.15))
    else:
        pen.ellipse(-0.32, -0.05, 0.5, 0.48, main)
        pen.ellipse(0.34, -0.08, 0.48, 0.46, main)
        pen.ellipse(0.0, -0.5, 0.52, 0.5, shade(main, 1.12))


def draw_cloud(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw three heaps on a flat base."""
    peak = 0.1 * variant
    pen.ellipse(-0.55, 0.18, 0.45, 0.36, main)
    pen.ellipse(0.55, 0.2, 0.45, 0.34, main)
    pen.ellipse(-0.05 + peak, -0.12, 0.5, 0.5, main)
    pen.rectangle(-0.6, 0.2, 0.6, 0.54, main)
    pen.ellipse(-0.05 + peak, -0.18, 0.42, 0.36, accent, inside=True)
    pen.ellipse(-0.55, 0.14, 0.34, 0.24, accent, inside=True)


def draw_sun(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a disc with pointed rays all around."""
    pen.polygon(spikes(8 if variant < 0.5 else 10, 0.62), main)
    pen.ellipse(0, 0, 0.56, 0.56, accent, inside=True)


def draw_house(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw walls, a gable roof, a door and a window."""
    pen.rectangle(-0.7, -0.1, 0.7, 0.9, main)
    if variant < 0.5:
        pen.rectangle(0.35, -0.85, 0.6, -0.2, shade(accent, 0.8))
    pen.polygon(((-0.95, -0.05), (0, -0.95), (0.95, -0.05)), accent)
    pen.rectangle(-0.5, 0.25, -0.1, 0.9, WOOD, inside=True)
    pen.rectangle(0.12, 0.15, 0.52, 0.52, GLASS, inside=True)


def draw_flower(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw petals around a heart, on a stem or seen from above."""
    on_stem = variant < 0.5
    radius, top = (0.7, -0.28) if on_stem else (0.95, 0.0)
    if on_stem:
        pen.rectangle(-0.08, 0.0, 0.08, 1.0, (58, 132, 62))
        pen.polygon(((0, 0.85), (0.5, 0.35), (0.42, 0.75)), (72, 150, 70))
    petal = 0.4 * radius
    for across, down in ring(5 if variant % 0.5 < 0.25 else 6, -math.pi / 2):
        reach = radius - petal
        pen.ellipse(reach * across, top + reach * down, petal, petal, main)
    pen.ellipse(0, top, 0.36 * radius, 0.36 * radius, accent, inside=True)


def draw_star(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a star with five points and a light heart."""
    inner = 0.42 + 0.1 * variant
    pen.polygon(spikes(5, inner), main)
    pen.polygon(spikes(5, inner * 0.55, 0.5), accent, inside=True)


def draw_moon(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a crescent, thin or thick."""
    # The hollow is a circle through both horns; the further right its centre, the fuller the moon.
    outer = [(0.12 + 0.95 * x, 0.95 * y) for x, y in ring(30, math.radians(48))[:23]]
    horn_x, horn_y = outer[0]
    centre = 0.4 + 0.3 * variant
    radius = math.hypot(horn_x - centre, horn_y)
    # Twelve chords from the lower horn, around the left, to the upper one.
    begin = math.atan2(horn_y, horn_x - centre)
    turns = (begin + 2 * (math.pi - begin) * step / 12 for step in range(12, -1, -1))
    hollow = [(centre + radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]
    pen.polygon(outer + hollow, main)
    pen.ellipse(-0.5, -0.2, 0.12, 0.14, accent, inside=True)
    pen.ellipse(-0.42, 0.3, 0.09, 0.1, accent, inside=True)


def draw_car(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a car from the side: body, cabin, windows and two wheels."""
    slope = 0.15 + 0.15 * variant
    pen.polygon(((-0.6, 0.0), (-0.6 + slope, -0.55), (0.3, -0.55), (0.62, 0.0)), main)
    pen.polygon(
        ((-0.98, -0.05), (0.75, -0.05), (0.98, 0.12), (0.98, 0.42), (-0.98, 0.42)),
        shade(main, 0.88),
    )
    pen.polygon(((-0.38, -0.05), (-0.5 + slope, -0.4), (-0.1, -0.4), (-0.1, -0.05)), GLASS, True)
    pen.polygon(((0.04, -0.05), (0.04, -0.4), (0.24, -0.4), (0.42, -0.05)), GLASS, True)
    for axle in (-0.52, 0.52):
        pen.ellipse(axle, 0.4, 0.26, 0.26, INK)
        pen.ellipse(axle, 0.4, 0.12, 0.12, accent, inside=True)


def draw_fish(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a fish with a tail, fins, a stripe and an eye."""
    belly = 0.5 + 0.1 * variant
    pen.polygon(((0.3, 0.0), (0.98, -0.65), (0.82, 0.0), (0.98, 0.65)), accent)
    pen.polygon(((-0.4, -0.3), (0.1, -0.85), (0.3, -0.25)), accent)
    pen.ellipse(-0.22, 0.0, 0.74, belly, main)
    pen.polygon(((-0.02, -0.45), (0.17, -0.4), (0.17, 0.4), (-0.02, 0.45)), accent, inside=True)
    pen.ellipse(-0.56, -0.1, 0.15, 0.15, WHITE, inside=True)
    pen.ellipse(-0.58, -0.1, 0.08, 0.08, INK, inside=True)


def draw_boat(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a hull with a mast and one sail or two."""
    pen.rectangle(-0.06, -0.95, 0.06, 0.4, WOOD)
    pen.polygon(((0.1, -0.92), (0.8, 0.25), (0.1, 0.25)), accent)
    if variant < 0.6:
        pen.polygon(((-0.1, -0.65), (-0.65, 0.25), (-0.1, 0.25)), shade(accent, 0.9))
    pen.polygon(((-0.98, 0.38), (0.98, 0.38), (0.62, 0.92), (-0.62, 0.92)), main)


def draw_balloon(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a striped hot-air balloon with its basket."""
    pen.polygon(((-0.52, 0.1), (0.52, 0.1), (0.2, 0.66), (-0.2, 0.66)), main)
    pen.rectangle(-0.2, 0.7, 0.2, 0.98, WOOD)
    pen.ellipse(0, -0.28, 0.72, 0.7, main)
    stripe = 0.18 + 0.08 * variant
    pen.ellipse(0, -0.28, stripe, 0.7, accent, inside=True)
    pen.polygon(((-stripe, 0.0), (stripe, 0.0), (0.08, 0.66), (-0.08, 0.66)), accent, inside=True)


def draw_mushroom(pen: Pen, main: Colour, accent: Colour, variant: float) -> None:
    """Draw a domed cap with spots on a pale stem."""
    thick = 0.22 + 0.08 * variant
    pen.polygon(((-thick, 0.0), (thick, 0.0), (thick + 0.1, 0.95), (-thick - 0.1, 0.95)), WHITE)
    dome = [(0.92 * x, 0.15 + 1.0 * y) for x, y in ring(24, math.pi)[:13]]
    pen.polygon(dome, main)
    pen.ellipse(-0.45, -0.2, 0.19, 0.17, accent, inside=True)
    pen.ellipse(0.1, -0.5, 0.2, 0.18, accent, inside=True)
    pen.ellipse(0.5, -0.1, 0.16, 0.15, accent, inside=True)


@dataclass(frozen=True)
class Glyph:
    """How one class looks: the function that draws it and the colours it comes in."""

    draw: Callable[[Pen, Colour, Colour, float], None]
    main: tuple[Colour, ...]
    accent: tuple[Colour, ...]


RED, ORANGE, YELLOW = (212, 62, 54), (240, 146, 50), (250, 208, 66)
GREEN, LIME, TEAL = (60, 136, 70), (132, 176, 66), (44, 150, 150)
BLUE, SKY, PURPLE = (58, 104, 190), (132, 188, 230), (140, 88, 182)
PINK, CREAM, GREY = (238, 132, 172), (250, 236, 190), (168, 176, 190)

# Colours are shared on purpose: yellow may be a sun, a star, a moon, a flower or a car, so a
# classifier that knows colours alone stays mediocre.
GLYPHS: dict[str, Glyph] = {
    "tree": Glyph(draw_tree, (GREEN, LIME, GREEN, TEAL, ORANGE), (WOOD,)),
    "cloud": Glyph(draw_cloud, (WHITE, GREY, SKY, CREAM), (WHITE,)),
    "sun": Glyph(draw_sun, (YELLOW, ORANGE, RED), (YELLOW, CREAM, ORANGE)),
    "house": Glyph(draw_house, (CREAM, WHITE, PINK, YELLOW, SKY), (RED, WOOD, BLUE, TEAL, GREY)),
    "flower": Glyph(draw_flower, (PINK, PINK, PURPLE, WHITE, RED), (YELLOW, ORANGE)),
    "star": Glyph(draw_star, (YELLOW, YELLOW, CREAM, WHITE), (CREAM, YELLOW)),
    "moon": Glyph(draw_moon, (YELLOW, YELLOW, CREAM, WHITE), (GREY, ORANGE)),
    "car": Glyph(draw_car, (RED, BLUE, YELLOW, GREEN, PURPLE, GREY), (GREY, WHITE)),
    "fish": Glyph(draw_fish, (ORANGE, BLUE, TEAL, RED), (YELLOW, SKY, WHITE)),
    "boat": Glyph(draw_boat, (RED, WOOD, BLUE, GREEN), (WHITE, CREAM, RED)),
    "balloon": Glyph(draw_balloon, (RED, BLUE, PURPLE, ORANGE), (YELLOW, WHITE)),
    "mushroom": Glyph(draw_mushroom, (RED, ORANGE, WOOD, PURPLE), (WHITE, CREAM)),
}
