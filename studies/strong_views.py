"""Whether strong views made on the device teach as well as those made picture by picture.

    python studies/strong_views.py LABELS --weights FILE [--seeds 3] [--epochs 5]

Trains IGNORE on real photographs in two ways that share every other setting: pictures read anew
every time and changed at their own size, as in the literature; and pictures scaled once and changed
by batches on the device. LABELS is a table of photographs with full labels, of which one positive
each is drawn. Printed are the test mAP of every training, their means and standard deviations, and
the difference to the first way, seed by seed. Fails if the last way is worse than the first by
more than twice the standard error of that difference and by more than half a point. Weights of
TensorFlow need --set model.trunk_options.pad_type=same --set model.mean=[0.5,0.5,0.5] and the same
for model.std.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tacit.config import resolve
from tacit.data.source import Splits
from tacit.runs.build import read_splits
from tacit.runs.folder import Run
from tacit.training.run import complete, train

WAYS = {
    "exact": (),
    "on the device": ("data.cache=CACHE", "data.strong=device"),
}
TOLERATED = 0.5


def trained(way: str, seed: int, options: argparse.Namespace) -> float:
    """Train in one way, and return the test mAP in percent."""
    folder = options.out / f"{way.replace(' ', '-')}-{seed}"
    if (result := Run(folder).result) is not None:
        return float(result["map"])
    settings = (
        f'data.name="{options.labels}"', "data.options.absent=negative", "data.positives=1",
        "method.name=ignore",
        f"model.trunk={options.trunk}", f'model.weights="{options.weights}"',
        f"model.size={options.size}", f"phases.epochs={options.epochs}", "phases.batch=32",
        "phases.lr=5e-4", f"run.precision={options.precision}", f"run.seed={seed}",
        *(each.replace("CACHE", str(options.out / "cache")) for each in WAYS[way]), *options.set,
    )  # fmt: skip
    config = complete(resolve(settings=settings))
    splits = read_splits(config)
    few = Splits(
        splits.train.take(np.arange(min(options.images, len(splits.train)))),
        splits.validation.take(np.arange(min(options.images // 3, len(splits.validation)))),
        splits.test,
    )
    done = train(config, folder, resume=True, splits=few)
    return float(done["result"]["map"])


def main() -> int:
    """Train, print, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--trunk", default="mobilenetv2_100")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--out", type=Path, default=Path("runs/strong"))
    parser.add_argument("--set", action="append", default=[], help="a further table.key=value")
    parser.add_argument("--json", action="store_true")
    for name, default in (
        ("seeds", 3), ("epochs", 5), ("size", 96), ("images", 3000), ("threads", 1)
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    maps: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        for way in WAYS:
            maps[way].append(trained(way, seed, options))
            print(f"seed {seed}, {way}: {maps[way][-1]:.2f}", file=sys.stderr, flush=True)
    results: dict[str, Any] = {}
    for way, found in maps.items():
        apart = [own - first for own, first in zip(found, maps["exact"], strict=True)]
        spread = statistics.stdev if options.seeds > 1 else lambda values: 0.0
        results[way] = {
            "maps": found,
            "mean": statistics.fmean(found),
            "deviation": spread(found),
            "difference": statistics.fmean(apart),
            "error": spread(apart) / options.seeds**0.5,
        }
        if not options.json:
            told = results[way]
            print(
                f"{way:14} {told['mean']:.2f} ± {told['deviation']:.2f} mAP, "
                f"{told['difference']:+.2f} ± {told['error']:.2f} against exact"
            )
    if options.json:
        print(json.dumps(results))
    last = results["on the device"]
    return 0 if last["difference"] >= -max(TOLERATED, 2 * last["error"]) else 1


if __name__ == "__main__":
    sys.exit(main())
