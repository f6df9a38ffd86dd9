"""Opening picture files: whatever the file holds, an upright RGB picture of 8 bits comes out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tacit.errors import DataError

# What a file name ends with, and the formats that Pillow may find in such a file.
SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg"), ("JPEG", "MPO")),
    ".png": ("PNG",),
    ".webp": ("WEBP",),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    **dict.fromkeys((".ppm", ".pgm"), ("PPM",)),
}
# Twice this many pixels is what Pillow takes for an attack; below, it only warns.
MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 0


def open_picture(path: Path) -> Image.Image:
    """Read a picture file, or say what is wrong with it."""
    try:
        with _quiet_about_size(), Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"The picture {path} claims {image.width} x {image.height} pixels, more than "
                    f"{MOST_PIXELS:,}; scale it down, or leave it out of the labels."
                )
            return to_rgb(image)
    except Image.DecompressionBombError as error:  # twice the limit, which Pillow does not open
        raise DataError(
            f"The picture {path} claims more than {2 * MOST_PIXELS:,} pixels; scale it down, or "
            f"leave it out of the labels."
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"There is no picture at {path}.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is no picture that can be read.") from error
    except DataError:
        raise
    except Exception as error:  # decoders meet whatever bytes there are with any of them
        raise DataError(f"The picture {path} is damaged: {error}.") from error


@contextmanager
def _quiet_about_size() -> Iterator[None]:
    """Keep Pillow from warning of what is an error here anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn any picture into RGB: upright, its first frame, 16 bits scaled to 8, on white.

    An RGB picture without an orientation comes back with its pixels as they are.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _scaled(upright)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        shown = upright.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(paper, shown).convert("RGB")
    return upright.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Bring 16 or 32 bits to 8. Pillow's own conversion cuts everything above 255 off."""
    values = np.asarray(image, dtype=np.float64)
    whole = 65535.0 if image.mode != "F" else max(float(np.nanmax(values)), 1.0)
    scaled = np.nan_to_num(values / whole).clip(0, 1) * 255
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
