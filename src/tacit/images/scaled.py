"""Scaling all images of a source, once."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tacit.data.pixels import Pixels
from tacit.data.source import Source
from tacit.errors import DataError, UsageError
from tacit.files import reserve, write_atomically

PORTION = 256


def scale_in_portions(
    source: Source, size: int, fast: bool = False
) -> Iterator[tuple[range, NDArray[np.uint8]]]:
    """Yield rows and their images, (n, S, S, 3), until every image was there.

    Args:
        source: The images, which may be scaled already.
        size: Side of the scaled images.
        fast: Scale by torch, within one level of the exact pixels.
    """

    def scaled(row: int) -> NDArray[np.uint8]:
        image = source.open(row)
        if not fast:
            return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        from tacit.images.views import scale_fast

        return scale_fast(image, size).permute(1, 2, 0).numpy()

    ready = source.pixels if source.pixels is not None and source.pixels.size == size else None
    # Threads, because decoding and scaling let others run meanwhile. In portions, so that an
    # unreadable image or Ctrl-C ends it soon.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(source), PORTION):
            rows = range(first, min(first + PORTION, len(source)))
            if ready is not None:
                yield rows, ready.read(np.asarray(rows))
            else:
                yield rows, np.stack(list(pool.map(scaled, rows)))


# Raised when the same files would give other pixels, or the file has another layout.
VERSION = 2


Progress = Callable[[int, int], None]


def open_cache(source: Source, size: int, folder: Path, progress: Progress | None = None) -> Source:
    """Return the same images, scaled once and for all.

    The file is found again by the names, sizes and times of the image files. Weak and plain views
    have the same pixels as without it; the strong view changes an image that is scaled already.

    Args:
        source: Images that are files.
        size: Side of the scaled images.
        folder: Where the file is kept.
        progress: Called with how many of how many are done, while the file is made.
    """
    if source.files is None:
        raise UsageError(f"The images of '{source.name}' are no files; leave data.cache out.")
    mark = _mark(source, size)
    path = folder / f"{mark.hex()[:16]}-{size}.pixels"
    shape = (len(source), size, size, 3)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _check_space(folder, math.prod(shape))
        write_atomically(path, lambda partial: _fill(source, shape, partial, mark, progress))
    _check_mark(path, math.prod(shape), mark)
    array = np.memmap(path, np.uint8, "r", shape=shape)
    return source.with_pixels(Pixels(array, np.arange(len(source))))


def list_pixel_files(folder: Path) -> dict[str, dict[str, int]]:
    """Return size, number of images and ``bytes`` of every file of scaled images in a folder."""
    found = {}
    for path in sorted(folder.glob("*-*.pixels")):
        side = path.stem.rpartition("-")[2]
        if side.isdecimal() and int(side):
            held = path.stat().st_size
            found[path.name] = {"size": int(side), "images": held // (3 * int(side) ** 2)}
            found[path.name]["bytes"] = held
    return found


def _mark(source: Source, size: int) -> bytes:
    """Return what tells this source's pixels from all others; it names and ends their file."""
    assert source.files is not None
    digest = hashlib.sha256(f"{VERSION} {size}".encode())
    for row, name in enumerate(source.images):
        try:
            found = source.files(row).stat()
        except OSError as error:
            raise DataError(f"There is no image at {source.files(row)}.") from error
        digest.update(f"{name}\0{found.st_size} {found.st_mtime_ns}\0".encode())
    return digest.digest()


def _check_mark(path: Path, size: int, mark: bytes) -> None:
    """Refuse a file that is not whole, or of other images: it was renamed, cut or copied over."""
    with path.open("rb") as file:
        file.seek(min(size, path.stat().st_size))
        found = file.read(len(mark) + 1)
    if found != mark:
        raise DataError(
            f"{path} does not hold the pixels of these images, or not all of them; delete it, and "
            f"it is made again."
        )


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"The scaled images take {needed / 2**30:.1f} GiB, but {folder} has "
            f"{free / 2**30:.1f} GiB left; choose another data.cache, or a smaller model.size."
        )


def _fill(
    source: Source, shape: tuple[int, ...], path: Path, mark: bytes, progress: Progress | None
) -> None:
    # Written and not mapped: where a disk is full, to write into mapped memory ends the process.
    reserve(path, math.prod(shape))
    with path.open("rb+") as file:
        for rows, images in scale_in_portions(source, shape[1]):
            file.write(np.ascontiguousarray(images).data)
            if progress is not None:
                progress(rows.stop, len(source))
        if file.tell() != math.prod(shape):
            raise DataError(f"{path} was not filled to its end; repeat the command.")
        file.write(mark)  # last, so that a file with it is whole
