"""The plan of a prediction: which rows make a shard, and what is done to them.

It is written down before anything is predicted. Whoever goes on later, with however many
processes, follows it, so that the same images share a batch and the same bytes come out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tacit.errors import DataError, UsageError
from tacit.evaluation.goals import parse_goal
from tacit.files import read_json, write_text
from tacit.prediction.inputs import Names, read_stamp

PLAN = "_plan.json"
FORMATS = ("parquet", "csv", "jsonl")
WORDS = {"format": FORMATS, "precision": ("fp32", "bf16"), "reading": ("exact", "fast")}
MOST_THREADS = 1024  # torch takes any number, and then starts as many


@dataclass(frozen=True)
class Settings:
    """What decides on the content of the output.

    Attributes:
        model: The folder of the model.
        format: parquet, csv or jsonl.
        scores: all, none, or top and a number.
        half: Keep scores in half precision.
        threshold: Probability from which on a class is predicted; the model's own ones if None.
        precision: fp32 or bf16.
        reading: exact or fast.
        batch: Images that go through the model together.
        shard_rows: Images in a shard at most.
        threads: Threads of a model on a CPU, which share sums out and so decide on last digits;
            0 for as many as the engine would use.
        spreadsheet_safe: In CSV, texts that a spreadsheet would calculate begin with an apostrophe.
        goal: What labels are decided for, in place of the goal that the model stores.
    """

    model: str
    format: str = "parquet"
    scores: str = "all"
    half: bool = False
    threshold: float | None = None
    precision: str = "fp32"
    reading: str = "exact"
    batch: int = 32
    shard_rows: int = 4096
    threads: int = 0
    spreadsheet_safe: bool = False
    goal: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, words in WORDS.items():
            if (said := getattr(self, name)) not in words:
                raise UsageError(f"--{name} is one of {', '.join(words)}, not {said}.")
        is_top = re.fullmatch(r"top[1-9][0-9]{0,5}", self.scores)
        if self.scores not in ("all", "none") and not is_top:
            raise UsageError(f"'{self.scores}' are no scores; use all, none, top5 or the like.")
        check_counts({"batch": (self.batch, 1), "shard-rows": (self.shard_rows, 1)})
        check_counts({"threads": (self.threads, 0)})
        if self.spreadsheet_safe and self.format != "csv":
            raise UsageError(f"--spreadsheet-safe is about CSV files, not {self.format}.")
        if self.threads > MOST_THREADS:
            raise UsageError(f"--threads is {MOST_THREADS} or less, not {self.threads}.")
        check_threshold(self.threshold)
        if self.goal is not None:
            parse_goal(self.goal)


def check_counts(counts: dict[str, tuple[int, int]]) -> None:
    """Refuse numbers that are less than the least that makes sense."""
    for name, (value, least) in counts.items():
        if value < least:
            raise UsageError(f"--{name} is {least} or more, not {value}.")


def check_threshold(threshold: float | None) -> None:
    """Refuse what is no probability."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(
            f"--threshold is a probability from 0 to 1, not {threshold}. Leave it out for the "
            f"thresholds that the model stores."
        )


@dataclass(frozen=True)
class Shard:
    """Some rows of one table, whose predictions make one file."""

    number: int
    table: int
    start: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Everything that two processes have to agree about."""

    settings: Settings
    tables: tuple[Names, ...]
    shards: tuple[Shard, ...]
    fingerprint: str
    folder: Path

    def part(self, shard: Shard) -> Path:
        """Return where the predictions of a shard are written."""
        return self.folder / f"part-{shard.number:06}.{self.settings.format}"

    def parts(self) -> Iterator[Path]:
        """Return the files of all shards, in their order."""
        return (self.part(shard) for shard in self.shards)

    def list_unfinished(self, process: int = 0, processes: int = 1) -> list[Shard]:
        """Return the shards of one of so many processes that have no file yet."""
        own = self.shards[process::processes]
        return [shard for shard in own if not self.part(shard).exists()]

    def write(self) -> None:
        """Write the plan beside the parts."""
        content = {
            "fingerprint": self.fingerprint,
            "settings": asdict(self.settings),
            "tables": [asdict(table) for table in self.tables],
            "shards": [[shard.table, shard.start, shard.rows] for shard in self.shards],
        }
        write_text(self.folder / PLAN, json.dumps(content) + "\n")


def make_plan(settings: Settings, tables: list[Names], fingerprint: str, folder: Path) -> Plan:
    """Cut tables into shards."""
    places = (
        (number, start, rows)
        for number, table in enumerate(tables)
        for start, rows in table.open().cut(settings.shard_rows)
    )
    shards = tuple(Shard(number, *place) for number, place in enumerate(places))
    if not shards:
        raise DataError("There are no images to predict: the tables have no rows.")
    return Plan(settings, tuple(tables), shards, fingerprint, folder)


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a prediction that has begun, if there is one."""
    path = folder / PLAN
    if not path.exists():
        return None
    content: Any = read_json(path)
    try:
        plan = Plan(
            Settings(**content["settings"]),
            tuple(Names(**table) for table in content["tables"]),
            tuple(Shard(number, *place) for number, place in enumerate(content["shards"])),
            content["fingerprint"],
            folder,
        )
        _check_whole(plan)
        return plan
    except (UsageError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no plan that this tacit can follow; delete {folder}."
        ) from error


def _check_whole(plan: Plan) -> None:
    """Raise ValueError for a plan whose entries are of other kinds than one that was written."""
    texts = [text for each in plan.tables for text in (each.path, each.root, each.column)]
    if not all(isinstance(text, str) and "\0" not in text for text in (*texts, plan.fingerprint)):
        raise ValueError("a name is no text")
    for shard in plan.shards:
        numbers = (shard.table, shard.start, shard.rows)
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ValueError("a shard is no three numbers")
        if shard.table >= len(plan.tables):
            raise ValueError("a shard is of no table")
    if not plan.shards:
        raise ValueError("there are no shards")


def check_same(plan: Plan, fingerprint: str) -> None:
    """Refuse to go on with a prediction of something else."""
    tables = (table for table in plan.tables if not table.listed)
    changed = any(read_stamp(Path(table.path)) != table.stamp for table in tables)
    if changed or plan.fingerprint != fingerprint:
        raise UsageError(
            f"{plan.folder} holds a prediction that was begun with another model, other inputs or "
            f"other options. Repeat that command to finish it, or choose another --out."
        )


def fingerprint(settings: Settings, inputs: list[str], more: dict[str, str | None]) -> str:
    """Return a short hash of what was asked for: equal requests, equal fingerprint."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        digest.update(_digest(Path(settings.model, name)))
    for name in inputs:
        digest.update(f"{Path(name).absolute()}\0".encode())
    asked = asdict(settings) | {"model": ""} | more
    if not settings.spreadsheet_safe:  # predictions that were begun before there was such a thing
        del asked["spreadsheet_safe"]
    if settings.goal is None:  # likewise
        del asked["goal"]
    digest.update(json.dumps(asked, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
