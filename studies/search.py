"""How far the defaults for photographs are from the best of a search.

    python studies/search.py FOLDER [--seeds 3] [--jobs 1] [--out runs/search] [--store FOLDER]
        [--results docs/results]

The same as `tacit compare studies/search.toml` in FOLDER, which holds the sets of photographs, and
a page of it: search.md. Finished runs in --out are not repeated. Fails if the defaults of
`--preset quick` lose more than 1 mAP anywhere against what validation chose of the search.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tacit.cli.output import stderr
from tacit.cli.progress import ProgressReporter
from tacit.config import resolve
from tacit.experiments.cells import Grid
from tacit.experiments.grid import Cell, read_grid
from tacit.experiments.statistics import Row, summarise
from tacit.presets import find_preset
from tacit.runs.folder import versions

MOST_LOST = 1.0


def main() -> int:
    """Train, write the page, and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    parser.add_argument("--store", type=Path)
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    options = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    settings = [f'data.store="{options.store.resolve()}"'] if options.store else []
    grid, results = Grid(options.out.resolve()), options.results.resolve()
    file = Path(__file__).resolve().with_suffix(".toml")
    os.chdir(options.folder)
    _, cells = read_grid(file, settings, {"seeds": options.seeds})
    epochs = sum(phase.epochs for cell in cells if cell.config for phase in cell.config.phases)
    with ProgressReporter(stderr(), epochs) as reporter:
        grid.train(cells, options.jobs, reporter)
    measured = grid.measure(cells)
    lines, lost = [], []
    for name in dict.fromkeys(cell.values[0] for cell in cells):
        for method in dict.fromkeys(cell.config.method.name for cell in cells if cell.config):
            rows = summarise([each for each in measured if _belongs(each.cell, name, method)])
            default = _find_default(rows, cells, method)
            lines.append(_line(name, method, rows, default))
            lost.append(_test(rows[0]) - _test(default))
    page = _page(lines, options.seeds, len(cells), max(lost))
    (results / "search.md").write_text(page, encoding="utf-8")
    print(f"most that a default loses: {max(lost):.2f} mAP (bar {MOST_LOST})")
    return 0 if max(lost) <= MOST_LOST else 1


def _belongs(cell: Cell, name: str, method: str) -> bool:
    return cell.config is not None and (cell.values[0], cell.config.method.name) == (name, method)


def _find_default(rows: Sequence[Row], cells: Sequence[Cell], method: str) -> Row:
    """Return the row that does what `--preset quick` does."""
    quick = resolve(find_preset("quick"), (f"method.name={method}",))
    same = {
        cell.row
        for cell in cells
        if cell.config and cell.config.model.size == quick.model.size
        and cell.config.phases == quick.phases
    }  # fmt: skip
    return next(row for row in rows if row.name in same)


def _test(row: Row) -> float:
    return row.figures["test mAP"].mean


def _line(name: str, method: str, rows: Sequence[Row], default: Row) -> str:
    best, top = rows[0], max(rows, key=_test)
    cells = [name, f"`{method}`", _say(default), _say(best), _describe(best, name, method)]
    cells += [f"{_test(best) - _test(default):+.1f}", f"{_test(top):.1f}", f"{_test(rows[-1]):.1f}"]
    return f"| {' | '.join(cells)} |"


def _say(row: Row) -> str:
    found = row.figures["test mAP"]
    return f"{found.mean:.1f} ± {found.spread or 0.0:.1f}"


def _describe(row: Row, name: str, method: str) -> str:
    parts = [part for part in row.name.split(" · ") if part not in (name, method)]
    return ", ".join(parts)


def _page(lines: Sequence[str], seeds: int, trainings: int, lost: float) -> str:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    body = "\n".join(lines)
    quick = resolve(find_preset("quick"))
    phase = quick.phases[0]
    return f"""# How far the defaults are from the best of a search

Heads on the features of a frozen `{quick.model.trunk}`, as `--preset quick` trains them:
{quick.model.size} pixels, {phase.epochs} epochs, a rate of {phase.lr:g}. Beside it every
combination of three sizes, three numbers of epochs and three rates (`studies/search.toml`), for
three methods, on two sets of photographs with one known label an image: 18 classes of
[COCO](https://arxiv.org/abs/1405.0312), where others are missing, and 17 kinds of clothes, where
none is. {trainings} trainings; {seeds} seeds, each of which moves the draw of known labels, the
first weights and the order. Validation chose the best of the search, by the mean over seeds, on
clean labels; the test mAP of what it chose is compared with that of the default, in percent with
the standard deviation. The last two columns, which nobody who has no test labels could know, are
the highest test mAP of the search and that of the row which validation put last.

| photographs | method | default | best by validation | which is | gain | highest | lowest |
| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |
{body}

The most that a default loses is {max(lost, 0.0):.1f} mAP.

**What it does not say.** The trunk was not searched: a larger one is worth more than any row here,
see [photographs](photographs.md). Images are 320 and 192 pixels on their long sides; larger
photographs with smaller things in them may want a larger size.

Measured on {datetime.date.today().isoformat()} with `python studies/search.py FOLDER --seeds
{seeds}`; {used}.
"""


if __name__ == "__main__":
    sys.exit(main())
