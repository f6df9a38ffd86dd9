"""A run folder: what is in it, and what it was made with."""

from __future__ import annotations

import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tacit
from tacit.config import Config
from tacit.data.source import Splits
from tacit.distributed import is_first
from tacit.errors import DataError, UsageError
from tacit.files import read_json, write_text
from tacit.registry import require_trust


def check_folder(folder: Path, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder; choose another --out.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"The folder {folder} is not empty; choose another --out, or --resume the run in it."
        )
    if resume and not (folder / "run.json").exists():
        raise DataError(f"There is no run in {folder} to resume.")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    if is_first():
        write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")


def check_same_data(folder: Path, splits: Splits) -> None:
    """Refuse to score a run on data that it was not trained beside."""
    path = folder / "run.json"
    if not path.is_file():
        return
    record = read_json(path)
    trained = record.get("fingerprint") if isinstance(record, dict) else None
    found = splits.train.fingerprint()
    if trained and trained != found:
        raise DataError(
            f"The run in {folder} was trained on other data than '{splits.train.name}' as it is "
            f"now (fingerprint {trained}, not {found}); a score would mean nothing."
        )


def open_run(folder: Path, resume: bool = False) -> Config:
    """Read the configuration of a run folder.

    Args:
        folder: The run folder.
        resume: Whether it is to be trained on, with its method. Who only scores a run does not
            mean to run code that it names, such as a reader of one's own.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise DataError(f"There is no run in {folder} (run.json is missing).")
    try:
        config = Config.model_validate(read_json(path)["config"])
    except (ValueError, KeyError, TypeError) as error:  # no JSON, or no configuration of ours
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not hold the configuration of a run: {reason}.") from error
    if not resume:
        require_trust("format", str(config.data.options.get("format", "")), path)
        if config.data.labels is None:  # which then only the method's class can say
            require_trust("method", config.method.name, path)
    return config


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    return {
        "tacit": tacit.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


class Log:
    """One JSON line per epoch, in metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return all records that can be read; a line that cannot is no reason to stop."""
        records = [_read_record(line) for line in self._lines()]
        broken = records.count(None)
        if broken:
            warnings.warn(
                f"{self.path} has {broken:,} of {len(records):,} lines that are no records of "
                f"epochs; they are left out of charts. Training needs none of them.",
                stacklevel=2,
            )
        return [record for record in records if record is not None]

    def keep(self, epochs: int) -> None:
        """Drop records beyond a number of finished epochs: training goes on from there."""
        self._write(self._lines()[:epochs])

    def append(self, record: dict[str, Any]) -> None:
        """Add a record. The file is rewritten whole, so a crash cannot leave half a line."""
        self._write([*self._lines(), json.dumps(record)])

    def _lines(self) -> list[str]:
        """Return a line for each epoch, broken ones included: they are counted on."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return [line for line in text.split("\n") if line.strip()]

    def _write(self, lines: list[str]) -> None:
        write_text(self.path, "".join(f"{line}\n" for line in lines))


def _read_record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
