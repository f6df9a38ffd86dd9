"""Methods that remember every training image, with a million of them.

    python bench/tables.py [--images 1000000] [--classes 500] [--out docs/results] [--json]

Each method trains some steps in a process of its own, on random features in place of pictures, with
its table in the host's memory and in a file. Printed are the bytes of state for each cell and the
most memory that belongs to the process alone, beyond what it takes before `setup`; pages of a
mapped file are the operating system's to keep or drop, and are not counted. Fails if a table takes
more bytes for each cell than it should.
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

from bars import judge

OPTIONS: dict[str, dict[str, Any]] = {
    "ll_cp": {"rate": 0.001},
    "em_apl": {"warmup_epochs": 1},
    "role": {"update": "rows", "expected_positives": 2.0},
}
FEATURES, BATCH, STEPS = 16, 256, 20


def own_memory() -> int:
    """Bytes that belong to this process alone."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("this benchmark reads /proc/self/status, which Linux has")


def measure(name: str, images: int, classes: int, keep: str) -> dict[str, Any]:
    """Train a little and return the figures."""
    import threading

    import numpy as np
    import torch

    from tacit.labels import SparseLabels
    from tacit.methods import build_method
    from tacit.methods.parts.label_table import LabelTable
    from tacit.types import Annotations, Batch, Clock

    torch.manual_seed(0)
    features = torch.randn(images, FEATURES)
    generator = np.random.default_rng(0)
    rows = np.arange(images)
    columns = generator.integers(0, classes, images)
    labels = SparseLabels.from_cells(rows, columns, np.ones_like(rows), (images, classes))
    model = torch.nn.Linear(FEATURES, classes)
    before, peak, over = own_memory(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peak[0] = max(peak[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    method = build_method(name, keep=keep, **OPTIONS[name])
    method.setup(Annotations(labels, tuple(map(str, range(classes)))))
    ready = time.perf_counter()
    optimiser = torch.optim.SGD([*model.parameters(), *method.parameters()], lr=0.1)
    for epoch in (1, 2):
        for _ in range(STEPS):
            index = torch.from_numpy(generator.integers(0, images, BATCH))
            known = torch.from_numpy(labels[index.numpy()])
            step = method.step(
                model, Batch(index, known, {"weak": features[index]}), Clock(epoch, 3)
            )
            optimiser.zero_grad()
            step.loss.backward()
            optimiser.step()
        stepped = time.perf_counter()
        with torch.inference_mode():
            method.end_epoch(Clock(epoch, 3), lambda: model(features).sigmoid())
    over.set()
    watcher.join()
    tables = [part.values for part in method.modules() if isinstance(part, LabelTable)]
    return {
        "method": name,
        "kept": "memory" if keep == "cpu" else "file",
        "bytes_per_cell": sum(table.nbytes for table in tables) / (images * classes),
        "own_memory_mb": round((peak[0] - before) / 2**20),
        "setup_seconds": round(ready - started, 1),
        "end_epoch_seconds": round(time.perf_counter() - stepped, 1),
    }


def main() -> int:
    """Measure each case in a process of its own, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=500)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = ["--images", str(options.images), "--classes", str(options.classes)]
    if options.case:
        name, keep = options.case
        print(json.dumps(measure(name, options.images, options.classes, keep)))
        return 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in OPTIONS:
            for keep in ("cpu", str(Path(folder) / f"{name}.table")):
                command = [sys.executable, __file__, *size, "--case", name, keep]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                results.append(json.loads(done.stdout))
            for file in Path(folder).iterdir():
                file.unlink()
    lines = [
        "| method | table in | bytes of a cell | memory, MB | setup, s | end of epoch, s |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(str(value) for value in result.values()) + " |" for result in results),
    ]
    print(json.dumps(results) if options.json else "\n".join(lines))
    if options.out:
        write(options.out, lines, options.images, options.classes)
    met = [judge({f"tables, {each['method']}": each["bytes_per_cell"]}) for each in results]
    return 0 if all(met) else 1


def write(folder: Path, lines: list[str], images: int, classes: int) -> None:
    """Write the table as a page of results."""
    body = "\n".join(lines)
    text = f"""# Tables of a million images

What methods remember of {images:,} training images with {classes:,} classes, one known positive
each: `python bench/tables.py --images {images} --classes {classes}`. Random features stand in
for pictures and a linear map for the model, so that memory is the methods' own. *Memory of its own*
is the most that belongs to the process alone, beyond data and model; pages of a mapped file are not
counted, since the operating system drops them when others need the room. Seconds are of one run on
one machine, for orders of magnitude.

{body}

At the end of an epoch `em_apl` is handed the probabilities of all training images, four bytes for
each cell in the host's memory; nothing of it is on the device. `role` is trained with
`update = "rows"`; with `dense` its estimates are parameters, and the phase's optimiser keeps two
more numbers for each. With `ll_cp` a cell is a byte.
"""
    (folder / "tables.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
