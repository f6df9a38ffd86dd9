"""What finished runs say of themselves: their records, their logs, and runs of several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacit.errors import DataError
from tacit.registry import short_name
from tacit.runs.folder import Run


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run says of itself."""

    name: str
    folder: Path
    record: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        """Its scores."""
        result: dict[str, Any] = self.record["result"]
        return result

    @property
    def method(self) -> str:
        """The name of its method."""
        return short_name(self.record["config"]["method"]["name"])


@dataclass(frozen=True)
class Series:
    """Runs that differ in their seeds alone, under one name.

    Attributes:
        name: What tables and figures call them.
        runs: The finished runs, at least one.
    """

    name: str
    runs: tuple[FinishedRun, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration of the first one, flat."""
        return dict(flatten(self.runs[0].record["config"]))


def read_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Read runs, each of which must have ended."""
    names = _name_apart(folders)
    return [read_run(folder, name) for folder, name in zip(folders, names, strict=True)]


def read_run(folder: Path, name: str) -> FinishedRun:
    """Read a run, which must have ended."""
    run = Run(folder)
    record = run.record
    if not run.scores:
        raise DataError(
            f"The run in {folder} has not ended, so there is nothing to report yet; go on with "
            f"`tacit train --resume --out {folder}`."
        )
    if not all(isinstance(record.setdefault(key, {}), dict) for key in ("data", "versions")):
        raise DataError(f"{run.record_file} does not say what its run was made with.")
    record = {**record, "config": run.config.model_dump(mode="json")}
    return FinishedRun(name, folder, record, run.log.read())


def _name_apart(folders: Sequence[Path]) -> list[str]:
    """Name runs by their folders, with as many of the folders above as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise DataError("A run is named twice; name each once.")


def flatten(table: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the whole key and the value of everything in nested tables."""
    if isinstance(table, dict):
        for key, value in table.items():
            yield from flatten(value, f"{before}{key}.")
    elif isinstance(table, list) and table and all(isinstance(each, dict) for each in table):
        for number, each in enumerate(table):
            yield from flatten(each, f"{before}{number}.")
    else:
        yield before[:-1], table
