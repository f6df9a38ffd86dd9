"""Reading a table of a million images: rows a second beside plain Arrow, and memory.

    python bench/manifest.py [--images 1000000] [--classes 500] [--json]

Tables with a list of labels for each image are generated and read, each in a process of its own,
with few and with many known labels. Printed are the rows that `read_listing` reads in a second, its
time as a multiple of that in which Arrow reads the same file and does nothing with it, the bytes
that the labels take afterwards, and the most memory that reading took beyond what the process had
before. Fails if either takes more than known labels and images account for; how many classes there
are may not matter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KINDS = (".csv", ".parquet")
PER_IMAGE = (1, 4)
# A label is a column of four bytes and a state of one; a row is where its labels begin.
LABEL_BYTES, ROW_BYTES = 5, 8
# While it reads: sorted cells of three kinds for a label, names as Python's texts for an image.
PEAK_LABEL, PEAK_ROW, PEAK_ANYHOW = 220, 400, 64 << 20


def peak_memory() -> int:
    """Return the most bytes that this process ever had in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("this benchmark reads /proc/self/status, which Linux has")


def generate(path: Path, images: int, classes: int, known: int) -> None:
    """Write a table in which each image has some known labels."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    names = pa.array([f"class-{number:03}" for number in range(classes)])
    first = np.random.default_rng(0).integers(0, classes, images)
    numbers = (first[:, None] + np.arange(known)) % classes
    files = pa.array([f"{row % 1000:03}/{row:08}.jpg" for row in range(images)])
    starts = np.arange(0, images * known + 1, known, dtype=np.int32)
    lists = pa.ListArray.from_arrays(starts, names.take(pa.array(numbers.reshape(-1))))
    if path.suffix == ".csv":
        csv.write_csv(pa.table({"file": files, "labels": pc.binary_join(lists, ";")}), path)
    else:
        parquet.write_table(pa.table({"file": files, "labels": lists}), path)


def measure(path: Path, how: str) -> dict[str, float]:
    """Read a table in this process, which is a fresh one, and return seconds and bytes."""
    from pyarrow import csv, parquet

    from tacit.data.formats import FORMATS, read_listing

    FORMATS["table"].load()
    before, started = peak_memory(), time.perf_counter()
    if how == "arrow":
        table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
        return {"seconds": time.perf_counter() - started, "rows": table.num_rows}
    labels = read_listing(path, format="table").labels
    seconds = time.perf_counter() - started
    kept = labels.starts.nbytes + labels.columns.nbytes + labels.states.nbytes
    cells = float(len(labels.columns))
    return {"seconds": seconds, "kept": kept, "cells": cells, "peak": peak_memory() - before}


def main() -> int:
    """Measure each table in processes of their own, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(Path(options.case[0]), options.case[1])))
        return 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for known in PER_IMAGE:
                path = Path(folder) / f"labels{kind}"
                generate(path, options.images, options.classes, known)
                results.append({"table": kind, "labels of an image": known, **compare(path)})
    good = all(holds(result) for result in results)
    if options.json:
        print(json.dumps(results))
        return 0 if good else 1
    print("| " + " | ".join(results[0]) + " |")
    print("| --- |" + " ---: |" * (len(results[0]) - 1))
    for result in results:
        cells = (f"{v:,}" if isinstance(v, int) else str(v) for v in result.values())
        print("| " + " | ".join(cells) + " |")
    return 0 if good else 1


def compare(path: Path) -> dict[str, Any]:
    """Read a table with Arrow alone and with tacit."""
    command = [sys.executable, __file__, "--case", str(path)]
    arrow, ours = (
        json.loads(subprocess.run([*command, how], stdout=subprocess.PIPE, check=True).stdout)
        for how in ("arrow", "tacit")
    )
    return {
        "rows a second": round(arrow["rows"] / ours["seconds"]),
        "times Arrow's": round(ours["seconds"] / arrow["seconds"], 1),
        "seconds": round(ours["seconds"], 2),
        "known labels": int(ours["cells"]),
        "images": int(arrow["rows"]),
        "kept, bytes": int(ours["kept"]),
        "peak, bytes": int(ours["peak"]),
    }


def holds(result: dict[str, Any]) -> bool:
    """Whether memory is in proportion to images and known labels."""
    labels, images = result["known labels"], result["images"]
    kept = LABEL_BYTES * labels + ROW_BYTES * (images + 1)
    peak = PEAK_LABEL * labels + PEAK_ROW * images + PEAK_ANYHOW
    return bool(result["kept, bytes"] <= kept and result["peak, bytes"] <= peak)


if __name__ == "__main__":
    sys.exit(main())
