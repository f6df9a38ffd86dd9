"""Average precision: our packed sort against scikit-learn's loop over classes.

    python bench/metrics.py [--images 40137] [--classes 80] [--rounds 5] [--json]

Both compute the same numbers in the same run, bit for bit; the ratio of processor time is printed
with its median and spread. Fails if the numbers differ or the median falls below the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bars import judge
from sklearn.metrics import average_precision_score

from tacit.evaluation.metrics import average_precision


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the processor seconds it took."""
    started = time.process_time()
    result = function()
    return result, time.process_time() - started


def main() -> int:
    """Measure, print, and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_137)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    random = np.random.default_rng(0)
    truth = (random.random((options.images, options.classes)) < 0.036).astype(np.int8)
    logits = random.normal(size=truth.shape) + 2 * truth - 3
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)

    def theirs() -> Any:
        columns = range(options.classes)
        return np.array([average_precision_score(truth[:, c], scores[:, c]) for c in columns])

    ratios, equal = [], True
    for _ in range(options.rounds):
        expected, slow = timed(theirs)
        found, fast = timed(lambda: average_precision(scores, truth))
        ratios.append(slow / fast)
        equal = equal and bool(np.array_equal(expected, found))
    median = statistics.median(ratios)
    result = {
        "images": options.images,
        "classes": options.classes,
        "bit_equal": equal,
        "ratio": median,
        "least": min(ratios),
        "most": max(ratios),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"average precision, {options.images:,} x {options.classes}: {median:.1f}x "
            f"[{min(ratios):.1f}, {max(ratios):.1f}] as fast as scikit-learn, "
            f"{'bit-equal' if equal else 'NUMBERS DIFFER'}"
        )
    met = judge({"metrics": median})
    return 0 if equal and met else 1


if __name__ == "__main__":
    sys.exit(main())
