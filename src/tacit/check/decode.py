"""Decoding one image file to its last row, whatever is wrong with it.

Nothing here knows a data set, so that processes that look at images start soon.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tacit.check.near_duplicates import SIDE, compute_fingerprints
from tacit.data.open_image import (
    MOST_PIXELS,
    SUFFIXES,
    find_missing_reader,
    open_undecoded,
    scale_large,
    to_rgb,
)

Found = tuple[str, dict[str, Any]]

TINY = 16  # pixels of the shorter side
STRETCHED = 8  # times as long as wide
FLAT = 2  # levels between the darkest and the brightest pixel that still are one colour
ORIENTATION = 0x0112


class Look(NamedTuple):
    """What one look at a file brought.

    Attributes:
        found: What is wrong or unusual.
        digest: A hash of the file; empty where it could not be read.
        likeness: A hash of what the image looks like; empty where it looks like nothing.
    """

    found: list[Found]
    digest: bytes = b""
    likeness: bytes = b""


def look_at(paths: Sequence[str]) -> list[Look]:
    """Look at some files."""
    looks, thumbnails, rows = [], [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which labels do not depend on
        for row, path in enumerate(paths):
            look, thumbnail = _look(path)
            looks.append(look)
            if thumbnail is not None:
                thumbnails.append(thumbnail)
                rows.append(row)
    if rows:
        for row, likeness in zip(rows, compute_fingerprints(np.stack(thumbnails)), strict=True):
            looks[row] = looks[row]._replace(likeness=likeness)
    return looks


def _look(path: str) -> tuple[Look, Any]:
    digest = b""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, _hash).digest()
            file.seek(0)
            found, thumbnail = _decode(file, path)
    except UnidentifiedImageError:
        missing = find_missing_reader(Path(path))
        kind = "unknown_format" if missing else "not_an_image"
        return Look([(kind, {"what": missing} if missing else {})], digest), None
    except Image.DecompressionBombError as error:
        return Look([("bomb", {"why": str(error).split(",")[0]})], digest), None
    except PermissionError as error:
        return Look([("no_access", {"why": error.strerror or str(error)})], digest), None
    except Exception as error:  # decoders raise whatever they like
        why = str(error).strip().rstrip(".") or type(error).__name__
        return Look([("corrupt", {"why": why})], digest), None
    return Look(found, digest), thumbnail


def _hash() -> Any:
    return hashlib.blake2b(digest_size=20)


def _decode(file: BinaryIO, path: str) -> tuple[list[Found], Any]:
    """Decode an image wholly; return what is unusual, and a small grey image."""
    with open_undecoded(file) as image:
        scale_large(image)
        width, height = image.size
        if width * height > MOST_PIXELS:
            return [("bomb", {"why": f"{width} x {height}"})], None
        found = list(_unusual(image, file, path))
        image.load()
        # Nothing is spent on images as most are.
        plain = image.mode in ("RGB", "L") and not any(kind == "rotated" for kind, _ in found)
        upright = image if plain and "transparency" not in image.info else to_rgb(image)
        grey = upright.convert("L")
        small = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        thumbnail = np.asarray(small)
        if int(np.ptp(thumbnail)) <= 2 * FLAT and _is_flat(upright):
            return [*found, ("blank", {})], None
    return found, thumbnail


def _is_flat(image: Image.Image) -> bool:
    extrema: Any = image.getextrema()
    bands = [extrema] if image.mode == "L" else extrema
    return all(most - least <= FLAT for least, most in bands)


def _unusual(image: Image.Image, file: BinaryIO, path: str) -> list[Found]:
    found: list[Found] = []
    kind, mode, (width, height) = image.format or "", image.mode, image.size
    suffix = os.path.splitext(path)[1].lower()
    if kind not in SUFFIXES.get(suffix, (kind,)):
        found.append(("wrong_suffix", {"found": kind}))
    frames = 1 if kind == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        found.append(("animated", {"frames": frames}))
    if min(width, height) < TINY:
        found.append(("tiny", {"width": width, "height": height}))
    elif max(width, height) > STRETCHED * min(width, height):
        found.append(("stretched", {"width": width, "height": height}))
    if mode.startswith("I") or mode == "F" or kind == "PNG" and _depth(file) == 16:
        found.append(("sixteen_bit", {}))
    if mode == "CMYK":
        found.append(("cmyk", {}))
    if mode in ("P", "PA"):
        found.append(("palette", {}))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        found.append(("transparent", {}))
    if image.getexif().get(ORIENTATION, 1) in range(2, 9):
        found.append(("rotated", {}))
    return found


def _depth(file: BinaryIO) -> int:
    """Return the bits of a PNG's channels; Pillow reduces 16 to 8 without a word."""
    place = file.tell()
    file.seek(24)
    depth = file.read(1)
    file.seek(place)
    return depth[0] if depth else 0
