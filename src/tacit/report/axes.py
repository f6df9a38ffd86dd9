"""Chart axes: round ticks, positions on the drawing, numbers written for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A stretch of values, its place on the drawing and its ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    decimals: int

    def place(self, value: float) -> float:
        """Return where a value lies on the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def write(self, value: float, extra: int = 0) -> str:
        """Write a value as exactly as the ticks are, or with ``extra`` more decimals."""
        return write_number(value, self.decimals + extra)


def make_axis(
    values: Sequence[float], start: float, end: float, most: int, widen: bool = False
) -> Axis:
    """Choose round ticks for values.

    Args:
        values: Every value that must fit; at least one.
        start: Where the lowest value lies on the drawing.
        end: Where the highest value lies.
        most: The most steps between ticks inside the values.
        widen: End the axis on ticks; otherwise it ends with the values.
    """
    low, high = min(values), max(values)
    whole = all(float(value).is_integer() for value in values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    step, decimals = _step(high - low, most)
    if whole and not widen and step < 1:
        step, decimals = 1.0, 0  # there is no epoch 1.5
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [number * step for number in range(first, last + 1)]
    if widen:
        low, high = ticks[0], ticks[-1]
    inside = tuple(tick for tick in ticks if low - step * 1e-6 <= tick <= high + step * 1e-6)
    return Axis(low, high, start, end, inside, decimals)


def write_number(value: float, decimals: int) -> str:
    """Write a number with a real minus sign, and with powers of ten only where digits fail."""
    if abs(value) >= 1e6 or (decimals > 5 and value != 0):
        digits, _, power = f"{value:.2e}".partition("e")
        text = f"{float(digits):g}e{int(power)}"
    else:
        # Adding zero turns a negative zero into a plain one.
        text = f"{round(value, decimals) + 0.0:,.{decimals}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def spread(wanted: Sequence[float], gap: float, lowest: float) -> list[float]:
    """Move ascending positions apart until they keep a gap and none lies beyond ``lowest``."""
    moved: list[float] = []
    for position in wanted:
        moved.append(max(position, moved[-1] + gap) if moved else position)
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], lowest)
        lowest = moved[index] - gap
    return moved


def _step(span: float, most: int) -> tuple[float, int]:
    """Find the smallest 1, 2 or 5 times a power of ten that cuts a span into few enough steps."""
    power = math.floor(math.log10(span / most))
    for factor, exponent in ((1, power), (2, power), (5, power), (1, power + 1)):
        step = factor * 10.0**exponent
        if span / step <= most * (1 + 1e-9):
            break
    return step, max(0, -exponent)
