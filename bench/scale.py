"""How cost grows with images and classes: nothing may grow faster than the work.

    python bench/scale.py [--images 1000,10000,100000,1000000] [--classes 20,300,5000,20000]

The images grow with the fewest classes, and the classes grow with the fewest images. Random
features stand in for pictures and a linear map for the model, so that what is measured is tacit's
own: drawing observed labels and setting a method up, the order of an epoch, training steps, and
scoring, in processor time. Each case has a process of its own. Fails if a cost grows faster than
the work, that is like a power of the images, or of the classes, that is well above 1; and if a
step, whose work is the same however many images there are, takes much longer with the most.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bars import judge

BATCH, FEATURES, STEPS = 256, 16, 20
COLUMNS = (
    ("draw", "draw and set up, µs an image"),
    ("order", "order of an epoch, µs an image"),
    ("steps", "training, images/s"),
    ("score", "scoring, ns a cell"),
    ("memory", "own memory, MB"),
)


def own_memory() -> int:
    """Bytes that belong to this process alone."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("this benchmark reads /proc/self/status, which Linux has")


def measure(images: int, classes: int) -> dict[str, Any]:
    """Return what every part costs."""
    import numpy as np
    import torch

    from tacit.data.observe import draw_observed
    from tacit.evaluation.metrics import mean_average_precision
    from tacit.images.loader import ShuffledBatches
    from tacit.labels import SparseLabels
    from tacit.methods import build_method
    from tacit.types import Annotations, Batch, Clock

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    rows = np.repeat(np.arange(images), 3)
    columns = random.integers(0, classes, len(rows))
    cells = np.unique(rows * classes + columns)
    before = own_memory()
    truth = SparseLabels.from_cells(
        cells // classes, cells % classes, np.ones_like(cells), (images, classes), -1
    )
    started = time.process_time()
    observed = draw_observed(truth, 1, 0)
    method = build_method("ignore", strong_view=False, reject=False)
    method.setup(Annotations(observed, tuple(map(str, range(classes)))))
    drawn = time.process_time() - started

    batch = min(BATCH, images)
    order = ShuffledBatches(images, batch, 0)
    started = time.process_time()
    batches = [[row for _, row in items] for items in order]
    ordered = time.process_time() - started

    model = located_everywhere(FEATURES, classes)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    seconds = []
    for step_number in range(STEPS):
        index = torch.tensor(batches[step_number % len(batches)])
        started = time.process_time()
        known = torch.from_numpy(observed[index.numpy()])
        views = {"weak": torch.randn(len(index), FEATURES)}
        step = method.step(model, Batch(index, known, views), Clock(1, 1))
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        seconds.append(time.process_time() - started)

    scored = min(images, 200_000_000 // classes)  # what fits as dense probabilities
    probabilities = random.random((scored, classes), dtype=np.float32)
    started = time.process_time()
    mean_average_precision(probabilities, (truth[np.arange(scored)] == 1).astype(np.int8))
    score = time.process_time() - started
    return {
        "images": images,
        "classes": classes,
        "draw": drawn / images * 1e6,
        "order": ordered / images * 1e6,
        "steps": batch / sorted(seconds)[len(seconds) // 2],
        "score": score / (scored * classes) * 1e9,
        "memory": (own_memory() - before) / 2**20,
    }


def located_everywhere(features: int, classes: int) -> Any:
    """Return a linear map that can say where a class is: everywhere."""
    import torch

    class Model(torch.nn.Linear):
        def localise(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self(images)
            return logits, logits[..., None, None]

    return Model(features, classes)


def powers(results: list[dict[str, Any]], unit: str) -> dict[str, float]:
    """Return for each cost the power of the size that it grows with, from first to last case."""
    first, last = results[0], results[-1]
    size = math.log(last[unit] / first[unit])
    if not size:
        return {}
    total = {"images": 1, "classes": 0}[unit]  # a cost of one image is one of all, times the images
    grown = {
        "draw": total + math.log(last["draw"] / first["draw"]) / size,
        "steps": total + math.log(first["steps"] / last["steps"]) / size,
        "score": 1 + math.log(last["score"] / first["score"]) / size,
    }
    if unit == "images":
        grown["order"] = 1 + math.log(last["order"] / first["order"]) / size
    return grown


def slowed(results: list[dict[str, Any]]) -> float:
    """Return how many times as long a step takes in the last case as in the first."""
    first, last = (min(BATCH, case["images"]) / case["steps"] for case in (results[0], results[-1]))
    return last / first


def main() -> int:
    """Measure all cases, print, and compare neighbours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="1000,10000,100000,1000000")
    parser.add_argument("--classes", default="20,300,5000,20000")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*options.case)))
        return 0
    images = [int(number) for number in options.images.split(",")]
    classes = [int(number) for number in options.classes.split(",")]
    tables = {
        "images": [(number, classes[0]) for number in images],
        "classes": [(images[0], number) for number in classes],
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for unit, cases in tables.items():
        found[unit] = []
        for case in cases:
            command = [sys.executable, __file__, "--case", *map(str, case)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[unit].append(json.loads(done.stdout))
    if options.json:
        print(json.dumps(found))
    else:
        names = " | ".join(name for _, name in COLUMNS)
        print(f"| images | classes | {names} |\n|{' ---: |' * (2 + len(COLUMNS))}")
        for result in (*found["images"], *found["classes"]):
            cells = " | ".join(f"{result[key]:,.1f}" for key, _ in COLUMNS)
            print(f"| {result['images']:,} | {result['classes']:,} | {cells} |")
    grown = {unit: powers(results, unit) for unit, results in found.items()}
    for unit, costs in grown.items():
        told = ", ".join(f"{name} {power:.2f}" for name, power in costs.items())
        print(f"power of the {unit}: {told}", file=sys.stderr)
    slower = slowed(found["images"])
    print(f"a step with the most images takes {slower:.2f} times as long", file=sys.stderr)
    good = judge({"scale, step": slower})
    for unit, costs in grown.items():
        for name, power in costs.items():
            good = judge({"scale, power": power}, f"{name} by {unit}") and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
