"""The generated data set `scenes`: small drawn images whose truth is known to the pixel."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from tacit.data.observe import label_all
from tacit.data.scenes.drawing import CLASSES, draw_scene
from tacit.data.source import Box, Source

# Test images are drawn from indices that no training set reaches.
TEST_FROM = 10_000_000


Side = Annotated[int, Field(ge=8, le=1024)]
Images = Annotated[int, Field(ge=1, le=TEST_FROM)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def load_scenes(
    size: Side = 48, images: Images = 3000, test_images: Images = 1000, seed: Seed = 0
) -> tuple[Source, Source]:
    """Draw the official training split and the test split, both fully labelled."""
    return (
        _draw("scenes", size, range(images), seed),
        _draw("scenes-test", size, range(TEST_FROM, TEST_FROM + test_images), seed),
    )


def _draw(name: str, size: int, indices: range, seed: int) -> Source:
    images = np.empty((len(indices), size, size, 3), dtype=np.uint8)
    present = np.zeros((len(indices), len(CLASSES)), dtype=np.int8)
    boxes: list[tuple[Box, ...]] = []
    for row, index in enumerate(indices):
        scene = draw_scene(seed, index, size)
        images[row] = scene.image
        present[row, [thing.label for thing in scene.objects]] = 1
        boxes.append(tuple(Box(thing.label, thing.box) for thing in scene.objects))
    truth = label_all(present)
    return Source(
        name,
        CLASSES,
        [f"scene-{index:08d}" for index in indices],
        truth,
        partial(_image, images),
        truth,
        boxes.__getitem__,
    )


def _image(images: NDArray[np.uint8], row: int) -> Image.Image:
    return Image.fromarray(images[row])
