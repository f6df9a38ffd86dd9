"""What the presets for photographs are worth, and what they cost.

    python studies/presets.py TABLE --classes FILE [--seeds 3] [--store FOLDER]
        [--presets quick,good] [--out runs/presets] [--results docs/results]

Each preset is trained as it is, on labels drawn as studies/photographs.py draws them, with clean
and with observed validation labels. What it costs is processor time, of reading an image by its
trunk and of all training on features that are there. Finished runs in --out are not repeated.
Writes presets.md. Fails if a later preset is not better than the one before it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from photographs import make_settings

from tacit.cli.output import stderr
from tacit.cli.progress import ProgressReporter
from tacit.experiments.cells import Grid
from tacit.experiments.grid import Cell, read_grid
from tacit.experiments.statistics import Row, estimate, summarise
from tacit.images.views import plain
from tacit.presets import find_preset
from tacit.runs.build import read_splits
from tacit.runs.folder import versions

IMAGES = 128
FIGURES = ("validation mAP", "test mAP", "OF1")


def measure_reading(cell: Cell) -> float:
    """Return the seconds of processor time that the trunk of a cell takes for an image."""
    from tacit.runs.build import seed_and_build

    assert cell.config is not None
    splits = read_splits(cell.config)
    model: Any = seed_and_build(cell.config, splits, torch.device("cpu")).model
    model = model.to(memory_format=torch.channels_last).eval()

    def read(first: int) -> None:
        images = [plain(splits.train.open(row), model.size) for row in range(first, first + 32)]
        pixels = model.normalise(torch.stack(images)).contiguous(memory_format=torch.channels_last)
        model.trunk(pixels)

    with torch.inference_mode():
        read(0)
        begun = time.process_time()
        for first in range(0, IMAGES, 32):
            read(first)
    return (time.process_time() - begun) / IMAGES


def main() -> int:
    """Train, write the page, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--presets", default="quick,good")
    parser.add_argument("--out", type=Path, default=Path("runs/presets"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = [
        *make_settings(options.table, options.classes, options.store),
        'data.options.absent="negative"',
        "data.positives=1",
        'data.validation_labels=["clean", "observed"]',
    ]
    lines, reached = [], []
    for name in options.presets.split(","):
        _, cells = read_grid(find_preset(name), settings, {"seeds": options.seeds, "redraw": True})
        grid = Grid(options.out.resolve())
        with ProgressReporter(stderr(), sum(c.config.phases[0].epochs for c in cells if c.config)):
            grid.train(cells)
        rows = {row.name: row for row in summarise(grid.measure(cells))}
        clean, observed = (rows[f"validation_labels {kind}"] for kind in ("clean", "observed"))
        learning = estimate([_measure_learning(grid, cell) for cell in cells]).mean
        config = cells[0].config
        assert config is not None
        shown = [f"`{name}`", f"`{config.model.trunk}`, {config.model.size}"]
        shown += [*(_say(clean, each) for each in FIGURES), _say(observed, "test mAP")]
        shown += [f"{1000 * measure_reading(cells[0]):.0f}", f"{learning:.0f}"]
        lines.append(f"| {' | '.join(shown)} |")
        reached.append(clean.figures["test mAP"].mean)
        print(lines[-1], flush=True)
    (options.results / "presets.md").write_text(_page(lines, options.seeds), encoding="utf-8")
    return 0 if reached == sorted(reached) else 1


def _measure_learning(grid: Grid, cell: Cell) -> float:
    """Return the seconds of all epochs but the first, which reads what is not in the store."""
    log = grid.run(cell).log.read()
    later = [entry["seconds"] for entry in log[1:]]
    return sum(later) * len(log) / len(later)


def _say(row: Row, figure: str) -> str:
    found = row.figures[figure]
    return f"{found.mean:.1f} ± {found.spread or 0.0:.1f}"


def _page(lines: list[str], seeds: int) -> str:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    body = "\n".join(lines)
    return f"""# Presets for photographs

What `--preset quick` and `--preset good` reach on the photographs of [the page on
methods](photographs.md): 8,000 of [COCO](https://arxiv.org/abs/1405.0312) with 18 of its classes,
one known label each, a fifth of them for validation, and 2,000 fully labelled for the test. {seeds}
seeds, each of which moves the draw of known labels, the first weights and the order; mean and
standard deviation in percent, the epoch chosen on clean validation labels, and in one column on
observed ones, as in most projects. Beside it what they cost on one core: processor time for
reading an image, which happens once, and the seconds of all epochs on features that are there.

| preset | trunk, pixels | validation mAP | test mAP | OF1 | on observed | ms an image | epochs, s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
{body}

`best`, which fine-tunes the whole of the larger trunk, has not been measured here: it takes a
graphics card, or many hours.

Measured on {datetime.date.today().isoformat()} with `python studies/presets.py TABLE --classes FILE
--seeds {seeds}`; {used}.
"""


if __name__ == "__main__":
    sys.exit(main())
