"""A run folder: what is in it, and what it was made with. Nobody else knows its files by name."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.config import AUTO, Config
from tacit.errors import DataError, UsageError
from tacit.files import is_partial, read_json, telling, write_atomically, write_text
from tacit.locks import hold_lock
from tacit.names import split_lines
from tacit.registry import full_name, require_trust
from tacit.runs.written import find_result_fault, is_of_an_epoch
from tacit.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

    from tacit.data.source import Source, Splits
    from tacit.learner import Learner
    from tacit.models.base import Model

FORMAT = 2
"""Of the record. In the first one, which does not say so, a method's defaults are left out."""

# What a key of the configuration was called in a format before: table, then and now.
RENAMED = {1: (("run", "together", "fuse_views"),)}

# What a run is told to choose itself, and then writes down.
AUTOMATIC = {("precision", "auto"), ("batch", AUTO)}

SUSPECTS = "suspects.parquet"
SUSPECT_COLUMNS = ("image", "class", "times", "first_epoch", "last_epoch", "score")


class Run:
    """A run folder, which need not exist. Nothing is read before it is asked for.

    Args:
        folder: Where the run is.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record_file = self.folder / "run.json"
        self.suspects_file = self.folder / SUSPECTS
        self.repair = self.folder / "repair"  # what is found missing, and what people say of it
        self.checkpoints = self.folder / "checkpoints"
        self.log = Log(self.folder / "metrics.jsonl")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return self.record_file.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return self.checkpoints.is_dir() and any(self.checkpoints.glob("*.pt"))

    @property
    def record(self) -> dict[str, Any]:
        """What the run was made with, and its ``result`` once it has ended."""
        if not self.exists:
            raise DataError(
                f"There is no run in {self.folder} ({self.record_file.name} is missing)."
            )
        record: dict[str, Any] = read_json(self.record_file)
        try:
            written = int(record.get("format", 1))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise self._damaged(error) from error
        if written > FORMAT:
            raise DataError(
                f"{self.record_file} has format {written}, and this tacit reads formats up to "
                f"{FORMAT}: a newer one has written it. Use that one, or update this."
            )
        return record

    @property
    def config(self) -> Config:
        """The configuration, as it was when the run started."""
        record = self.record
        try:
            tables = record["config"]
            for table, then, now in RENAMED.get(record.get("format", 1), ()):
                if then in tables.get(table, {}):
                    tables[table][now] = tables[table].pop(then)
            return Config.model_validate(tables)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataError:
        reason = str(error).partition("\n")[0]
        return DataError(f"{self.record_file} does not hold the configuration of a run: {reason}.")

    @property
    def result(self) -> dict[str, Any] | None:
        """The scores on the test split; None for a run that has not ended."""
        result: dict[str, Any] | None = self.record.get("result") if self.exists else None
        return result

    @property
    def scores(self) -> dict[str, Any] | None:
        """The same, refused where a number that pages and tables show is none."""
        result = self.result
        if result is not None and (fault := find_result_fault(result)) is not None:
            raise DataError(
                f"{self.record_file} does not hold the scores of a run: {fault}. If it was edited, "
                f"undo that; otherwise train it again."
            )
        return result

    def splits(self) -> Splits:
        """Read the data again, with the labels that the run learned from.

        Who opens a run does not mean to run code that it names, such as a reader of one's own, and
        is asked before.
        """
        from tacit.runs.build import read_splits

        config = self.config
        require_trust("format", str(config.data.options.get("format", "")), self.record_file)
        if config.data.labels is None:  # which then only the method's class can say
            require_trust("method", config.method.name, self.record_file)
        splits = read_splits(config)
        self.check_same_data(splits)
        return splits

    def model(self) -> Model:
        """Load the model of the best epoch, ready for inference."""
        from tacit.models.artefact import load_model

        return load_model(self.folder)

    def learner(self, splits: Splits | None = None) -> Learner:
        """Build model and method as the last checkpoint left them, in evaluation mode.

        Args:
            splits: The data, if it is already in memory.
        """
        from tacit.runs.build import build_learner
        from tacit.runs.checkpoint import identify, load_checkpoint

        config = self.config
        require_trust("method", config.method.name, self.record_file)
        require_trust("model", config.model.name, self.record_file)
        splits = splits or self.splits()
        state = load_checkpoint(self.checkpoints, identify(splits.train))
        learner = build_learner(config, splits)
        learner.load_state_dict(state["learner"])
        return learner.eval()

    def suspects(self, source: Source | None = None) -> pa.Table:
        """Return the cells that the method suspected, a row for each, with the file's metadata.

        Args:
            source: The images that were trained on, if somebody has them at hand; those of
                another run, or with other labels, are refused.
        """
        import pyarrow as pa

        from tacit.data.arrow_files import read_parquet

        path = self.suspects_file
        if not path.is_file():
            raise DataError(
                f"The run in {self.folder} has no suspects ({path.name} is missing): it has no "
                f"checkpoint yet, its method suspects nothing, or an earlier tacit trained it."
            )
        try:
            table = read_parquet(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is damaged and cannot be read.") from error
        missing = [name for name in SUSPECT_COLUMNS if name not in table.column_names]
        if missing:
            raise DataError(f"{path} has no column '{missing[0]}'; no run has written it.")
        if source is not None:
            self._check_source(table, source)
        return table

    def _check_source(self, table: pa.Table, source: Source) -> None:
        """Refuse to read suspects beside data that they do not belong to."""
        try:
            trained = json.loads(table.schema.metadata[b"tacit"])["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.suspects_file} does not say which data it is about.") from error
        if trained != source.fingerprint():
            raise DataError(
                f"{self.suspects_file} holds suspects of other images or labels than "
                f"'{source.name}': its data are {trained}, and these are {source.fingerprint()}. "
                f"Read it with the data of its run."
            )

    def copy_to(self, folder: Path) -> None:
        """Copy the model, what it was made with, its log and its suspects; no checkpoints.

        Args:
            folder: Where to, a folder that is new or empty.
        """
        from tacit.models.artefact import FILES

        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is there already, and not empty; choose another folder.")
        found = [self.folder / name for name in FILES]
        found += [self.record_file, self.log.path, self.suspects_file]
        with telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for file in found:
            if file.is_file():
                write_atomically(folder / file.name, partial(shutil.copyfile, file))

    def check_same_data(self, splits: Splits) -> None:
        """Refuse to score a run on data that it was not trained beside."""
        trained = self.record.get("fingerprint") if self.exists else None
        found = splits.train.fingerprint()
        if trained and trained != found:
            raise DataError(
                f"The run in {self.folder} was trained on other data than '{splits.train.name}' as "
                f"it is now (fingerprint {trained}, not {found}); a score would mean nothing."
            )

    def resume_config(self, config: Config) -> Config:
        """Return the recorded configuration, if there is one, and the given one otherwise.

        What the given one says must be what was recorded; what it leaves out may have had another
        default when the run started.
        """
        if not self.exists:
            return config
        recorded = self.config
        said = config.model_dump(mode="json", exclude_unset=True)
        if differing := _first_difference(said, recorded.model_dump(mode="json")):
            key, now, then = differing
            raise UsageError(
                f"The run in {self.folder} has {key} = {then!r}, and cannot go on with {now!r}. A "
                f"resumed run keeps its configuration; choose another --out for another one."
            )
        return recorded

    @contextmanager
    def lock(self, resume: bool) -> Iterator[None]:
        """Refuse a folder in use, and let nobody else train in it before this is over.

        Of the processes that train one model together, the first speaks for all. Nothing is left
        of a folder in which nothing was written.
        """
        from tacit.distributed import is_first

        self._check(resume)
        if not is_first():
            yield
            return
        made = [each for each in (self.folder, *self.folder.parents) if not each.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with hold_lock(self.folder / LOCK, f"the run in {self.folder}"):
                self._check(resume)  # another one may have ended just now
                yield
        finally:
            with suppress(OSError):  # it is not empty
                for each in made:
                    each.rmdir()

    def _check(self, resume: bool) -> None:
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file, not a folder; choose another --out.")
        if self.exists and resume:
            return
        if folder.exists() and any(
            not is_partial(path) for path in folder.iterdir() if path.name != LOCK
        ):
            advice = ", or --resume the run in it" if self.exists else ""
            raise UsageError(f"The folder {folder} is not empty; choose another --out{advice}.")

    def write(self, record: Mapping[str, Any]) -> None:
        """Write down what the run is made with."""
        write_text(self.record_file, json.dumps(record, indent=2) + "\n")


LOCK = ".lock"


def _first_difference(said: Any, recorded: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Return where a value is said to be another one than was recorded, and both values."""
    if isinstance(said, dict) and isinstance(recorded, dict):
        pairs = [(name, said[name], recorded.get(name)) for name in said]
    elif isinstance(said, list) and isinstance(recorded, list) and len(said) == len(recorded):
        pairs = list(zip(map(str, range(len(said))), said, recorded, strict=True))
    else:
        # None says nothing; no recipe can. What was chosen at first stays chosen.
        chosen = (key.rpartition(".")[2], said) in AUTOMATIC
        same = (
            chosen
            or said in (None, recorded)
            or (isinstance(said, str) and full_name(said) == recorded)
        )
        return None if same else (key, said, recorded)
    found = (_first_difference(now, then, f"{key}.{name}".strip(".")) for name, now, then in pairs)
    return next((each for each in found if each), None)


def versions() -> dict[str, str]:
    """The versions that a number depends on, with the commit where tacit runs from a checkout."""
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    commit = commit_of(Path(__file__).parents[1])
    return {
        "tacit": __version__,
        **({"commit": commit} if commit else {}),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


@cache
def commit_of(package: Path) -> str | None:
    """Return the commit that a package was checked out from, marked if files have changed since."""
    if shutil.which("git") is None:
        return None

    def ask(*words: str) -> str | None:
        command = ["git", "-C", str(package), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # Installed packages may lie within a checkout of something else.
    if ask("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return ask("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


class Log:
    """One JSON line per epoch."""

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
        if self.path.exists():
            self._write(self._lines()[:epochs])

    def append(self, record: dict[str, Any]) -> None:
        """Add a record. The file is rewritten whole, so a crash cannot leave half a line."""
        self._write([*self._lines(), json.dumps(record)])

    def _lines(self) -> list[str]:
        """Return a line for each epoch, broken ones included: they are counted on."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return [line for line in split_lines(text) if line.strip()]

    def _write(self, lines: list[str]) -> None:
        write_text(self.path, "".join(f"{line}\n" for line in lines))


def _read_record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and is_of_an_epoch(record) else None
