"""Memory of a prediction, whatever the number of images.

    python bench/stream.py [--rows 1000,10000,100000] [--manifest parquet] [--json]

A table names a few hundred small pictures over and over, and a tiny model predicts every row, for
each number of rows in a process of its own. Printed are the most memory that the process had and
its speed. Fails if the largest number of rows needs noticeably more memory than the smallest.
1,000,000 rows take about ten times as long as 100,000.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bars import judge
from PIL import Image
from pyarrow import parquet

from tacit.prediction.plan import Settings
from tacit.prediction.run import Work, find_place, predict_to

PICTURES, SIDE, SHARD = 300, 24, 500
AT_ONCE = 10_000


def names(rows: int) -> Iterator[list[str]]:
    """Name pictures over and over."""
    for first in range(0, rows, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, rows))
        yield [f"{number % PICTURES}.png" for number in numbers]


def write_manifest(path: Path, rows: int) -> None:
    """Write a table of names, a part at a time."""
    if path.suffix == ".parquet":
        schema = pa.schema([("image", pa.string())])
        with parquet.ParquetWriter(path, schema) as writer:
            for part in names(rows):
                writer.write_table(pa.table({"image": part}, schema))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            table = csv.writer(file)
            table.writerow(["image", "note"])
            for part in names(rows):
                table.writerows([name, "a, b"] for name in part)
        else:
            for part in names(rows):
                file.writelines(json.dumps({"image": name}) + "\n" for name in part)


def make_things(folder: Path) -> None:
    """Write pictures and a model."""
    import torch

    from tacit.models import build_model
    from tacit.models.artefact import save_model

    random = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    torch.manual_seed(0)
    classes = tuple(f"class {number}" for number in range(80))
    save_model(build_model(classes=classes, size=SIDE, trunk="tiny"), folder / "model")


def predict(folder: Path, rows: int, suffix: str) -> None:
    """Predict in this process, and print what it took."""
    manifest = folder / f"{rows}.{suffix}"
    write_manifest(manifest, rows)
    place, format = find_place(folder / f"out-{rows}.parquet", None)
    settings = Settings(str(folder / "model"), format, batch=50, shard_rows=SHARD, threads=1)
    started = time.perf_counter()
    tally = predict_to([str(manifest)], place, settings, Work(workers=0))
    seconds = time.perf_counter() - started
    assert tally is not None and tally.images == rows and not tally.failed
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "peak_mib": peak, "images_per_second": rows / seconds}))


def main() -> int:
    """Measure, print, and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1000,10000,100000")
    parser.add_argument("--manifest", choices=("parquet", "csv", "jsonl"), default="parquet")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = sorted(int(rows) for rows in options.rows.split(","))
    if options.inside:
        predict(options.inside, sizes[0], options.manifest)
        return 0
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        make_things(Path(folder))
        for rows in sizes:
            command = [sys.executable, __file__, f"--rows={rows}", f"--inside={folder}"]
            done = subprocess.run(
                [*command, f"--manifest={options.manifest}"], check=True, stdout=subprocess.PIPE
            )
            results.append(json.loads(done.stdout))
            if not options.json:
                found = results[-1]
                print(
                    f"{rows:>12,} rows: at most {found['peak_mib']:,.0f} MiB, "
                    f"{found['images_per_second']:,.0f} images/s",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"manifest": options.manifest, "results": results}))
    return 0 if judge({"stream": results[-1]["peak_mib"] / results[0]["peak_mib"]}) else 1


if __name__ == "__main__":
    sys.exit(main())
