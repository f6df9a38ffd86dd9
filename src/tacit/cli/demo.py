"""`tacit demo`."""

from __future__ import annotations

import shlex
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
    jobs: int | None = None,
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """See it work: train, find missing labels, review, repair, train again; no download.

    Draws images with one known label each. Trains on them with all labels, by taking what is
    missing for absent, and by IGNORE; finds what is missing, lets the truth answer 200 questions in
    the place of a person, repairs the table and trains on it again. Prints one table and writes a
    page to look at.

    Parameters
    ----------
    out
        Where everything goes; an earlier demo there is replaced.
    jobs
        Trainings at a time; one per core, at most four, if left out.
    settings
        Any other key of a recipe, e.g. --set data.options.images=1000 --set phases.epochs=4.
    json
        Print the result as JSON.
    """
    find_process()
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be 1 or more, not {jobs}.")
    console = stderr()
    with console.status("drawing the images"):
        from tacit.cli.progress import ProgressReporter
        from tacit.experiments import demo as experiment
        from tacit.experiments.demo_page import COLUMNS, table_cells
        from tacit.experiments.jobs import choose_job_count
        from tacit.training.interrupts import Interrupted

    try:
        planned = experiment.plan(settings)
        together = jobs or choose_job_count(planned.drawn)
        epochs = experiment.count_epochs(planned)
        _clear(out, experiment.MARKER)
        with ProgressReporter(console, epochs) as reporter:
            told = experiment.run_demo(out, settings=settings, jobs=together, reporter=reporter)
    except Interrupted as stop:
        tell("Stopped; `tacit demo` starts again from the beginning.")
        return stop.exit_code
    if json:
        print_json({"rows": [vars(row) for row in told.rows], "repair": told.repair.to_dict()})
        return 0
    print_table(COLUMNS, [table_cells(row) for row in told.rows])
    say(f"Repair, with questions answered by the truth: {told.repair.sentence}.")
    labels = planned.drawn.data.validation_labels or "clean"  # which scenes have
    say(f"The epoch was chosen on validation images with {labels} labels.")
    say(f"Open {out / 'index.html'} in a browser.")
    again = shlex.quote(str(out / "runs" / experiment.RUNS[experiment.ROLES.shown]))
    say(f"To answer the questions yourself: tacit review {again}")
    return 0


TABLES = ("labels.csv", "all-labels.csv", "repaired.csv")
FILES = ("index.html", "results.json", "changes.jsonl", *TABLES)


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
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name in ("runs", "images"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
