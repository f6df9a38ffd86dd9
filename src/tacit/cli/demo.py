"""`tacit demo`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, say, stderr, tell
from tacit.errors import UsageError
from tacit.processes import find_process


def demo(
    *,
    out: Path = Path("demo"),
    seeds: int = 1,
    jobs: int | None = None,
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """See it work: train four methods on generated images, no download.

    Trains full labels, assume negative, IGNORE and IGNORE without its rejection under the same
    budget, prints one table and writes a page to look at.

    Parameters
    ----------
    out
        Where results.json, index.html and the runs go; an earlier demo there is replaced.
    seeds
        Trainings per method; the table shows their mean.
    jobs
        Trainings at a time; one per core, at most four, if left out.
    settings
        Any other key of a recipe, e.g. --set data.options.images=1000 --set phases.epochs=4.
    json
        Print the result as JSON.
    """
    find_process()
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be 1 or more, not {value}.")
    console = stderr()
    with console.status("drawing the images"):
        from tacit.cli.progress import ProgressReporter
        from tacit.experiments import demo as experiment
        from tacit.experiments.demo_page import COLUMNS, table_cells
        from tacit.experiments.jobs import choose_job_count
        from tacit.training.interrupts import Interrupted

    try:
        planned = experiment.plan(seeds, settings).values()
        together = jobs or choose_job_count(next(iter(planned)))
        _clear(out, experiment.MARKER)
        epochs = sum(phase.epochs for config in planned for phase in config.phases)
        with ProgressReporter(console, epochs) as reporter:
            rows = experiment.run_demo(
                out, seeds=seeds, settings=settings, jobs=together, reporter=reporter
            )
    except Interrupted as stop:
        tell("Stopped; `tacit demo` starts again from the beginning.")
        return stop.exit_code
    if json:
        print_json([vars(row) for row in rows])
    else:
        print_table(COLUMNS, [table_cells(row) for row in rows])
        labels = next(iter(planned)).data.validation_labels or "clean"  # which scenes have
        say(f"The epoch was chosen on validation images with {labels} labels.")
        link = out / "index.html"
        say(f"Open {link} in a browser.")
    return 0


def _clear(folder: Path, marker: str) -> None:
    """Remove an earlier demo, and nothing that is not one."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder; choose another --out.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / marker).exists():
        raise UsageError(
            f"The folder {folder} is not empty and holds no earlier demo; choose another --out."
        )
    # What else lies in the folder is somebody's own. The marker stays until the next one.
    for name in ("index.html", "results.json"):
        (folder / name).unlink(missing_ok=True)
    if (folder / "runs").exists():
        shutil.rmtree(folder / "runs")
