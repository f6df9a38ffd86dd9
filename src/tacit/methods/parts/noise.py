"""Random numbers that several processes agree on, and that a resumed run draws again."""

from __future__ import annotations

import torch
from torch import Tensor

# Odd numbers of 64 bits by which an established mixing function (splitmix64) spreads its input.
STEP, FIRST, SECOND = (
    number - 2**64 for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
BITS = 24  # a float of 32 bits holds no more


def draw_uniform(numbers: Tensor, stream: Tensor | int) -> Tensor:
    """Return a number from 0 to below 1 for each whole number, the same whenever it is asked for.

    Args:
        numbers: Whole numbers of any shape, such as those of cells.
        stream: Another whole number, such as that of the step; each has numbers of its own.
    """
    mixed = numbers.long() * STEP + _mix(torch.as_tensor(stream, device=numbers.device).long())
    drawn: Tensor = (_mix(_mix(mixed)) >> 33 & (2**BITS - 1)).float() / 2**BITS
    return drawn


def draw_normal(numbers: Tensor, stream: Tensor | int) -> Tensor:
    """Return draws of a standard normal distribution, see `draw_uniform`."""
    inside = draw_uniform(numbers, stream) + 0.5 / 2**BITS
    wide = inside if inside.device.type == "mps" else inside.double()
    drawn: Tensor = torch.special.ndtri(wide).float()
    return drawn


def number_cells(index: Tensor, classes: int) -> Tensor:
    """Return the numbers of the cells of some rows, (B, C)."""
    return index[:, None] * classes + torch.arange(classes, device=index.device)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * FIRST
    value = (value ^ _shift(value, 27)) * SECOND
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros."""
    shifted: Tensor = (value >> bits) & (2 ** (64 - bits) - 1)
    return shifted
