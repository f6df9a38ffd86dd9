"""Where in an image a suspect is: the region of the model's map that speaks for the class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.data.source import Source
from tacit.images.views import plain

Map = NDArray[np.float32]

ABOVE = 0.5
"""The share of a map's range above which a place belongs to the region."""
TOGETHER = 16


@torch.no_grad()
def find_boxes(
    model: Any,
    source: Source,
    cells: Sequence[int],
    device: torch.device,
    between: Callable[[int], None] = lambda done: None,
) -> dict[int, list[float]]:
    """Return a box for each cell, (x0, y0, x1, y1) as shares of the image, where there is a map.

    Args:
        model: It knows the classes of the source, in their order.
        source: The images.
        cells: Numbers of cells, row times classes plus class.
        device: Where the model is.
        between: Called with the number of images done.
    """
    wanted: dict[int, list[int]] = defaultdict(list)
    for cell in cells:
        wanted[cell // len(source.classes)].append(cell % len(source.classes))
    rows, boxes = sorted(wanted), {}
    for first in range(0, len(rows), TOGETHER):
        some = rows[first : first + TOGETHER]
        pixels = torch.stack([plain(source.open(row), model.size) for row in some]).to(device)
        maps = model.localise(model.normalise(pixels))[1].float().cpu().numpy()
        if maps.shape[-1] * maps.shape[-2] == 1:
            return {}
        for row, each in zip(some, maps, strict=True):
            for kind in wanted[row]:
                boxes[row * len(source.classes) + kind] = find_region(each[kind])
        between(first + len(some))
    return boxes


def find_region(evidence: Map) -> list[float]:
    """Return the box of the region around the highest place of a map, as shares of its sides."""
    low, high = float(evidence.min()), float(evidence.max())
    inside = evidence >= low + ABOVE * (high - low)
    place = np.unravel_index(int(evidence.argmax()), evidence.shape)
    height, width = evidence.shape
    waiting, region = [(int(place[0]), int(place[1]))], set()
    while waiting:
        y, x = waiting.pop()
        if 0 <= y < height and 0 <= x < width and inside[y, x] and (y, x) not in region:
            region.add((y, x))
            waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    ys, xs = zip(*region, strict=True)
    return [min(xs) / width, min(ys) / height, (max(xs) + 1) / width, (max(ys) + 1) / height]
