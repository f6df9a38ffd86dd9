"""`tacit predict`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tacit.cli.output import print_json, say, stderr, tell
from tacit.cli.progress import CountReporter
from tacit.errors import DataError, UsageError

if TYPE_CHECKING:
    from tacit.prediction.output import Tally


def predict(
    model: Path,
    /,
    *inputs: str,
    out: Path,
    format: Literal["parquet", "csv", "jsonl"] | None = None,
    scores: str = "all",
    half: Annotated[bool, Parameter(negative=())] = False,
    threshold: float | None = None,
    goal: str | None = None,
    images: Path | None = None,
    column: str | None = None,
    batch: int = 32,
    shard_rows: int = 4096,
    threads: int = 0,
    precision: Literal["fp32", "bf16"] = "fp32",
    reading: Literal["exact", "fast"] = "exact",
    device: str = "auto",
    workers: int = 2,
    engine: Literal["torch", "ray"] = "torch",
    actors: int = 1,
    spreadsheet_safe: Annotated[bool, Parameter(negative=())] = False,
    wait: float = 30,
    strict: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Predict the classes of many images.

    A command that was stopped goes on where it was when it is repeated.

    Parameters
    ----------
    model
        A folder that `tacit train --out` wrote.
    inputs
        Images, folders of images, tables with a column of file names (CSV, JSON lines,
        Parquet), folders of such tables, or patterns such as 'shards/*.parquet'.
    out
        A file, whose suffix says the format, or a folder for a file per shard.
    format
        Format of the output, if the suffix does not say it.
    scores
        all, none, or top5 (or another number) for the highest ones.
    half
        Keep scores in half precision.
    threshold
        Probability from which on a class is predicted, instead of the model's own thresholds.
    goal
        What labels are decided for, instead of the model's own goal: f1, precision=0.9, labels=3
        or coverage=0.9.
    images
        The folder that names in tables are relative to; found beside the table if left out, as
        training finds it.
    column
        The column of file names; found by its name if left out.
    batch
        Images that go through the model together.
    shard_rows
        Images that are finished together; what is unfinished is done again after a stop.
    threads
        Threads of a model on a CPU; the same number for the same last digits. 0 leaves it to torch.
    precision
        bf16 is faster where the processor has instructions for it, and less precise.
    reading
        fast scales images by torch, within one level of 255.
    device
        auto, cpu, cuda, cuda:0 or mps.
    workers
        Processes that read images.
    engine
        torch, alone or under torchrun, or ray.
    actors
        Models that predict at the same time under Ray.
    spreadsheet_safe
        In CSV, put an apostrophe before names that a spreadsheet would calculate: those that begin
        with =, +, -, @, a tab or a carriage return.
    wait
        Seconds to wait for another process that shows no sign of life.
    strict
        End with status 1 if any image has no prediction.
    json
        Print the summary as JSON.
    """
    from tacit.prediction.plan import Settings
    from tacit.prediction.run import Work, choose_output, predict_to

    _require(inputs)
    place, format_found = choose_output(out, format)
    settings = Settings(
        model=str(model),
        format=format_found,
        scores=scores,
        half=half,
        threshold=threshold,
        goal=goal,
        precision=precision,
        reading=reading,
        batch=batch,
        shard_rows=shard_rows,
        threads=threads,
        spreadsheet_safe=spreadsheet_safe,
    )
    work = Work(engine, device, workers, actors, wait)
    started = time.perf_counter()
    with _showing() as watch:
        tally = predict_to(inputs, place, settings, work, images=images, column=column, watch=watch)
    return _report(tally, time.perf_counter() - started, out, strict, json)


def _require(inputs: tuple[str, ...]) -> None:
    if not inputs:
        raise UsageError("Say what to predict: images, folders or tables.")


@contextmanager
def _showing() -> Iterator[CountReporter]:
    """Show how far the prediction is, and say how to go on if it is interrupted."""
    with CountReporter(stderr(), "predicting") as reporter:
        try:
            yield reporter
        except KeyboardInterrupt:
            tell("What is finished is kept; the same command goes on.")
            raise


def _report(tally: Tally | None, seconds: float, out: Path, strict: bool, json: bool) -> int:
    """Print what was done, and return the exit status."""
    if tally is None:  # another process speaks
        return 0
    status = 1 if strict and tally.failed else 0
    if json:
        print_json(dataclasses.asdict(tally) | {"seconds": round(seconds, 3), "out": str(out)})
        _refuse_nothing(tally, out)
        return status
    for image, error in tally.examples:
        tell(f"no prediction for {image}: {error}")
    if tally.failed > len(tally.examples):
        more = tally.failed - len(tally.examples)
        tell(f"… and {more:,} more: the rows of {out} whose column error is not empty.")
    failed = f"{tally.failed:,} without a prediction (column error) · " if tally.failed else ""
    line = f"{tally.images:,} images · {failed}{seconds:.1f} s · {out}"
    say(line)
    _refuse_nothing(tally, out)
    return status


def _refuse_nothing(tally: Tally, out: Path) -> None:
    """Fail where not a single image has a prediction: nobody wants such an output."""
    if tally.failed < tally.images:
        return
    absent = all(error.startswith("There is no image at") for _, error in tally.examples)
    hint = "Say with --images where they are" if absent else "Its column error says why"
    raise DataError(
        f"None of the {tally.images:,} images could be predicted. {hint}; remove {out} before you "
        f"repeat the command."
    )
