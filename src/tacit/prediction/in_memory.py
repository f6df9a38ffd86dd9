"""Predictions for a few images, in memory: the short way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tacit.data.open_image import open_image, to_rgb
from tacit.devices import choose_device, predict_probabilities
from tacit.errors import DataError, UsageError
from tacit.files import is_there
from tacit.images.views import plain
from tacit.models.artefact import USUAL_THRESHOLD, load_model
from tacit.models.base import Model
from tacit.models.folding import fold, prepare_for_inference
from tacit.prediction.inputs import find_images
from tacit.prediction.plan import check_counts, check_threshold
from tacit.prediction.stored_goals import choose_thresholds
from tacit.ranges import checked

Precision = Literal["fp32", "bf16"]
AnyImage = str | Path | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Predictions:
    """What a model says.

    Attributes:
        classes: Class names, in the order of the columns.
        scores: (N, C) probabilities, a row for each image.
        thresholds: (C,) probability from which on a class is predicted.
        images: What each image is called: its path, or its number among those given.
    """

    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    images: tuple[str, ...] = ()

    @property
    def labels(self) -> list[list[str]]:
        """The predicted classes of each image."""
        return [
            [self.classes[number] for number in np.flatnonzero(row)]
            for row in self.scores >= self.thresholds
        ]


@checked
def predict(
    model: Model | str | Path,
    images: AnyImage | Iterable[AnyImage],
    *,
    threshold: float | None = None,
    goal: str | None = None,
    batch: int = 32,
    device: str = "auto",
    precision: Precision = "fp32",
) -> Predictions:
    """Predict the classes of images. For many of them, `tacit predict` is the better way.

    Args:
        model: A folder that `save_model` or `tacit train` wrote, or a model.
        images: Paths, PIL images or arrays, (H, W, 3) of 8 bits; or only one; or a folder, for all
            images in it.
        threshold: Probability from which on a class is predicted; the model's own ones if None.
        goal: What labels are decided for, such as precision=0.9, in place of the goal that the
            model stores; for a model from a folder.
        batch: Images that go through the model together.
        device: auto, cpu, cuda, cuda:0 or mps, for a model from a folder.
        precision: fp32 or bf16.

    Example:
        >>> import tacit
        >>> from PIL import Image
        >>> from tacit.models import build_model
        >>> model = build_model(classes=("cat", "dog"), size=32, trunk="tiny")
        >>> tacit.predict(model, Image.new("RGB", (40, 30))).scores.shape
        (1, 2)
    """
    check_threshold(threshold)
    check_counts({"batch": (batch, 1)})
    if isinstance(model, Model):
        if goal is not None:
            raise UsageError("A goal needs what is stored beside a model; give its folder.")
        usual = USUAL_THRESHOLD if threshold is None else threshold
        thresholds = np.full(len(model.classes), usual, dtype=np.float32)
        ready: Any = model
        training, on = model.training, model.mean.device
    else:
        if not isinstance(model, str | Path):
            raise UsageError(
                f"model is a folder that `tacit train` wrote, or a model of `build_model`, not "
                f"{describe(model)}."
            )
        folder = Path(model)
        loaded = load_model(folder)
        thresholds = choose_thresholds(folder, threshold, goal)
        training, on = False, choose_device(device)
        ready = prepare_for_inference(fold(loaded), on, precision)
    shown = _Shown(list_images(images))
    try:
        rows = _predict(ready.eval(), shown, batch, on, precision)
    finally:
        ready.train(training)
    return Predictions(tuple(ready.classes), rows, thresholds, tuple(shown.names))


def _predict(
    model: Any, images: Iterator[AnyImage], batch: int, device: torch.device, precision: str
) -> NDArray[np.float32]:
    found = [np.zeros((0, len(model.classes)), dtype=np.float32)]
    while some := [plain(read_image(image), model.size) for image in islice(images, batch)]:
        found.append(predict_probabilities(model, torch.stack(some), device, precision).numpy())
    return np.concatenate(found)


class _Shown(Iterator[AnyImage]):
    """Images one by one, and what those that were shown are called."""

    def __init__(self, images: Iterable[AnyImage]) -> None:
        self.images, self.names = iter(images), list[str]()

    def __next__(self) -> AnyImage:
        image = next(self.images)
        self.names.append(name_image(image, len(self.names)))
        return image


def name_image(image: AnyImage, number: int) -> str:
    """Return what an image is called: its path, or its number."""
    return str(image) if isinstance(image, str | Path) else str(number)


def list_images(images: Any) -> Iterable[AnyImage]:
    """Return images one by one, also where there is only one, or a folder of them."""
    if isinstance(images, str | Path):
        if not str(images).strip():
            raise UsageError("images are paths, and this one is blank.")
        return list_files(Path(images))
    if isinstance(images, Image.Image) or getattr(images, "ndim", 0) == 3:
        return [images]
    is_scalar = getattr(images, "ndim", 1) == 0
    if not isinstance(images, Iterable) or isinstance(images, bytes | dict) or is_scalar:
        raise UsageError(
            f"images are paths, PIL images, arrays (H, W, 3) of 8 bits, or a folder of images, "
            f"not {describe(images)}."
        )
    return images


def list_files(path: Path) -> Iterable[Path]:
    """Return the images of a folder, or the one image that is no folder."""
    if not is_there(path):
        raise DataError(f"There is no image at {path}.")
    if not path.is_dir():
        return [path]
    found = list(find_images(path))
    if not found:
        raise DataError(f"There are no images in the folder {path}.")
    return found


def read_image(image: AnyImage) -> Image.Image:
    """Return what is shown to a model, upright and RGB."""
    if isinstance(image, str | Path):
        return open_image(Path(image))
    if isinstance(image, Image.Image):
        return to_rgb(image)
    array = np.asarray(image) if hasattr(image, "__array__") else None
    if array is None or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UsageError(
            f"An image is a path, a PIL image or an array (H, W, 3) of 8 bits, not "
            f"{describe(image)}."
        )
    if array.dtype != np.uint8:
        raise UsageError(
            f"The array of an image holds 8-bit numbers from 0 to 255, as uint8, not "
            f"{array.dtype}; convert it."
        )
    return to_rgb(Image.fromarray(array))


def describe(value: Any) -> str:
    """Say in a few words what somebody gave."""
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return (
        f"{kind} of shape {tuple(shape)}" if isinstance(shape, tuple) else f"{kind} {value!r:.60}"
    )
