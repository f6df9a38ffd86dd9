"""Every method on photographs: heads on the features of a frozen trunk, several draws of labels.

    python studies/photographs.py TABLE --classes FILE [--seeds 3] [--jobs 1] [--store FOLDER]
        [--out runs/photographs] [--results docs/results] [--only an,em]

The same as `tacit compare studies/photographs.toml`, with every method that learns from features,
and a page of it: photographs.md, and its figures, photographs.json. TABLE has a column of 0 and 1
for each class that FILE names, a line for each. Finished runs in --out are not repeated.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tacit.cli.output import stderr
from tacit.cli.progress import ProgressReporter
from tacit.config import resolve
from tacit.experiments.cells import Grid
from tacit.experiments.grid import read_grid
from tacit.experiments.statistics import CHEAPER, COST, Row, summarise
from tacit.methods import METHODS, method_class
from tacit.presets import find_preset
from tacit.runs.folder import versions

FIGURES = ("validation mAP", "test mAP", "OF1", "CF1")
BOUNDS = ("bce", "bce_ls", "iun")  # they know more than a project does


def make_settings(table: Path, classes: Path, store: Path | None) -> list[str]:
    """Return what the grid cannot know: where things are."""
    names = classes.read_text(encoding="utf-8").split("\n")
    listed = json.dumps([name.strip() for name in names if name.strip()])
    kept = [f'data.store="{store.resolve()}"'] if store else []
    return [f'data.name="{table.resolve()}"', f"data.options.classes={listed}", *kept]


def main() -> None:
    """Train everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--only", type=str, default="")
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    names = options.only.split(",") if options.only else [
        name for name in METHODS if not method_class(name).makes_images
    ]  # fmt: skip
    settings = make_settings(options.table, options.classes, options.store)
    said = {"methods": names, "seeds": options.seeds}
    _, cells = read_grid(Path(__file__).with_suffix(".toml"), settings, said)
    grid = Grid(options.out.resolve())
    epochs = sum(phase.epochs for cell in cells if cell.config for phase in cell.config.phases)
    with ProgressReporter(stderr(), epochs) as reporter:
        grid.train(cells, options.jobs, reporter)
    measured = grid.measure(cells)
    figures = [
        {"row": each.cell.row, "seed": each.cell.seed, **each.figures, "failed": each.reason}
        for each in measured
    ]
    (options.results / "photographs.json").write_text(json.dumps(figures, indent=1) + "\n")
    page = _page(summarise(measured), options.seeds)
    (options.results / "photographs.md").write_text(page, encoding="utf-8")


def _page(rows: Sequence[Row], seeds: int) -> str:
    named = {row.name: row for row in rows}
    done = [name for name, row in named.items() if not row.missing]
    left = ", ".join(f"`{name}`" for name in named if name not in done)
    made = ", ".join(f"`{name}`" for name in METHODS if method_class(name).makes_images)
    lines = [_line(name, named[name]) for name in done]
    real = [name for name in done if name not in BOUNDS]
    best = ", ".join(f"`{name}`" for name in real[:3])
    lost = [named[name].figures[COST].mean for name in real if COST in named[name].figures]
    body, used = "\n".join(lines), ", ".join(f"{k} {v}" for k, v in versions().items())
    quick = resolve(find_preset("quick"))
    phase = quick.phases[0]
    return f"""# Photographs

Every method that learns from frozen features and needs no more than labels, {len(done)} of them,
on 8,000 training photographs of [COCO](https://arxiv.org/abs/1405.0312) with 18 of its classes, a
fifth of them for validation, and 2,000 for the test, which is a split of our own. One positive of
each training image is known. Heads on the pooled features of a frozen `{quick.model.trunk}` with
ImageNet's weights at {quick.model.size} pixels, as `--preset quick` trains them: {phase.epochs}
epochs, batches of 128, a rate of {phase.lr:g}, the same for all. {seeds} seeds; each moves the draw
of known labels, the first weights and the order. Mean and standard deviation in percent. The epoch
was chosen on validation images with clean labels, and so is the order of the rows; the last column
is the test mAP where validation, too, had only one known label an image, as most projects have it.
`bce`, `bce_ls` and `iun` are bounds that know more than a project does. F1 is at a probability of
0.5.

| method | validation mAP | test mAP | OF1 | CF1 | suspects: precision, recall | on observed |
| --- | ---: | ---: | ---: | ---: | --- | ---: |
{body}

Best by validation of those that know one label an image: {best}. Choosing the epoch on observed
labels costs {sum(lost) / max(len(lost), 1):.1f} mAP on average over methods, and
{max(lost, default=0.0):.1f} at most.

Left out, because they need a teacher, known negatives or maps: {left}; and because they make images
of their own: {made}.

**What it does not say.** Hyperparameters are defaults, most of which their authors chose for whole
networks; nothing was searched for any method but [size and rate](../log.md) for `gr`. Differences
below the spread mean nothing. Features of a frozen trunk cannot memorise labels as whole networks
do, which is what many of these methods are made against.

Measured on {datetime.date.today().isoformat()} with `python studies/photographs.py TABLE --classes
FILE --seeds {seeds}`; {used}.
"""


def _line(name: str, row: Row) -> str:
    found = [row.figures.get(f"suspects' {key}") for key in ("precision", "recall")]
    suspects = ", ".join(f"{each.mean / 100:.2f}" for each in found if each) or "–"
    cells = [*(_say(row, figure) for figure in FIGURES), suspects, _say(row, CHEAPER)]
    return f"| `{name}` | {' | '.join(cells)} |"


def _say(row: Row, figure: str) -> str:
    found = row.figures.get(figure)
    return "–" if found is None else f"{found.mean:.1f} ± {found.spread or 0.0:.1f}"


if __name__ == "__main__":
    sys.exit(main())
