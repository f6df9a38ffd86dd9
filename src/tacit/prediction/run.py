"""A prediction from inputs to the finished output, by one process or by several.

Several processes share nothing but a folder: each takes every so-many-th shard of the plan, and
the first one writes the plan and puts the parts together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tacit.errors import TacitError, UsageError
from tacit.locks import hold_lock
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
from tacit.prediction.stored_goals import choose_thresholds
from tacit.prediction.waiting import Signs, show_life
from tacit.processes import find_process

SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

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

    @property
    def lock(self) -> Path:
        """The file that says who is at work: beside the output, or in the folder of parts."""
        if self.file is None:
            return self.folder / ".lock"
        return self.file.with_name(f".{self.file.name}.lock")

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
        wait: Seconds to wait for a process that shows no sign of life.
    """

    engine: str = "torch"
    device: str = "auto"
    workers: int = 2
    actors: int = 1
    wait: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        check_counts({"workers": (self.workers, 0), "actors": (self.actors, 1)})
        if not 0 < self.wait < float("inf"):
            raise UsageError(f"--wait is a number of seconds above 0, not {self.wait}.")


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
    process, processes = find_process()
    _check(settings, work, processes)
    more = {"images": None if images is None else str(images.absolute()), "column": column}
    mark = fingerprint(settings, list(inputs), more)
    watch = watch or _watch_nothing
    if process > 0:
        plan = _await_plan(place, work.wait)
        if plan is not None:
            check_same(plan, mark)
            with show_life(process, place.folder):
                _predict_share(plan, place, process, processes, work, watch)
        return None
    with _alone_at(place):
        if (tally := _finished_before(place, mark)) is not None:
            return tally
        place.check_new()
        signs = show_life(0, place.folder) if processes > 1 else nullcontext()
        with _folder(place.folder), signs:
            plan = read_plan(place.folder)
            if plan is None:
                threads = settings.threads or _usual_threads(work.engine)
                names = find_names(inputs, place.folder, images, column)
                plan = make_plan(replace(settings, threads=threads), names, mark, place.folder)
                plan.write()
            check_same(plan, mark)
            _predict_share(plan, place, 0, processes, work, watch)
            _await_parts(plan, processes, work.wait)
        return _finish(plan, place)


def _predict_share(
    plan: Plan, place: Output, process: int, processes: int, work: Work, watch: Watch
) -> None:
    unfinished = plan.list_unfinished(process, processes)
    # The parts may be missing because they are needed no more.
    if unfinished and not (process > 0 and place.is_finished()):
        _predict(plan, unfinished, work, watch)


@contextmanager
def _alone_at(place: Output) -> Iterator[None]:
    """Let no other command write the same output meanwhile."""
    folder = place.lock.parent
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(place.lock, f"the prediction {place.file or place.folder}"):
            yield
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _finished_before(place: Output, mark: str) -> Tally | None:
    """Return what was counted, if only clearing up was left to do by this very command."""
    if not place.is_finished() or place.file is None:
        return None
    plan = read_plan(place.folder)
    if plan is None or plan.fingerprint != mark:
        return None
    tally = count([place.file], plan.settings.format)
    _clear_up(plan)
    return tally


def _check(settings: Settings, work: Work, processes: int) -> None:
    if work.engine == "ray":
        from tacit.processes import import_ray

        if processes > 1:
            raise UsageError("Ray starts its own processes; leave torchrun out, or --engine ray.")
        import_ray()
    else:
        from tacit.devices import choose_device

        choose_device(work.device)
    choose_thresholds(Path(settings.model), settings.threshold, settings.goal)
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
    """Make a folder, and take it away again if nothing was planned in it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except TacitError:
        if not (folder / PLAN).exists() and _is_only_begun(folder):
            for path in folder.glob("_names-*"):
                path.unlink(missing_ok=True)
            with suppress(OSError):  # its lock is still there
                folder.rmdir()
        raise


def _await_plan(place: Output, wait: float) -> Plan | None:
    signs = Signs(place.folder, wait)
    while not place.is_finished():
        plan = read_plan(place.folder)
        if plan is not None:
            return plan
        signs.pause(0, f"there is no plan in {place.folder}")
    return None


def _await_parts(plan: Plan, processes: int, wait: float) -> None:
    signs = Signs(plan.folder, wait)
    while missing := plan.list_unfinished():
        # The first process has made its own; each other one makes every so-many-th.
        owner = missing[0].number % processes
        if owner == 0:
            raise TacitError(f"{plan.part(missing[0])} has disappeared; repeat the command.")
        signs.pause(owner, f"{len(missing):,} of {len(plan.shards):,} parts are missing")


def _predict(plan: Plan, shards: list[Shard], work: Work, watch: Watch) -> None:
    total, done = sum(shard.rows for shard in shards), 0
    by_number = {shard.number: shard for shard in shards}

    def advance(images: int) -> None:
        nonlocal done
        done += images
        watch(done, total)

    for number, table in _predict_by_engine(plan, shards, work, advance):
        settings = plan.settings
        part = plan.part(by_number.pop(number))
        write_part(table, part, settings.format, settings.spreadsheet_safe)
    if by_number:
        raise TacitError(f"{len(by_number):,} shards have no predictions; repeat the command.")


def _predict_by_engine(
    plan: Plan, shards: list[Shard], work: Work, advance: Callable[[int], None]
) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and tables of shards as they are finished."""
    if work.engine == "ray":
        from tacit.prediction.ray_engine import predict_by_ray

        for number, table in predict_by_ray(plan, shards, work.workers, work.actors, work.device):
            advance(table.num_rows)
            yield number, table
        return
    from tacit.devices import choose_device
    from tacit.prediction.reading import read_portions
    from tacit.prediction.worker import Predictor, predict_shards

    predictor = Predictor(plan.settings, choose_device(work.device))
    portions = read_portions(plan, shards, predictor.size, work.workers)
    yield from predict_shards(portions, predictor, advance)


def _finish(plan: Plan, place: Output) -> Tally:
    tally = count(plan.parts(), plan.settings.format)
    if place.file is not None:
        merge(plan.parts(), place.file, plan.settings.format)
        _clear_up(plan)
    return tally


def _clear_up(plan: Plan) -> None:
    """Remove the parts, and the plan last: with it, the same command knows what is finished."""
    for part in plan.parts():
        part.unlink(missing_ok=True)
    for path in plan.folder.iterdir():
        if path.name != PLAN:
            path.unlink(missing_ok=True)
    shutil.rmtree(plan.folder, ignore_errors=True)  # others may still show signs of life in it


def _watch_nothing(done: int, total: int) -> None:
    pass
