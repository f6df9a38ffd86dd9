"""What ten methods on one frozen trunk cost beside one, and a second run beside the first.

    python bench/shared_features.py LABELS [--images FOLDER] [--trunk tf_efficientnet_lite0]
        [--size 160] [--repeat 3] [--folder FOLDER] [--set KEY=VALUE ...]

LABELS is a table of photographs. One method trains with an empty feature store, and so reads every
image; then nine others, with the store as it is. Printed is the processor time of all ten over that
of the first, and the seconds of the second, as the median with the least and the most of so many
repetitions. Processor time, since the machine may be busy. Everything but the trunk and the size is
`--preset quick`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bars import judge

METHODS = "gr,an,em,wan,an_ls,hill,splc,ll_r,ll_ct,epr"


def run_counted(arguments: list[str]) -> float:
    """Run `tacit` and return the seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "tacit", *arguments],
        check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder: Path, shared: list[str]) -> tuple[float, float]:
    """Return the ratio of ten methods to one, and the seconds of a second run."""
    shared = [*shared, "--preset", "quick", "--set", f'data.store="{folder / "store"}"']
    first, *others = METHODS.split(",")

    def compare(methods: str, out: str) -> float:
        flags = ["--methods", methods, "--seeds", "0,", "--jobs", "1", "--out", str(folder / out)]
        return run_counted(["compare", *flags, *shared])

    one = compare(first, "one")
    nine = compare(",".join(others), "nine")
    second = ["train", *shared, "--seed", "1", "--method", first, "--out", str(folder / "second")]
    return (one + nine) / one, run_counted(second)


def main() -> int:
    """Measure, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--trunk", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=288)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    images = [f'data.options.images="{options.images.resolve()}"'] if options.images else []
    sizes = [f"model.trunk={options.trunk}", f"model.size={options.size}"]
    shared = ["--data", str(options.labels.resolve())]
    for setting in (*images, *sizes, *options.settings):
        shared += ["--set", setting]
    found = []
    for _ in range(options.repeat):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found.append(measure(Path(folder), shared))
            print(f"ten over one {found[-1][0]:.2f}, second run {found[-1][1]:.1f} s", flush=True)
    ratios, seconds = ([each[part] for each in found] for part in (0, 1))
    for what, values in (("ten methods over one", ratios), ("second run, s", seconds)):
        middle = statistics.median(values)
        print(f"{what}: {middle:.2f} [{min(values):.2f}, {max(values):.2f}]")
    met = {"ten methods over one": ratios, "second run of quick, s": seconds}
    return 0 if judge({name: statistics.median(each) for name, each in met.items()}) else 1


if __name__ == "__main__":
    sys.exit(main())
