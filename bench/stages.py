"""Fine-tuning the last stages of a trunk whose lower stages were stored, beside reading images.

    python bench/stages.py IMAGES [--trunk tf_efficientnet_lite0] [--size 160,224] [--stages 2]
        [--images 256] [--epochs 2] [--repeat 5]

IMAGES is a folder of images. One process, one thread, in turns: a step that reads images, and one
that takes what the frozen stages made of them from memory; both of a whole training epoch, decoding
and scaling included. Printed is how many times as many images a second the latter takes, once the
features are there, the median with the least and the most, and for how many epochs reading them
first pays; then whether the weights after training are equal, to the last bit, without
augmentation.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bars import judge
from PIL import Image
from torch import Tensor

from tacit.images.views import plain
from tacit.models import build_model
from tacit.models.wrappers import divide

BATCH, CLASSES = 32, 18


def read(model: Any, files: list[Path]) -> Tensor:
    """Read, scale and normalise images, as a training does."""
    pixels = []
    for file in files:
        with Image.open(file) as image:
            pixels.append(plain(image.convert("RGB"), model.size))
    return model.normalise(torch.stack(pixels)).contiguous(memory_format=torch.channels_last)


def build(trunk: str, size: int, stages: int) -> tuple[Any, set[str]]:
    """Return a model of which the last stages learn, and the names of weights that do not."""
    torch.manual_seed(0)
    classes = tuple(map(str, range(CLASSES)))
    model: Any = build_model(classes=classes, size=size, trunk=trunk)
    model = model.to(memory_format=torch.channels_last).train()
    depths = model.trunk.depths(coarse=True)
    first = max(depths.values()) - stages
    still = {name for name, depth in depths.items() if depth <= first}
    for name, each in model.trunk.named_parameters():
        each.requires_grad_(name not in still)
    frozen = {name.rsplit(".", 1)[0] for name in still}
    for name, module in model.trunk.named_modules():
        if name in frozen:
            module.eval()
    return model, still


def train(
    model: Any, forward: Callable[[list[int]], Tensor], images: int, epochs: int
) -> tuple[float, dict[str, Tensor]]:
    """Train for some epochs; return the processor time and the weights."""
    target = (torch.arange(images)[:, None] % CLASSES == torch.arange(CLASSES)).float()
    learned = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=5e-4)
    begun = time.process_time()
    for _ in range(epochs):
        for first in range(0, images, BATCH):
            rows = list(range(first, min(first + BATCH, images)))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(forward(rows), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return time.process_time() - begun, dict(model.state_dict())


def measure(files: list[Path], trunk: str, size: int, stages: int, epochs: int) -> tuple[Any, ...]:
    """Return the two times, that of storing, and whether the weights are equal."""
    model, still = build(trunk, size, stages)
    other = copy.deepcopy(model)
    fresh, weights = train(
        model, lambda rows: model(read(model, [files[row] for row in rows])), len(files), epochs
    )
    begun = time.process_time()
    lower, upper = divide(other, still)
    with torch.no_grad():
        parts = [
            lower(read(other, files[first : first + BATCH]))
            for first in range(0, len(files), BATCH)
        ]
    kept = torch.cat(parts)
    storing = time.process_time() - begun
    stored, theirs = train(other, lambda rows: upper(kept[rows]), len(files), epochs)
    equal = all(torch.equal(value, theirs[name]) for name, value in weights.items())
    return fresh / epochs, stored / epochs, storing, equal


def main() -> int:
    """Measure each size, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trunk", default="tf_efficientnet_lite0")
    parser.add_argument("--size", default="160,224")
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {".jpg", ".jpeg", ".png", ".webp"}
    files = sorted(each for each in options.folder.iterdir() if each.suffix.lower() in kinds)
    files, met = files[: options.images], []
    for size in map(int, options.size.split(",")):
        found = [
            measure(files, options.trunk, size, options.stages, options.epochs)
            for _ in range(options.repeat)
        ]
        ratios = [fresh / stored for fresh, stored, _, _ in found]
        middle, equal = statistics.median(ratios), all(each[3] for each in found)
        pays = statistics.median(each[2] / (each[0] - each[1]) for each in found)
        print(
            f"{size} px: {middle:.2f} [{min(ratios):.2f}, {max(ratios):.2f}] times as many images "
            f"a second; {len(files) / statistics.median(each[1] for each in found):.0f} a second; "
            f"reading first pays from {pays:.1f} epochs on; "
            f"weights {'equal' if equal else 'NOT EQUAL'}",
            flush=True,
        )
        met += [judge({f"stages, {size} px": middle}), equal]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
