"""Loading pictures: ours against the pipeline of the literature's code.

    python bench/loader.py [--images 160] [--size 448] [--rounds 5] [--json]

The baseline does what that code does: three views of every picture as 32-bit floats, each converted
and scaled by itself, one of them never read. Both load the same JPEG files in the same run through
a DataLoader without workers; the ratio of processor time is printed with median and spread.
Ours: exact (weak and strong view, pixel for pixel), fast (weak view, within one level), cached
(weak view from pictures scaled once), memory and device (the same, held in memory, and on the
device, which is the processor here). Fails if a median falls below its bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bars import judge
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import tacit
from tacit.data.source import Source
from tacit.images.in_memory import hold
from tacit.images.loader import ShuffledBatches, training_loader
from tacit.images.scaled import cached

BATCH = 16
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_pictures(folder: Path, count: int) -> Source:
    """Write JPEG files that are about as busy as photographs."""
    generator = np.random.default_rng(0)
    lines = ["file,labels"]
    for number in range(count):
        small = generator.integers(0, 256, (47, 63, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=90)
        lines.append(f"{number}.jpg,{'ab'[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return tacit.load(folder / "labels.csv")


class Baseline(Dataset[Any]):
    """Three views as floats, each from the picture anew."""

    def __init__(self, source: Source, size: int) -> None:
        self.source = source
        to_floats = [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
        scaled = v2.Resize((size, size))
        flipped = v2.RandomHorizontalFlip()
        self.views = (
            v2.Compose([scaled, *to_floats]),
            v2.Compose([scaled, flipped, *to_floats]),
            v2.Compose([v2.RandAugment(3, 5), scaled, flipped, *to_floats]),
        )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> tuple[Any, ...]:
        image = self.source.open(row)
        return (*(view(image.convert("RGB")) for view in self.views), row)


def seconds(loader: Callable[[], Iterable[Any]]) -> float:
    """Processor seconds for one pass."""
    batches = loader()
    started = time.process_time()
    for batch in batches:
        del batch
    return time.process_time() - started


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = write_pictures(Path(folder), options.images)
        kept = cached(source, options.size, Path(folder) / "cache")
        order = ShuffledBatches(len(source), BATCH, 0)

        def ours(pictures: Source, views: tuple[str, ...], fast: bool = False) -> Any:
            return lambda: training_loader(pictures, views, options.size, 0, order, 0, fast)

        loaders = {
            "exact": ours(source, ("weak", "strong")),
            "fast": ours(source, ("weak",), True),
            "cached": ours(kept, ("weak",)),
            "memory": ours(hold(kept, options.size, None), ("weak",)),
            "device": ours(hold(kept, options.size, torch.device("cpu")), ("weak",)),
        }
        baseline = Baseline(source, options.size)
        ratios: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(options.rounds + 1):
            slow = seconds(lambda: DataLoader(baseline, BATCH, shuffle=True))
            for name, loader in loaders.items():
                ratios[name].append(slow / seconds(loader))
        bytes_of = {
            name: sum(view.nbytes for view in next(iter(loader())).views.values())
            for name, loader in loaders.items()
        }
        theirs = sum(view.nbytes for view in next(iter(DataLoader(baseline, BATCH)))[:3])
    result = {}
    for name, found in ratios.items():
        found = found[1:]  # the first round warms up
        result[name] = {"ratio": statistics.median(found), "least": min(found), "most": max(found)}
        result[name]["bytes"] = bytes_of[name] / theirs
    if options.json:
        print(json.dumps(result))
    else:
        for name, figures in result.items():
            print(
                f"{name:>7}: {figures['ratio']:6.1f}x [{figures['least']:.1f}, "
                f"{figures['most']:.1f}] as fast; "
                f"1/{1 / figures['bytes']:.0f} of the bytes"
            )
    return 0 if judge({f"loader, {name}": f["ratio"] for name, f in result.items()}) else 1


if __name__ == "__main__":
    sys.exit(main())
