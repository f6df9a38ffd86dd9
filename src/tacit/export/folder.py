"""A model for others as one folder: weights, what they are, a card, and a file for any runtime."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from tacit.errors import UsageError
from tacit.export.card import card
from tacit.files import write_text
from tacit.images.views import plain
from tacit.models.artefact import FILES, load_model, read_config

SCRIPT = '''\
"""Name the classes of images: python label.py IMAGE...   (pip install numpy onnxruntime pillow)"""
import json, pathlib, sys
import numpy, onnxruntime
from PIL import Image, ImageOps
session = onnxruntime.InferenceSession(pathlib.Path(__file__).with_name("model.onnx"))
notes = session.get_modelmeta().custom_metadata_map
classes, thresholds, size = (json.loads(notes[key]) for key in ("classes", "thresholds", "size"))
for path in sys.argv[1:]:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    pixels = numpy.array(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    found = session.run(None, {"pixels": pixels[None]})[0][0]
    print(path, *[f"{c}={p:.3f}" for c, p, t in zip(classes, found, thresholds) if p >= t])
'''
"""What a folder with an ONNX file holds beside it."""

BATCH = 8


def export_model(
    model: Path | str,
    out: Path | str,
    *,
    images: Iterable[Image] = (),
    onnx: bool = True,
    compared: int = 1000,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model for others: safetensors, configuration, card, and an ONNX file with a script.

    Args:
        model: A folder that `tacit train` or `save_model` wrote.
        out: A new or empty folder.
        images: Images to compare the ONNX file with torch on; noise if there are none.
        onnx: Whether to write the ONNX file.
        compared: How many of the images, at most.
        record: Of the run, for the card.

    Returns:
        The folder, its files, and how ONNX and torch compare.
    """
    model, out = Path(model), Path(out)
    size = load_model(model).size  # what is damaged is said before anything is written
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; name a new folder, or empty this one.")
    if compared < 1:
        raise UsageError(f"Compare one image at least, not {compared}.")
    out.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"folder": str(out), "onnx": None}
    if onnx:
        from tacit.export.onnx_file import write_onnx

        shown = islice(images, compared)
        first = next(shown, None)
        batches = _make_noise(size) if first is None else _scale(chain([first], shown), size)
        parity = write_onnx(model, out / "model.onnx", batches)
        told["onnx"] = {**asdict(parity), "noise": first is None, "sentence": parity.sentence}
        write_text(out / "label.py", SCRIPT)
    for name in FILES:
        shutil.copyfile(model / name, out / name)
    write_text(out / "README.md", card(read_config(out), out.resolve().name, record))
    told["files"] = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    return told


def _scale(images: Iterator[Image], size: int) -> Iterator[Tensor]:
    while some := list(islice(images, BATCH)):
        yield torch.stack([plain(image, size) for image in some])


def _make_noise(size: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        yield torch.randint(0, 256, (BATCH, 3, size, size), dtype=torch.uint8, generator=generator)
