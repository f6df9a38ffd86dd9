"""A prediction from inputs to the finished output, by one process or by several.

Several processes share nothing but a folder: each takes every so-many-th shard of the plan, and
the first one writes the plan and puts the parts together.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tacit.errors import TacitError, UsageError
from tacit.models.artefact import read_config
from tacit.prediction.inputs import find_names
from tacit.prediction.output import SEPARATOR, Tally, count, merge, write_part
from tacit.prediction.plan import (
    PLAN,
    Plan,
    Settings,
    Shard,
    check_counts,
    check_same,
    fingerprint,
    make_plan,
    read_plan,
)

SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
PAUSE = 0.1

Watch = Callable[[int, int], None]
"""Called with how many of how many images this process has predicted."""


@dataclass(frozen=True)
class Output:
    """Where predictions go: a file, and the folder of its parts; or a folder of parts alone."""

    file: Path | None
    folder: Path

    def check_new(self) -> None:
        """Refuse to write over anything but a prediction that was begun here."""
        if self.file is not None and self.file.exists():
            raise UsageError(f"{self.file} is there already; remove it, or choose another --out.")
        others = self.folder.exists() and any(self.folder.iterdir())
        if others and not (self.folder / PLAN).exists() and not _is_only_begun(self.folder):
            raise UsageError(f"{self.folder} holds something else; choose another --out.")

    def is_finished(self) -> bool:
        """Say whether the file is there, after which its parts may disappear."""
        return self.file is not None and self.file.exists()


@dataclass(frozen=True)
class Work:
    """How the work is done, which changes nothing about the output.

    Attributes:
        engine: torch or ray.
        device: auto, cpu, cuda, cuda:0 or mps.
        workers: Processes that read images; for Ray the number of tasks that do.
        actors: Models that predict at the same time, for Ray.
    """

    engine: str = "torch"
    device: str = "auto"
    workers: int = 2
    actors: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_counts({"workers": (self.workers, 0), "actors": (self.actors, 1)})


def _is_only_begun(folder: Path) -> bool:
    """Whether the folder holds nothing but a plan that was being written."""
    return all(path.name.startswith(("_names-", ".")) for path in folder.iterdir())


def choose_output(out: Path, format: str | None) -> tuple[Output, str]:
    """Return where to write, and in which format."""
    if out.is_dir() or not out.suffix:
        return Output(None, out), format or "parquet"
    known = SUFFIXES.get(out.suffix.lower())
    if format is None and known is None:
        raise UsageError(
            f"The suffix of {out} says no format; use {', '.join(SUFFIXES)}, or give --format. "
            f"A name without a suffix makes a folder with a file for each shard."
        )
    return Output(out, out.with_name(f"{out.name}.parts")), format or known or "parquet"


def predict_to(
    inputs: Sequence[str],
    place: Output,
    settings: Settings,
    work: Work,
    *,
    images: Path | None = None,
    column: str | None = None,
    watch: Watch | None = None,
) -> Tally | None:
    """Predict whatever has no prediction yet; the first process returns what was counted."""
    process, processes = (int(os.environ.get(name, 0)) for name in ("RANK", "WORLD_SIZE"))
    first, watch = process == 0, watch or _watch_nothing
    _check(settings, work, processes)
    more = {"images": None if images is None else str(images.absolute()), "column": column}
    mark = fingerprint(settings, list(inputs), more)
    if first:
        place.check_new()
        plan = read_plan(place.folder)
        if plan is None:
            threads = settings.threads or _usual_threads(work.engine)
            with _folder(place.folder):
                names = find_names(inputs, place.folder, images, column)
                plan = make_plan(replace(settings, threads=threads), names, mark, place.folder)
                plan.write()
    else:
        plan = _await_plan(place)
    if plan is None:
        return None
    check_same(plan, mark)
    unfinished = plan.list_unfinished(process, max(processes, 1))
    if not first and place.is_finished():  # the parts are missing because they are needed no more
        return None
    if unfinished:
        _predict(plan, unfinished, work, watch)
    return _finish(plan, place) if first else None


def _check(settings: Settings, work: Work, processes: int) -> None:
    if work.engine == "ray":
        from tacit.prediction.ray_engine import import_ray

        if processes > 1:
            raise UsageError("Ray starts its own processes; leave torchrun out, or --engine ray.")
        import_ray()
    else:
        from tacit.devices import choose_device

        choose_device(work.device)
    if settings.format == "csv":
        for name in read_config(Path(settings.model))["model"]["classes"]:
            if SEPARATOR in name:
                raise UsageError(
                    f"The class '{name}' has a {SEPARATOR} in its name, which separates labels in "
                    f"a CSV file; use --format parquet or jsonl."
                )


def _usual_threads(engine: str) -> int:
    """Return torch's own choice; Ray gives each model one processor."""
    import torch

    return 1 if engine == "ray" else torch.get_num_threads()


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, and take it away again if what is to go into it cannot be had."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except TacitError:
        if made:
            shutil.rmtree(folder)
        raise


def _await_plan(place: Output) -> Plan | None:
    while not place.is_finished():
        plan = read_plan(place.folder)
        if plan is not None:
            return plan
        time.sleep(PAUSE)
    return None


def _predict(plan: Plan, shards: list[Shard], work: Work, watch: Watch) -> None:
    total, done = sum(shard.rows for shard in shards), 0
    by_number = {shard.number: shard for shard in shards}
    for number, table in _engine(plan, shards, work):
        settings = plan.settings
        part = plan.part(by_number.pop(number))
        write_part(table, part, settings.format, settings.spreadsheet_safe)
        done += table.num_rows
        watch(done, total)
    if by_number:
        raise TacitError(f"{len(by_number):,} shards have no predictions; repeat the command.")


def _engine(plan: Plan, shards: list[Shard], work: Work) -> Any:
    """Return the numbers and tables of shards as they are finished."""
    if work.engine == "ray":
        from tacit.prediction.ray_engine import predict_by_ray

        return predict_by_ray(plan, shards, work.workers, work.actors, work.device)
    from tacit.devices import choose_device
    from tacit.prediction.reading import read_portions
    from tacit.prediction.worker import Predictor, predict_shards

    predictor = Predictor(plan.settings, choose_device(work.device))
    return predict_shards(read_portions(plan, shards, predictor.size, work.workers), predictor)


def _finish(plan: Plan, place: Output) -> Tally:
    while not all(part.exists() for part in plan.parts()):
        time.sleep(PAUSE)
    tally = count(plan.parts(), plan.settings.format)
    if place.file is not None:
        merge(plan.parts(), place.file, plan.settings.format)
        shutil.rmtree(place.folder)
    return tally


def _watch_nothing(done: int, total: int) -> None:
    pass
