"""Four trainings on generated scenes, written down with their command and versions.

    python studies/scenes.py [--seeds 3] [--jobs 2] [--out runs/scenes] [--results docs/results]

The same as `tacit compare studies/scenes.toml`, and a page of it: scenes.md. Finished runs in --out
are not repeated. Fails if IGNORE gains less than 10 mAP over assuming negative, or if its suspects
end with an F1 of 0.5 or less.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from tacit.cli.output import stderr
from tacit.cli.progress import ProgressReporter
from tacit.experiments.cells import Grid
from tacit.experiments.grid import read_grid
from tacit.experiments.statistics import Row, summarise
from tacit.experiments.table import to_markdown
from tacit.runs.folder import versions

LEAST_GAIN, LEAST_F1 = 10.0, 0.5


def main() -> int:
    """Train, write the page, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/scenes"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    options = parser.parse_args()

    file = Path(__file__).with_suffix(".toml")
    comparison, cells = read_grid(file, said={"seeds": options.seeds})
    epochs = sum(phase.epochs for cell in cells if cell.config for phase in cell.config.phases)
    grid = Grid(options.out)
    with ProgressReporter(stderr(), epochs) as reporter:
        grid.train(cells, options.jobs, reporter)
    rows = summarise(grid.measure(cells), comparison.baseline)
    ours = next(row for row in rows if row.name == "IGNORE")
    gain, f1 = ours.differences[0].estimate.mean, _f1(ours)
    (options.results / "scenes.md").write_text(_page(rows, options.seeds), encoding="utf-8")
    print(f"gain over assuming negative: {gain:+.1f} mAP (bar {LEAST_GAIN}); F1 {f1:.2f}")
    return 0 if gain >= LEAST_GAIN and f1 > LEAST_F1 else 1


def _f1(row: Row) -> float:
    precision, recall = (
        row.figures[f"suspects' {key}"].mean / 100 if f"suspects' {key}" in row.figures else 0.0
        for key in ("precision", "recall")
    )
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _page(rows: list[Row], seeds: int) -> str:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"""# Generated scenes

Four trainings with the default budget, {seeds} seeds each, test scores in percent; suspects are
those of the last epoch. The epoch was chosen on validation images with clean labels. Images,
observed labels and split are the same for all; a seed moves weights, order and augmentation.

{to_markdown(rows, seeds)}
Read IGNORE with and without its rejection together: what the rejection itself is worth here is
their difference.

Measured on {datetime.date.today().isoformat()} with `python studies/scenes.py --seeds {seeds}`;
{used}.
"""


if __name__ == "__main__":
    sys.exit(main())
