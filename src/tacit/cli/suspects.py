"""`tacit suspects`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tacit.cli.output import print_json, print_table, say, stderr, tell
from tacit.errors import UsageError

if TYPE_CHECKING:
    from tacit.repair.finding import Found
    from tacit.runs.folder import Run


def suspects(
    *runs: Path,
    data: Path | None = None,
    images: Path | None = None,
    out: Path | None = None,
    folds: int | None = None,
    labelling_rate: float | None = None,
    labels_per_image: float | None = None,
    floor: float = 0.01,
    boxes: int = 300,
    seed: int = 0,
    device: str = "auto",
    summary: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Find labels that are probably missing, the most probable first.

    Heads on the features of a run's trunk score every image without having seen it, and Bayes'
    rule makes posteriors of that, which can be compared across classes.

    Parameters
    ----------
    runs
        Run folders that `tacit train` wrote; several are joined.
    data
        Other labels than those of the training images of the first run.
    images
        The folder of the images of --data, where it is not found.
    out
        The list, a Parquet file; repair/suspects.parquet of the first run if left out.
    folds
        Train so many times anew, each time without one part of the images, and score that part;
        left out, heads that have not seen an image score it, in seconds. A stop is no loss: the
        same command goes on.
    labelling_rate
        How often a label that is there was written down, from 0 to 1, if you know.
    labels_per_image
        How many labels an image should have on average, if you know that.
    floor
        Posterior below which cells are left out.
    boxes
        For how many of the first suspects to say where in the image to look.
    seed
        Of the folds.
    device
        auto, cpu, cuda, cuda:0 or mps.
    summary
        Print one sentence and no table.
    json
        Print what the list says about itself as JSON.
    """
    if not runs:
        raise UsageError("Say which run: `tacit suspects RUN`.")
    if not 0 <= floor < 1:
        raise UsageError(f"--floor is a probability, not {floor:g}.")
    from tacit.data.load import load
    from tacit.repair.finding import find_suspects, write_found
    from tacit.runs.folder import Run

    opened = [Run(folder) for folder in runs]
    for run in opened:
        _ = run.record  # refuses a folder without a run before anything is read
    path = out or opened[0].repair / opened[0].suspects_file.name
    if images is not None and data is None:
        raise UsageError("--images goes with --data; a run knows where its images are.")
    source = None if data is None else load(data, images=images)
    find = partial(
        find_suspects, opened, source, folds=folds, seed=seed, labelling_rate=labelling_rate,
        labels_per_image=labels_per_image, device=device,
    )  # fmt: skip
    found = _watch(find, opened[0], folds)
    with stderr().status("writing the list") as status:
        about = write_found(
            found, path, floor=floor, boxes=boxes, device=device,
            watch=lambda done: status.update(f"looking where · {done:,} images"),
        )  # fmt: skip
    if json:
        print_json({**about, "out": str(path)})
        return
    if not summary:
        rows = sorted(about["per_class"].items(), key=lambda row: -row[1][0])
        shown = [(n, f"{a:,.0f}", f"{b:,.0f}", f"{c:,.0f}") for n, (a, b, c) in rows[:20]]
        print_table(("class", "missing", "from", "to"), shown)
    say(about["summary"])
    tell(f"{about['suspects']:,} cells at {about['floor']:.2f} or above · {path}")


def _watch(find: Callable[..., Found], run: Run, folds: int | None) -> Found:
    """Show that heads are being fitted, or how far whole trainings are."""
    from tacit.cli.progress import ProgressReporter

    if folds is None:
        with stderr().status("scoring images out of fold"):
            return find()
    epochs = sum(phase.epochs for phase in run.config.phases)
    with ProgressReporter(stderr(), epochs) as reporter:
        return find(reporter=reporter)
