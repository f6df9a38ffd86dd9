"""Opening image files: whatever the file holds, an upright RGB image of 8 bits comes out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tacit.errors import DataError

try:  # whether Pillow was built with it
    from PIL.AvifImagePlugin import SUPPORTED as HAS_AVIF
except ImportError:
    HAS_AVIF = False
try:  # the extra heic, which teaches Pillow the format of telephones
    from pillow_heif import register_heif_opener

    register_heif_opener()
    HAS_HEIC = True
except ImportError:
    HAS_HEIC = False

# What a file name ends with, and the formats that Pillow may find in such a file. No others are
# decoded, wherever: some start programs, such as PostScript, and none of them is for photographs.
SUFFIXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((".jpg", ".jpeg"), ("JPEG", "MPO")),
    ".png": ("PNG",),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
    **dict.fromkeys((".ppm", ".pgm"), ("PPM",)),
    ".webp": ("WEBP",),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    ".avif": ("AVIF",),
    **dict.fromkeys((".heic", ".heif"), ("HEIF",)),
}
UNKNOWN = {"MPO", *(() if HAS_AVIF else ("AVIF",)), *(() if HAS_HEIC else ("HEIF",))}
# The decoder of JPEG finds out by itself that it has an MPO before it.
FORMATS = [
    kind
    for kind in dict.fromkeys(kind for kinds in SUFFIXES.values() for kind in kinds)
    if kind not in UNKNOWN
]
# As numbers of 8 bits in three colours, 400 MB. Pillow itself takes 180 million for an attack.
MOST_PIXELS = 2**27
# From so many pixels on, a JPEG is scaled while it is decoded: by 2, which no model sees.
SCALED_PIXELS = Image.MAX_IMAGE_PIXELS or MOST_PIXELS
BAND = 1 << 20  # pixels that are turned from 16 bits to 8 at a time


def open_image(path: Path) -> Image.Image:
    """Read an image file, or say what is wrong with it."""
    with _telling(path), open_undecoded(path) as image:
        scale_large(image)
        if image.width * image.height > MOST_PIXELS:
            raise DataError(
                f"The image {path} claims {image.width} x {image.height} pixels, more than "
                f"{MOST_PIXELS:,}; scale it down, or save it as JPEG, which may have more."
            )
        return to_rgb(image)


def scale_large(image: Image.Image) -> None:
    """Let an image of very many pixels be scaled while it is decoded, if its format can: JPEG."""
    if image.width * image.height > SCALED_PIXELS:
        image.draft(None, (image.width // 2, image.height // 2))


def read_size(path: Path) -> tuple[int, int]:
    """Return width and height as an image file claims them, without decoding it."""
    with _telling(path), open_undecoded(path) as image:
        return image.size


def open_undecoded(file: Path | BinaryIO) -> Image.Image:
    """Open an image of a known format, the pixels of which are not read yet.

    This is the one door to Pillow's decoders; what is wrong is raised as they raise it.
    """
    with warnings.catch_warnings():
        # of what is an error here anyway
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say in a sentence what a decoder could not cope with."""
    try:
        yield
    except DataError:
        raise
    except Image.DecompressionBombError as error:  # twice the limit, which Pillow does not open
        raise DataError(
            f"The image {path} claims more than {2 * SCALED_PIXELS:,} pixels; scale it down."
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"There is no image at {path}.") from error
    except UnidentifiedImageError as error:
        missing = find_missing_reader(path)
        if missing:
            raise DataError(f"{path} {missing}") from error
        raise DataError(f"{path} is no image that can be read.") from error
    except MemoryError as error:
        raise DataError(
            f"There is no memory left to decode the image {path}; scale it down, or use fewer "
            f"workers."
        ) from error
    except Exception as error:  # decoders raise whatever they like
        why = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(f"The image {path} is damaged: {why}.") from error


def find_missing_reader(path: Path) -> str | None:
    """Say what has to be installed for a file that Pillow could not read, if that is the reason."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return None
    kind, brand = head[4:8], head[8:]
    if kind != b"ftyp":
        return None
    if brand in (b"avif", b"avis"):
        return None if HAS_AVIF else "is an AVIF image; to read it: pip install 'pillow>=11.3'"
    if brand[:2] == b"he" or brand in (b"mif1", b"msf1"):
        return None if HAS_HEIC else "is a HEIC image; to read it: pip install 'tacit[heic]'"
    return None


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn any image into RGB: upright, its first frame, 16 bits scaled to 8, on white.

    An RGB image without an orientation comes back with its pixels as they are.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _scale_depth(upright)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        shown = upright.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(paper, shown).convert("RGB")
    return upright.convert("RGB")


def _scale_depth(image: Image.Image) -> Image.Image:
    """Bring 16 or 32 bits to 8. Pillow's own conversion cuts everything above 255 off.

    Some rows at a time: as numbers of 64 bits a large image would fill the memory.
    """
    rows = max(1, BAND // image.width)
    bands = [slice(first, first + rows) for first in range(0, image.height, rows)]
    values = np.asarray(image)
    scaled = np.empty(values.shape, dtype=np.uint8)
    if image.mode == "F":
        whole = max(float(np.nanmax(values[band], initial=1.0)) for band in bands)
        for band in bands:
            share = np.nan_to_num(values[band].astype(np.float64) / whole).clip(0, 1)
            scaled[band] = (share * 255).round()
    else:
        for band in bands:  # 65535 is 257 times 255
            scaled[band] = (values[band].clip(0, 65535).astype(np.uint32) + 128) // 257
    return Image.fromarray(scaled).convert("RGB")
