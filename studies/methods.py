"""Every method on generated scenes, under one budget, with several seeds, as one page.

    python studies/methods.py [--seeds 3] [--jobs 2] [--out runs/methods] [--only an,em]

The same as `tacit compare studies/methods.toml` with all methods. Each has its default
hyperparameters, nothing is tuned. Finished runs in --out are not repeated, so an interrupted
benchmark goes on. Writes methods.md and methods.json to docs/results; with --only, the rows of all
other methods stay as they were measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
from pathlib import Path
from typing import Any

# The mean share of test images that show a class, in percent: the mAP of scores by chance. What is
# less than NEAR above it has learned next to nothing.
CHANCE, NEAR = 24, 5
# Their teacher is a stand-in, see `teacher.py`.
TAUGHT = {"vlpl", "aevlp"}


def main() -> int:
    """Train everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/methods"))
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--only", type=str, default="")
    options = parser.parse_args()

    from tacit.cli.output import stderr
    from tacit.cli.progress import ProgressReporter
    from tacit.experiments.cells import Grid
    from tacit.experiments.grid import read_grid
    from tacit.methods import METHODS

    names = options.only.split(",") if options.only else list(METHODS)
    file, scores = Path(__file__).with_suffix(".toml"), options.out / "teacher.npz"
    if TAUGHT & set(names) and not scores.exists():
        sys.path.insert(0, str(Path(__file__).parent))
        from teacher import teach

        scores.parent.mkdir(parents=True, exist_ok=True)
        (cell,) = read_grid(file, (), {"methods": ["an"], "seeds": [0]})[1]
        teach(cell.config, scores)
    cells = []
    for name in names:  # one by one, for only some take scores
        settings = (f"method.scores={scores}",) if name in TAUGHT else ()
        cells += read_grid(file, settings, {"methods": [name], "seeds": options.seeds})[1]
    epochs = sum(phase.epochs for cell in cells if cell.config for phase in cell.config.phases)
    grid = Grid(options.out)
    with ProgressReporter(stderr(), epochs) as reporter:
        grid.train(cells, options.jobs, reporter)
    failed = [each for each in grid.measure(cells) if each.state != "done"]
    for each in failed:
        print(f"{each.cell.title}: {each.reason}", file=sys.stderr)
    if failed:
        return 1
    figures = [read_figures(grid, cell) for cell in cells]
    if options.only:
        earlier = json.loads((options.results / "methods.json").read_text(encoding="utf-8"))
        figures += [figure for figure in earlier if figure["method"] not in names]
    write(figures, options.results, options.seeds)
    return 0


def read_figures(grid: Any, cell: Any) -> dict[str, Any]:
    """Return the figures of a finished run."""
    done = grid.run(cell)
    record, log = done.record, done.log.read()
    return {
        "method": cell.row,
        "seed": cell.seed,
        "map": record["result"]["map"],
        "epoch": record["result"]["best"]["epoch"],
        "measured": datetime.date.fromtimestamp(done.log.path.stat().st_mtime).isoformat(),
        "seconds_per_epoch": statistics.fmean(entry["seconds"] for entry in log),
        **{key: log[-1]["identification"][key] for key in ("precision", "recall", "f1")},
    }


def write(figures: list[dict[str, Any]], folder: Path, seeds: int) -> None:
    """Write the table, best first, and the figures of every run."""
    from tacit.methods import METHODS
    from tacit.runs.folder import versions

    rows = []
    for name in dict.fromkeys(figure["method"] for figure in figures):
        runs = [figure for figure in figures if figure["method"] == name]
        maps = [run["map"] for run in runs]
        mean = {
            key: statistics.fmean(run[key] for run in runs)
            for key in ("map", "precision", "recall", "f1", "seconds_per_epoch")
        }
        spread = statistics.stdev(maps) if len(maps) > 1 else 0.0
        rows.append((name, mean, spread))
    rows.sort(key=lambda row: -row[1]["map"])
    lines = []
    for name, mean, spread in rows:
        found = [
            f"{mean[key]:.2f}" if mean["recall"] else "–" for key in ("precision", "recall", "f1")
        ]
        title = METHODS[name].title + (", *chance*" if mean["map"] < CHANCE + NEAR else "")
        cells = [f"`{name}`", title, f"{mean['map']:.1f} ± {spread:.1f}", *found]
        lines.append("| " + " | ".join([*cells, f"{mean['seconds_per_epoch']:.1f}"]) + " |")
    # Rows are of several commits; each run's record says its own.
    used = ", ".join(f"{name} {n}" for name, n in versions().items() if name != "commit")
    body = "\n".join(lines)
    days: dict[str, list[str]] = {}
    for name, measured in sorted({(each["method"], each["measured"]) for each in figures}):
        days.setdefault(measured, []).append(f"`{name}`")
    most = max(days, key=lambda day: len(days[day]))
    when = f"{most}, and " if len(days) > 1 else most
    when += "; ".join(f"{', '.join(days[day])} on {day}" for day in sorted(days) if day != most)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "methods.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (folder / "methods.md").write_text(
        f"""# All methods on generated scenes

Every method under one budget: the generated scenes, 1,000 training images with one known label
each, 250 for validation, 1,000 for the test, the tiny trunk from scratch, 15 epochs, batch 32,
AdamW with one cycle. Hyperparameters are the defaults, which the papers chose for pretrained
networks on photographs; **nothing is tuned, so this table compares nobody's best**. It shows that
everything runs, what it costs, and what it takes for a missed label. A ranking by chance has about
{CHANCE} mAP here, the mean share of images that show a class. Rows marked *chance* are hardly
above it: in this budget these methods learn next to nothing, and their places in the table mean
nothing.

Test mAP in percent, mean and standard deviation of {seeds} seeds; the epoch was chosen on
validation images with clean labels. Precision, recall and F1 of the suspects in the last epoch.
Seconds per epoch on one core of a shared machine, where a factor of two may mean nothing. `bce`,
`bce_ls` and `iun` are bounds that see labels no method sees; `iu` knows one negative per image
beside its positive.
`vlpl` and `aevlp` have a teacher, and so more supervision than all others: since no network
trained on captions knows these shapes, a small model stands in that saw 480 *other* scenes with
full labels (`studies/teacher.py`).

| name | method | test mAP | precision | recall | F1 | seconds |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
{body}

Measured on {when},
with `python studies/methods.py --seeds {seeds}`; {used}.
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
