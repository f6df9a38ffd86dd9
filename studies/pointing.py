"""Do maps point at things? Train heads on generated scenes and look where their maps are highest.

    python studies/pointing.py [--methods bce,an] [--models cam,query2label] [--seed 0]

For every class that is present in a test picture, the centre of its map's highest cell either lies
within the box of such an object or does not. Printed are the shares of hits, with and without the
tolerance of the pointing game, 15 pixels of a photograph of 375, among the classes that are present
and among those of them that are predicted, too. Finished runs in --out are not repeated. Fails if,
with full labels, the share of predicted classes without tolerance falls below the bar of its model.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tacit.config import resolve
from tacit.data.source import Box, Source
from tacit.images.views import plain
from tacit.runs.folder import Run
from tacit.training.run import train

BARS = {"cam": 0.85, "query2label": 0.80, "ml_decoder": 0.80}
BATCH = 100
TOLERANCE = 15 / 375  # of the side; Zhang et al., Top-down neural attention, ECCV 2016
SETTINGS = {
    # A cell of this head's map is as large as the smallest objects of the usual pictures, and its
    # centre may lie beside one that it covers.
    "cam": ("model.size=96", "data.options.size=96"),
    # A transformer from scratch does not learn at the rate that suits the tiny trunk. Chosen by
    # validation among 1, 0.3 and 0.1, for query2label and full labels.
    "query2label": ("phases.head_lr=0.3",),
    "ml_decoder": ("phases.head_lr=0.3",),
}


def misses(boxes: tuple[Box, ...], maps: Tensor, side: int) -> dict[int, float]:
    """Return for each class in a picture how far its highest cell is from the nearest box.

    The distance is from the cell's centre, along the axis on which it is larger, in pixels.
    """
    rows, columns = maps.shape[1:]
    found: dict[int, float] = {}
    for box in boxes:
        place = int(maps[box.label].argmax())
        x = (place % columns + 0.5) * side / columns
        y = (place // columns + 0.5) * side / rows
        x0, y0, x1, y1 = box.corners
        miss = max(x0 - x, x - x1, y0 - y, y - y1, 0.0)
        found[box.label] = min(miss, found.get(box.label, math.inf))
    return found


@torch.no_grad()
def point(model: Any, source: Source) -> dict[str, float]:
    """Measure a model on pictures whose boxes are known."""
    assert source.boxes
    far, seen = [], []
    for row in range(len(source)):
        picture = source.open(row)
        logits, maps = model.localise(model.normalise(plain(picture, model.size)[None]))
        for label, miss in misses(source.boxes(row), maps[0], picture.width).items():
            far.append(miss / picture.width)
            seen.append(bool(logits[0, label] > 0))
    distance, predicted = torch.tensor(far), torch.tensor(seen)
    return {
        "present": len(far),
        "predicted": int(predicted.sum()),
        "strict_present": _share(distance <= 0),
        "strict_predicted": _share(distance[predicted] <= 0),
        "tolerant_present": _share(distance <= TOLERANCE),
        "tolerant_predicted": _share(distance[predicted] <= TOLERANCE),
    }


def _share(hits: Tensor) -> float:
    return round(hits.double().mean().item(), 4) if len(hits) else 0.0


def main() -> int:
    """Train, point, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="bce,an")
    parser.add_argument("--models", default="cam,query2label")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/pointing"))
    parser.add_argument("--set", action="append", default=[], help="further settings")
    options = parser.parse_args()
    torch.set_num_threads(1)
    good = True
    for name in options.models.split(","):
        for method in options.methods.split(","):
            folder = options.out / f"{name}-{method}-{options.seed}"
            settings = (f"model.name={name}", f"method.name={method}", f"run.seed={options.seed}")
            settings += SETTINGS.get(name, ())
            run = Run(folder)
            if run.result is None:
                train(resolve(None, (*settings, *options.set)), folder, resume=True)
            figures = point(run.model(), run.splits().test)
            figures["map"] = run.record["result"]["map"]
            print(json.dumps({"model": name, "method": method, **figures}), flush=True)
            if method == "bce":
                good = good and figures["strict_predicted"] >= BARS.get(name, 0)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
