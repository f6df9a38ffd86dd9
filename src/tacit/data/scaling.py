"""Scaling all pictures of a source, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tacit.data.source import Source

PORTION = 256


def scaled_portions(
    source: Source, size: int, fast: bool = False
) -> Iterator[tuple[range, NDArray[np.uint8]]]:
    """Yield rows and their pictures, (n, S, S, 3), until every picture was there.

    Args:
        source: The pictures, which may be scaled already.
        size: Side of the scaled pictures.
        fast: Scale by torch, within one level of the exact pixels.
    """

    def scaled(row: int) -> NDArray[np.uint8]:
        picture = source.open(row)
        if not fast:
            return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        from tacit.data.transforms import scaled_fast

        return scaled_fast(picture, size).permute(1, 2, 0).numpy()

    ready = source.pixels if source.pixels is not None and source.pixels.size == size else None
    # Threads, because decoding and scaling let others run meanwhile. In portions, so that an
    # unreadable picture or Ctrl-C ends it soon.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(source), PORTION):
            rows = range(first, min(first + PORTION, len(source)))
            if ready is not None:
                yield rows, ready.read(np.asarray(rows))
            else:
                yield rows, np.stack(list(pool.map(scaled, rows)))
