"""Predictions for a few images, in memory: the short way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tacit.data.open_image import open_image, to_rgb
from tacit.devices import choose_device, predict_probabilities
from tacit.images.views import plain
from tacit.models.artefact import USUAL_THRESHOLD, load_model, read_thresholds
from tacit.models.base import Model
from tacit.models.folding import fold, prepare_for_inference
from tacit.prediction.plan import check_counts, check_threshold

AnyImage = str | Path | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Predictions:
    """What a model says.

    Attributes:
        classes: Class names, in the order of the columns.
        scores: (N, C) probabilities, a row for each image.
        thresholds: (C,) probability from which on a class is predicted.
    """

    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    thresholds: NDArray[np.float32]

    @property
    def labels(self) -> list[list[str]]:
        """The predicted classes of each image."""
        return [
            [self.classes[number] for number in np.flatnonzero(row)]
            for row in self.scores >= self.thresholds
        ]


def predict(
    model: Model | str | Path,
    images: AnyImage | Iterable[AnyImage],
    *,
    threshold: float | None = None,
    batch: int = 32,
    device: str = "auto",
    precision: str = "fp32",
) -> Predictions:
    """Predict the classes of images. For many of them, `tacit predict` is the better way.

    Args:
        model: A folder that `save_model` or `tacit train` wrote, or a model.
        images: Paths, PIL images or arrays, (H, W, 3) of 8 bits; or only one.
        threshold: Probability from which on a class is predicted; the model's own ones if None.
        batch: Images that go through the model together.
        device: auto, cpu, cuda, cuda:0 or mps, for a model from a folder.
        precision: fp32 or bf16.
    """
    check_threshold(threshold)
    check_counts({"batch": (batch, 1)})
    if isinstance(model, Model):
        usual = USUAL_THRESHOLD if threshold is None else threshold
        thresholds = np.full(len(model.classes), usual, dtype=np.float32)
        ready: Any = model
        training, on = model.training, model.mean.device
    else:
        folder = Path(model)
        loaded = load_model(folder)
        thresholds = read_thresholds(folder, threshold)
        training, on = False, choose_device(device)
        ready = prepare_for_inference(fold(loaded), on, precision)
    rows = _predict(ready.eval(), iter(_iterate(images)), batch, on, precision)
    ready.train(training)
    return Predictions(tuple(ready.classes), rows, thresholds)


def _predict(
    model: Any, images: Iterator[AnyImage], batch: int, device: torch.device, precision: str
) -> NDArray[np.float32]:
    found = [np.zeros((0, len(model.classes)), dtype=np.float32)]
    while some := [plain(_open(image), model.size) for image in islice(images, batch)]:
        found.append(predict_probabilities(model, torch.stack(some), device, precision).numpy())
    return np.concatenate(found)


def _iterate(images: Any) -> Iterable[AnyImage]:
    """Return images one by one, also where there is only one."""
    single = isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 0) == 3
    return [images] if single else images


def _open(image: AnyImage) -> Image.Image:
    if isinstance(image, str | Path):
        return open_image(Path(image))
    return to_rgb(image if isinstance(image, Image.Image) else Image.fromarray(image))
