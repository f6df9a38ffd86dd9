"""What folding and half precision save at prediction.

    python bench/predict.py [--trunk resnet50] [--size 448] [--batch 4] [--rounds 7] [--json]

A model as it was trained, one picture after the other in memory, against the same model as
`tacit predict` uses it: batch normalisation folded into convolutions, pixels side by side; in 32
bits, and in bf16 where the processor computes in it. All run in turns in one process on one thread;
printed is the median of the ratios of processor time of each round, with the spread. Fails if
probabilities differ by more than rounding, or if a median falls below its bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import torch
from bars import computes_in_bf16, judge
from torch import Tensor, nn

from tacit.devices import autocast
from tacit.models import build_model
from tacit.models.folding import fold, hasten

ROUNDING = {"folded": 1e-5, "folded bf16": 5e-2}
CPU = torch.device("cpu")


def worn_model(trunk: str, size: int, classes: int) -> Any:
    """Return a model whose batch normalisation has seen something, as after training."""
    torch.manual_seed(0)
    names = tuple(f"class {number}" for number in range(classes))
    model = build_model(classes=names, size=size, trunk=trunk).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, min(size, 96), min(size, 96)))
    return model.eval()


@torch.inference_mode()
def timed(model: nn.Module, images: Tensor, precision: str) -> tuple[Tensor, float]:
    """Return probabilities and the processor seconds they took."""
    started = time.process_time()
    with autocast(CPU, precision):
        probabilities = model(images).float().sigmoid()
    return probabilities, time.process_time() - started


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trunk", default="resnet50")
    parser.add_argument("--json", action="store_true")
    for name, default in (("size", 448), ("batch", 4), ("rounds", 7), ("classes", 80)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)

    trained = worn_model(options.trunk, options.size, options.classes)
    images = torch.randn(options.batch, 3, options.size, options.size)
    beside = images.contiguous(memory_format=torch.channels_last)
    variants = {"folded": (hasten(fold(trained), CPU, "fp32"), beside, "fp32")}
    if computes_in_bf16():
        variants["folded bf16"] = (hasten(fold(trained), CPU, "bf16"), beside, "bf16")

    ratios: dict[str, list[float]] = {name: [] for name in variants}
    apart = dict.fromkeys(variants, 0.0)
    for number in range(options.rounds + 1):
        for name, variant in variants.items():
            expected, slow = timed(trained, images, "fp32")
            found, fast = timed(*variant)
            apart[name] = max(apart[name], float((found - expected).abs().max()))
            if number:  # the first round warms up
                ratios[name].append(slow / fast)

    good, results = True, {}
    for name, found in ratios.items():
        median = statistics.median(found)
        good = good and apart[name] <= ROUNDING[name]
        results[name] = {
            "ratio": median,
            "least": min(found),
            "most": max(found),
            "difference": apart[name],
        }
        if not options.json:
            spread = f"[{min(found):.2f}, {max(found):.2f}]"
            print(f"{name:12} {median:.2f}x {spread} as fast, differs by {apart[name]:.0e}")
    if options.json:
        print(json.dumps(vars(options) | {"results": results}))
    elif len(variants) == 1:
        print("bf16         not measured: this processor does not compute in it")
    met = judge({f"predict, {name}": figures["ratio"] for name, figures in results.items()})
    return 0 if good and met else 1


if __name__ == "__main__":
    sys.exit(main())
