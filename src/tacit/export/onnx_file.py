"""A trained model as one ONNX file, which runs without tacit and without torch.

Its input is what an image file holds: 8-bit pixels, scaled to a square. Colours are normalised
inside, and the output is probabilities. Classes, thresholds and size are noted in the file, so that
nothing has to travel beside it.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tacit.errors import DataError, UsageError
from tacit.files import write_atomically
from tacit.models.artefact import load_model, read_thresholds
from tacit.models.folding import fold

if TYPE_CHECKING:
    from tacit.models.base import Model

TOLERANCE = 1e-4
"""How far a probability of the file may be from torch's."""

TURNS = 5
"""So often both are timed, in turns."""


@dataclass(frozen=True)
class Parity:
    """How the file compares with torch.

    Attributes:
        images: Images that both were shown.
        difference: The largest difference of a probability.
        speed: Time of torch as it trains, over the file's, of one thread: the median of some turns.
        speed_range: The smallest and the largest of them.
    """

    images: int
    difference: float
    speed: float
    speed_range: tuple[float, float]

    @property
    def sentence(self) -> str:
        """What a person wants to read."""
        least, most = self.speed_range
        return (
            f"Probabilities of {self.images:,} images differ from torch's by "
            f"{self.difference:.1e} at most; {self.speed:.2f} times as fast ({least:.2f} to "
            f"{most:.2f}), one thread."
        )


def write_onnx(folder: Path, path: Path, batches: Iterable[Tensor]) -> Parity:
    """Write a saved model as ONNX, once both were found to say the same.

    Args:
        folder: The saved model.
        path: The file.
        batches: Images to compare on, each (B, 3, H, W) of 8 bits, at the model's size.
    """
    runtime = _import_runtime()
    model = load_model(folder)
    graph = _Probabilities(fold(model))
    notes = {
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "thresholds": json.dumps([round(float(each), 6) for each in read_thresholds(folder)]),
        "size": str(model.size),
    }
    found: list[Parity] = []

    def write(partial: Path) -> None:
        _write_graph(graph, model.size, notes, partial)
        found.append(_compare(runtime, partial, _Probabilities(model), batches))

    write_atomically(path, write)
    return found[0]


class _Probabilities(nn.Module):
    """From the pixels of an image file to probabilities."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model(self.model.normalise(pixels))
        return logits.sigmoid()


def _write_graph(graph: nn.Module, size: int, notes: dict[str, str], path: Path) -> None:
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        program: Any = torch.onnx.export(
            graph.eval(), (pixels,), dynamo=True, external_data=False, verbose=False,
            input_names=["pixels"], output_names=["probabilities"], dynamic_shapes=({0: batch},),
        )  # fmt: skip
        program.model.metadata_props.update(notes)
        program.save(str(path), external_data=False)


def _compare(runtime: Any, path: Path, graph: nn.Module, batches: Iterable[Tensor]) -> Parity:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images, difference, pixels = 0, 0.0, None
    with torch.inference_mode():
        for pixels in batches:
            expected = graph(pixels).numpy()
            said = session.run(None, {"pixels": pixels.numpy()})[0]
            difference = max(difference, float(np.abs(expected - said).max()))
            images += len(pixels)
        if pixels is None:
            raise UsageError("There is no image to compare the ONNX file with torch on.")
        if not difference <= TOLERANCE:
            raise DataError(
                f"The ONNX file and torch differ by {difference:.1e} on {images:,} images, and "
                f"{TOLERANCE:.0e} is allowed, so that it was not kept. Another version of "
                f"onnxruntime or of torch may do better; without it: --no-onnx."
            )
        speeds = list(_time(session, graph, pixels))
    return Parity(images, difference, median(speeds), (min(speeds), max(speeds)))


def _time(session: Any, graph: nn.Module, pixels: Tensor) -> Iterator[float]:
    """Time both in turns on one batch, after a turn that warms up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(TURNS + 1):
            begun = time.process_time()
            graph(pixels)
            between = time.process_time()
            session.run(None, {"pixels": pixels.numpy()})
            taken = max(time.process_time() - between, 1e-9)
            if turn:
                yield (between - begun) / taken
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own workings from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _import_runtime() -> Any:
    """Import onnxruntime, or say how to get it."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"An ONNX file needs {error.name}, which is not installed: pip install "
            f"'tacit[onnx]'. To export without one: --no-onnx."
        ) from error
    return onnxruntime
