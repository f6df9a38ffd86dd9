"""What an image looks like, in 256 bits, and whether two images look alike.

The bits are signs of a cosine transform's low frequencies, each against their median: they hardly
change when an image is scaled or compressed anew. Images whose bits agree are only candidates;
small colour images of both decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tacit.data.open_image import open_image
from tacit.errors import DataError

Small = NDArray[np.float32]

SIDE, KEPT = 32, 16
MOST_BITS = 32
# Weaker frequencies, of a fifth of a level, are what compression leaves: all count as nothing.
NOTICEABLE = 50.0
# So many in one band are compared with their neighbours in order alone: effort stays linear.
CROWD, NEIGHBOURS = 64, 8
# Side of the images that decide, width of the blur that is taken off them to see their detail.
SMALL, BLUR = 48, 7
# How far two have to correlate: as they are, in detail, and in the colour that agrees least.
# Different photographs reach 0.8 and 0.4; versions of one, 0.97 and 0.95. Colour may be lost.
ALIKE, ALIKE_DETAIL, ALIKE_COLOUR = 0.96, 0.85, 0.6
# Where there is no detail, such as in two fogs, only the very same levels count.
LEAST_DETAIL, SAME_LEVELS = 1.5, 2.0
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # what makes an image grey elsewhere

_FREQUENCIES = np.cos(
    np.pi / SIDE * (np.arange(SIDE)[None, :] + 0.5) * np.arange(KEPT)[:, None]
).astype(np.float32)


def compute_fingerprints(thumbnails: NDArray[np.uint8]) -> list[bytes]:
    """Return the bits of small grey images, (N, 32, 32)."""
    spectrum = _FREQUENCIES @ thumbnails.astype(np.float32) @ _FREQUENCIES.T
    flat = spectrum.reshape(len(spectrum), -1)
    flat[:, 0] = 0  # the brightness
    middle = np.median(flat[:, 1:], axis=1, keepdims=True)
    above = flat > np.maximum(middle, NOTICEABLE)
    return [bits.tobytes() for bits in np.packbits(above, axis=1)]


def find_candidates(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return pairs of rows, (n, 2), whose bits, (N, 32), nearly agree."""
    # As many bits in a band as there are doublings in the number of images, so that a band has
    # few images in common by chance. Images that differ in fewer bits than there are bands
    # certainly meet in one.
    width = max(8, min(31, int(len(bits)).bit_length() - 1))
    bands = bits.shape[1] * 8 // width
    powers = 1 << np.arange(width, dtype=np.uint32)
    # Each takes bits from everywhere, since neighbouring frequencies resemble each other.
    loose = np.unpackbits(bits, axis=1)
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in range(bands):
        words = loose[:, band::bands][:, :width] @ powers
        found += list(_find_near(words, bits))
    pairs: NDArray[np.int64] = np.unique(np.concatenate(found), axis=0)
    return pairs


def _find_near(words: NDArray[np.uint32], bits: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs that have the same word and nearly the same bits."""
    # Equal words stand together; within a crowd, equal bits do.
    order = np.lexsort((bits[:, 8], bits[:, 0], words))
    ordered = words[order]
    edges = np.flatnonzero(np.diff(ordered)) + 1
    starts = np.concatenate([[0], edges])
    sizes = np.diff(np.concatenate([starts, [len(ordered)]]))
    crowd = np.repeat(sizes > CROWD, sizes)
    for step in range(1, min(CROWD, int(sizes.max(initial=1)))):
        first = np.flatnonzero(ordered[:-step] == ordered[step:])
        if step > NEIGHBOURS:
            first = first[~crowd[first]]
        if not len(first):
            continue
        pairs = np.stack([order[first], order[first + step]], axis=1)
        apart = np.bitwise_count(bits[pairs[:, 0]] ^ bits[pairs[:, 1]]).sum(axis=1)
        near = pairs[apart <= MOST_BITS]
        if len(near):
            yield np.sort(near, axis=1)


def look_alike(first: Path, second: Path) -> bool:
    """Whether two files are the same image, but for size, compression, light and colour."""
    try:
        one, two = _open_small(first), _open_small(second)
    except DataError:
        return False
    grey_one, grey_two = one @ LUMA, two @ LUMA
    if _correlate(grey_one, grey_two) < ALIKE:
        return False
    coloured = not (_is_grey(one) or _is_grey(two))
    if coloured and min(_correlate(one[..., c], two[..., c]) for c in range(3)) < ALIKE_COLOUR:
        return False
    details = grey_one - _blur(grey_one), grey_two - _blur(grey_two)
    if min(detail.std() for detail in details) < LEAST_DETAIL:
        return bool(np.abs(one - two).mean() <= SAME_LEVELS)
    return _correlate(*details) >= ALIKE_DETAIL


def _is_grey(image: Small) -> bool:
    return bool(np.ptp(image, axis=2).max() <= SAME_LEVELS)


def _correlate(one: Small, two: Small) -> float:
    """Return the correlation of two small images."""
    one, two = one - one.mean(), two - two.mean()
    scale = float(np.sqrt((one * one).sum() * (two * two).sum()))
    return float((one * two).sum()) / scale if scale else 1.0


def _blur(grey: Small) -> Small:
    """Return the mean of the square around every pixel."""
    wide = np.pad(grey, BLUR // 2, mode="edge").astype(np.float64)
    sums = np.pad(wide.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    square = sums[BLUR:, BLUR:] - sums[:-BLUR, BLUR:] - sums[BLUR:, :-BLUR] + sums[:-BLUR, :-BLUR]
    blurred: Small = (square / BLUR**2).astype(np.float32)
    return blurred


@lru_cache(maxsize=1024)
def _open_small(path: Path) -> Small:
    small = open_image(path).resize((SMALL, SMALL), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float32)
