"""Small images, some of them broken, and a model to show them to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tacit.models import build_model
from tacit.models.artefact import save_model
from tacit.models.base import Model

# A script that predicts as the command line does, and is killed once two parts are there.
DYING = """
import os, signal, sys
from tacit.prediction import run
write, left = run.write_part, [2]
def write_and_die(*arguments):
    write(*arguments)
    left[0] -= 1
    if not left[0]:
        {last}
run.write_part = write_and_die
from tacit.cli import run as command
command(sys.argv[1:])
"""

CLASSES = ("cat", "dog", "night owl")
SIZE = 24
THRESHOLDS = {"dog": 0.2}


def small_model() -> Model:
    """Return a model whose predictions differ from image to image."""
    torch.manual_seed(0)
    model = build_model(classes=CLASSES, size=SIZE, trunk="tiny")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.2, 0.5)  # type: ignore[union-attr]
        model.head.weight.normal_(0, 1)  # type: ignore[union-attr]
    return model.eval()


def draw_images(folder: Path, count: int) -> None:
    """Write images 00.png, 01.png …, each with noise about a colour of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(count):
        colour = random.integers(0, 200, 3)
        pixels = (colour + random.integers(0, 56, (20 + number % 7, 26, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a saved model that nobody may change."""
    folder = tmp_path_factory.mktemp("model")
    save_model(small_model(), folder, thresholds=THRESHOLDS)
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 30 images, two of them broken, that nobody may change."""
    folder = tmp_path_factory.mktemp("images")
    draw_images(folder, 28)
    (folder / "05b.jpg").write_bytes(b"no image")
    whole = (folder / "06.png").read_bytes()
    (folder / "17b.png").write_bytes(whole[: len(whole) // 2])
    return folder
