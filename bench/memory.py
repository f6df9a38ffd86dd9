"""Memory of one training step of IGNORE: ours against a plain one, whole and in parts.

    python bench/memory.py [--trunk resnet50] [--size 448] [--batch 4] [--json]

Compared is the most memory that two steps take beyond what the model takes, each side in a process
of its own: our step in single and in half precision with the plain step; and steps whose batch is
computed in parts (`phases.accumulate`), or whose trunk computes its activations twice instead of
keeping them (`run.checkpointing`), with our whole one. Fails above the bars. It reads /proc, which
Linux has.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from bars import judge
from step import ALLOCATOR, our_side, plain_side

from tacit.config import RunConfig

# side -> what it is compared with
SIDES = {
    "fp32": "plain",
    "bf16": "plain",
    "fp32 in 2 parts": "fp32",
    "fp32 in 4 parts": "fp32",
    "fp32 with checkpointing": "fp32",
}


def peak(side: str, trunk: str, size: int, batch: int) -> int:
    """Return how much memory two steps take beyond what the model takes."""
    if side == "plain":
        run, _ = plain_side(trunk, size, batch, torch.float32)
    else:
        precision, *how = side.split()
        computing = RunConfig(precision=precision, checkpointing="checkpointing" in how)
        run, learner = our_side(trunk, size, batch, torch.float32, computing, None)
        if "parts" in how:
            learner.chunks = int(how[1])
    before = resident()
    run(), run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def resident() -> int:
    """Kibibytes this process has now; the most it ever had may be from building the model."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trunk", default="resnet50")
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.side:
        print(peak(options.side, options.trunk, options.size, options.batch))
        return 0
    taken: dict[str, int] = {}
    for side in ("plain", *SIDES):
        command = [sys.executable, __file__, *sys.argv[1:], f"--side={side}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        taken[side] = int(done.stdout)
    shares = {side: taken[side] / taken[other] for side, other in SIDES.items()}
    if options.json:
        print(json.dumps({"kibibytes": taken, "shares": shares}))
    else:
        for side, other in SIDES.items():
            mebibytes = taken[side] / 1024
            print(f"{side}: {mebibytes:,.0f} MiB, {shares[side]:.2f} of what {other} takes")
    return 0 if judge({f"memory, {side}": share for side, share in shares.items()}) else 1


if __name__ == "__main__":
    if os.environ.get("GLIBC_TUNABLES") != ALLOCATOR:
        os.execve(sys.executable, [sys.executable, *sys.argv],
                  {**os.environ, "GLIBC_TUNABLES": ALLOCATOR, "OMP_NUM_THREADS": "1"})  # fmt: skip
    sys.exit(main())
