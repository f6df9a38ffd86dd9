"""Small images for a page: heat laid over them, enlarged, embedded as data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

RGBImage = npt.NDArray[np.uint8]  # (H, W, 3)
Heat = npt.NDArray[np.floating[Any]]  # (h, w), 0 is none and 1 is most

# Anchors of our own, from night to straw. Lightness rises evenly from each to the next, so the
# order survives every kind of colour blindness and a black-and-white print.
RAMP = np.array(
    [(24, 15, 51), (84, 24, 102), (158, 43, 98), (219, 84, 62), (247, 152, 46), (252, 236, 140)],
    dtype=np.float64,
)

_SMALLEST, _LARGEST = 168, 224  # sides in pixels between which an embedded image may lie


def check_image(image: RGBImage, name: str) -> None:
    """Refuse an array that is not a colour image.

    Raises:
        ValueError: If the array is not uint8 of shape (H, W, 3) with at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"The {name} must be uint8 of shape (H, W, 3), not {image.dtype} {image.shape}."
        )


def colour_heat(heat: Heat) -> npt.NDArray[np.float64]:
    """Turn heat into colours of the ramp, (h, w) to (h, w, 3) between 0 and 255."""
    stops = np.linspace(0.0, 1.0, len(RAMP))
    return np.stack([np.interp(heat, stops, RAMP[:, channel]) for channel in range(3)], axis=-1)


def overlay_heat(image: RGBImage, heat: Heat) -> RGBImage:
    """Lay heat over an image: cold parts turn grey and dim, hot parts glow."""
    height, width = image.shape[:2]
    clean = np.clip(np.nan_to_num(heat, nan=0.0), 0.0, 1.0).astype(np.float32)
    smooth = Image.fromarray(clean).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(smooth, dtype=np.float64), 0.0, 1.0)
    grey = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    alpha = (0.34 + 0.42 * strength)[..., None]
    blended = (1 - alpha) * grey[..., None] + alpha * colour_heat(strength)
    return np.rint(blended).astype(np.uint8)


def enlarge(image: RGBImage) -> RGBImage:
    """Bring an image to a size that is good to look at.

    A small image is repeated pixel by pixel, a whole number of times, so that a reader sees what
    the method saw; a large one is shrunk, so that the page stays light.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest > _LARGEST:
        scale = _LARGEST / longest
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    times = max(1, -(-_SMALLEST // longest) if longest < _SMALLEST else 1)
    return image.repeat(times, axis=0).repeat(times, axis=1)


def embed(image: RGBImage) -> str:
    """Return an image as the data URI of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def write_ramp_gradient() -> str:
    """Return the ramp as a CSS gradient, for the key beside the images."""
    stops = ", ".join("rgb({:.0f} {:.0f} {:.0f})".format(*colour) for colour in RAMP)
    return f"linear-gradient(to right, {stops})"
