"""Images as the page shows them: scaled down, written anew, without whatever else the file held."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from tacit.data.source import Source
from tacit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = (160, 320, 640, 1280)  # of the longer side, so that nobody can ask for a million sizes
KEPT_BYTES = 24 << 20
KEPT_PIXELS = 16 << 20  # of the one decoded image that is kept
MARGIN = 0.25  # of the box's sides, around it
AT_ONCE = 2  # decoded images are large
QUALITY = 88
SMALLEST = 96  # pixels of a crop, where the image has them


class ShownImages:
    """Images of a source as JPEG, the last ones kept.

    Args:
        source: Where the images are.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._decoding = threading.Semaphore(AT_ONCE)
        self._last: tuple[int, Image] | None = None

    def read(self, row: int, side: int, box: list[float] | None = None) -> bytes:
        """Return an image, or what is in a box and a little around it.

        Args:
            row: The image.
            side: The longer side in pixels; smaller images stay as they are.
            box: x0, y0, x1, y1 as shares of the image.
        """
        key = (row, side, None if box is None else tuple(box))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._decoding:
            written = _write(self._open(row), side, box)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = written
                self._bytes += len(written)
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return written

    def _open(self, row: int) -> Image:
        last = self._last
        if last is not None and last[0] == row:  # the crop follows the whole image
            return last[1]
        if self.source.files is not None:
            check_inside(self.source.files(row), self.source.images[row])
        image = self.source.open(row)
        self._last = (row, image) if image.width * image.height <= KEPT_PIXELS else None
        return image


def check_inside(path: Path, name: str) -> None:
    """Refuse a file that lies outside of the folder of images, wherever links lead."""
    root = Path(*path.parts[: len(path.parts) - len(Path(name).parts)])
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"The image {name} is a link to a place outside of {root}.")


def _write(image: Image, side: int, box: list[float] | None) -> bytes:
    image = image.convert("RGB") if image.mode != "RGB" else image
    box = box or [0.0, 0.0, 1.0, 1.0]
    image = image.crop(_grow(box, image.width, image.height))  # a copy in any case
    image.thumbnail((side, side))
    image.info.clear()  # such as where it was taken
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _grow(box: list[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return a box in pixels, with a margin, and not too small to be seen."""
    edges = []
    for low, high, length in ((box[0], box[2], width), (box[1], box[3], height)):
        low, high = sorted((min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)))
        half = max((high - low) * (0.5 + MARGIN), SMALLEST / 2 / length)
        middle = min(max((low + high) / 2, half), 1 - half) if half < 0.5 else 0.5
        edges.append((max(0, int((middle - half) * length)), int((middle + half) * length + 1)))
    (left, right), (top, bottom) = edges
    return left, top, min(right, width), min(bottom, height)
