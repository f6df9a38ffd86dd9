"""Every method on photographs: heads on the features of a frozen trunk, several draws of labels.

    python studies/photographs.py TABLE --images FOLDER --weights FILE [--seeds 3] [--jobs 1]
        [--out runs/photographs] [--results docs/results] [--only an,em]

TABLE has full labels and a split, as a 0/1 column for each class; one positive an image is drawn of
them, anew with each seed. The budget is that of `--preset quick`, with weights from a file. Each
method has its default hyperparameters, nothing is tuned but what the preset says. Finished runs in
--out are not repeated. Writes photographs.md and photographs.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

KEYS = ("map", "of1", "cf1")


def write_columns(table: Path, written: Path) -> None:
    """Write a table without its column of lists, which says what the columns of classes say."""
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    labels = rows[0].index("labels") if "labels" in rows[0] else -1
    with written.open("w", newline="") as file:
        csv.writer(file).writerows([c for i, c in enumerate(row) if i != labels] for row in rows)


def run_one(name: str, seed: int, settings: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train one method with one seed, unless it is done already, and return its figures."""
    import torch

    from tacit.config import resolve
    from tacit.errors import UsageError
    from tacit.presets import find_preset
    from tacit.runs.folder import Run
    from tacit.training.run import train

    torch.set_num_threads(1)
    run = Run(folder)
    if run.result is None:
        own = (f"method.name={name}", f"run.seed={seed}", f"data.draw_seed={1200 + seed}")
        try:
            train(resolve(find_preset("quick"), (*settings, *own)), folder, resume=True)
        except UsageError as error:
            return {"method": name, "seed": seed, "refused": str(error)}
    last = run.log.read()[-1].get("identification", {})
    return {
        "method": name,
        "seed": seed,
        "epoch": run.record["result"]["best"]["epoch"],
        "validation": run.record["result"]["best"]["map"],
        **{key: run.record["result"][key] for key in KEYS},
        **{key: last.get(key) for key in ("precision", "recall")},
    }


def main() -> None:
    """Train everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--only", type=str, default="")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from tacit.methods import METHODS, method_class

    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out.resolve() / "labels.csv"
    write_columns(options.table, table)
    settings = (
        f'data.name="{table}"',
        f'data.options={{absent="negative", images="{options.images.resolve()}"}}',
        "data.positives=1",
        f'data.store="{options.out.resolve() / "store"}"',
        f'model.weights="{options.weights.resolve()}"',
    )
    names = options.only.split(",") if options.only else [
        name for name in METHODS if not method_class(name).makes_images
    ]  # fmt: skip
    jobs = [(name, seed) for seed in range(options.seeds) for name in names]
    rows = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        futures = [
            pool.submit(run_one, name, seed, settings, options.out / f"{name}-{seed}")
            for name, seed in jobs
        ]
        for (name, seed), future in zip(jobs, futures, strict=True):
            try:
                rows.append(future.result())
            except Exception as error:  # one method that fails is not the end of the others
                rows.append({"method": name, "seed": seed, "refused": str(error)})
            print(json.dumps(rows[-1]), flush=True)
    (options.results / "photographs.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.results / "photographs.md").write_text(_page(rows, options.seeds), encoding="utf-8")


def _page(rows: list[dict[str, Any]], seeds: int) -> str:
    from tacit.runs.folder import versions

    named = {row["method"]: [] for row in rows}
    for row in rows:
        named[row["method"]].append(row)
    done = {name: each for name, each in named.items() if not any("refused" in r for r in each)}
    order = sorted(done, key=lambda name: -statistics.fmean(r["validation"] for r in done[name]))
    lines = []
    for name in order:
        cells = [_spread([r[key] for r in done[name]]) for key in ("validation", *KEYS)]
        found = [r for r in done[name] if r["precision"]]
        suspects = (
            f"{statistics.fmean(r['precision'] for r in found):.2f}, "
            f"{statistics.fmean(r['recall'] for r in found):.2f}"
            if found
            else "–"
        )
        lines.append(f"| `{name}` | {' | '.join(cells)} | {suspects} |")
    left = ", ".join(f"`{name}`" for name in named if name not in done)
    used = ", ".join(f"{k} {v}" for k, v in versions().items())
    table = "\n".join(lines)
    return f"""# Photographs

Every method that learns from frozen features, on 8,000 training photographs of
[COCO](https://arxiv.org/abs/1405.0312) with 18 of its classes, a fifth of them for validation, and
2,000 for the test, which is a split of our own. One positive of each training image is known. Heads
on the pooled features of a frozen `tf_efficientnet_lite0` with ImageNet's weights at 224 pixels,
the budget of `--preset quick`: 20 epochs, batches of 128, a rate of 3e-3, the same for all. {seeds}
seeds; each moves the draw of known labels, the first weights and the order. The epoch was chosen
on validation images with clean labels. Mean and standard deviation in percent, by validation
mAP, which also chose the method of `--preset quick`; `bce`, `bce_ls` and
`iun` are bounds that know more than a project does. F1 is at a probability of 0.5.

| method | validation mAP | test mAP | OF1 | CF1 | suspects: precision, recall |
| --- | ---: | ---: | ---: | ---: | --- |
{table}

Left out, because they ask for maps, make images of their own, or need a teacher or known
negatives: {left}, `ignore`, `calr`.

**What it does not say.** Hyperparameters are defaults, most of which their authors chose for whole
networks; nothing was searched for any method but the rate of the preset, for `an`. Differences
below the spread mean nothing. Features of a frozen trunk cannot memorise labels as whole networks
do, which is what many of these methods are made against.

Measured on {datetime.date.today().isoformat()} with `python studies/photographs.py TABLE --images
FOLDER --weights FILE --seeds {seeds}`; {used}.
"""


def _spread(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f} ± {spread:.1f}"


if __name__ == "__main__":
    sys.exit(main())
