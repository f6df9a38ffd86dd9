"""Trackers: what a run logs, sent to programs that draw curves.

The log of a run, metrics.jsonl, is always written, and nothing here replaces it. A tracker is an
object with three methods, so that one of your own is a short class, named by its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tacit.config import Config
from tacit.distributed import is_first
from tacit.errors import UsageError
from tacit.files import read_json, write_text
from tacit.registry import Row, find
from tacit.runs.folder import Run
from tacit.training.report import Reporter


class Tracker(Protocol):
    """Receives what a run logs."""

    def begin(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """A run begins, or goes on after a step.

        Args:
            folder: Of the run; its name is the run's.
            settings: The configuration, flat, such as ``{"phases.0.lr": 0.003}``.
            step: Epochs that are logged already.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """An epoch is over.

        Args:
            step: Which, counted over all phases, from 1.
            values: All numbers of its record, flat, such as ``{"terms.positive": 0.1}``.
        """

    def end(self, scores: Mapping[str, float]) -> None:
        """The run is over, or is left; then there are no scores yet."""


TRACKERS: dict[str, Row | type] = {
    "tensorboard": Row("tacit.training.tracking:TensorBoard", "event files in the run folder"),
    "mlflow": Row("tacit.training.tracking:MLflow", "a run where MLFLOW_TRACKING_URI says"),
    "wandb": Row("tacit.training.tracking:WandB", "a run of Weights & Biases"),
}


@contextmanager
def tracking(
    names: Sequence[str], config: Config, run: Run, reporter: Reporter
) -> Iterator[Reporter]:
    """Send what a run logs to trackers as well; the run is to be trained within.

    Args:
        names: Names from `TRACKERS`, or places such as ``file.py:Class``.
        config: Of the run.
        run: Its folder.
        reporter: Receives the progress besides.
    """
    trackers: list[Tracker] = [_make(name) for name in names] if is_first() else []
    if not trackers:
        yield reporter
        return
    tracked = _Tracked(reporter, trackers, config, run)
    try:
        yield tracked
    finally:
        if tracked.begun:
            scores = dict(_numbers(run.result or {}))
            for tracker in trackers:
                tracker.end(scores)


def _make(name: str) -> Any:
    made = find("tracker", name, TRACKERS)()
    missing = [verb for verb in ("begin", "log", "end") if not callable(getattr(made, verb, None))]
    if missing:
        raise UsageError(f"'{name}' is no tracker: it has no {missing[0]}().")
    return made


class _Tracked:
    """A reporter that tells trackers, too, when an epoch is over."""

    def __init__(
        self, reporter: Reporter, trackers: Sequence[Tracker], config: Config, run: Run
    ) -> None:
        self._reporter, self._trackers, self._config, self._run = reporter, trackers, config, run
        self.begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def start_run(self, title: str) -> None:
        """A run begins; by now its folder is known to be fit."""
        done = len(self._run.log.read()) if self._run.has_checkpoint else 0
        settings = dict(_flatten(self._config.model_dump(mode="json")))
        self._run.folder.mkdir(parents=True, exist_ok=True)
        for tracker in self._trackers:
            tracker.begin(self._run.folder, settings, done)
        self.begun = True
        self._reporter.start_run(title)

    def end_epoch(self, record: dict[str, Any]) -> None:
        """An epoch is over; the record is what the log holds."""
        earlier = self._config.phases[: record["phase"]]
        step = sum(phase.epochs for phase in earlier) + record["epoch"]
        values = dict(_numbers(record))
        for tracker in self._trackers:
            tracker.log(step, values)
        self._reporter.end_epoch(record)


def _flatten(value: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in entries:
        name = f"{before}.{key}" if before else str(key)
        if isinstance(each, dict) or (
            isinstance(each, list) and any(isinstance(one, dict) for one in each)
        ):
            yield from _flatten(each, name)
        else:
            yield name, each


def _numbers(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in _flatten(dict(record)):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def _explain(name: str, package: str, error: ImportError) -> UsageError:
    return UsageError(f"--track {name} needs {package}: pip install 'tacit[{name}]' ({error}).")


class TensorBoard:
    """Event files in the folder `tensorboard` of the run: tensorboard --logdir runs"""

    def begin(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """Open a file of events; of a run that goes on, later events no longer count."""
        try:
            import tensorboard  # noqa: F401
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise _explain("tensorboard", "TensorBoard", error) from error
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._writer.add_text("settings", f"```\n{json.dumps(dict(settings), indent=1)}\n```", 0)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write each number as a scalar, terms of the loss below one heading."""
        for name, value in values.items():
            self._writer.add_scalar(name.replace(".", "/"), value, step)
        self._writer.flush()

    def end(self, scores: Mapping[str, float]) -> None:
        """Write the scores of the test split, and close the file."""
        for name, value in scores.items():
            self._writer.add_scalar(f"test/{name.replace('.', '/')}", value, 0)
        self._writer.close()


class _Remembered:
    """The name of a run elsewhere, which a run that goes on has to find again."""

    def __init__(self, folder: Path, tracker: str) -> None:
        self._path, self._tracker = folder / "tracking.json", tracker

    def read(self) -> str | None:
        """Return the name; None if there is none yet."""
        told = read_json(self._path) if self._path.is_file() else {}
        name = told.get(self._tracker) if isinstance(told, dict) else None
        return name if isinstance(name, str) else None

    def write(self, name: str) -> None:
        """Note the name."""
        told = read_json(self._path) if self._path.is_file() else {}
        write_text(self._path, json.dumps({**told, self._tracker: name}) + "\n")


class MLflow:
    """A run in the experiment `tacit`, or in that of MLFLOW_EXPERIMENT_NAME."""

    LONGEST = 500
    """What its server takes as the value of a parameter."""

    def begin(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """Make a run, or find that of a run that goes on."""
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise _explain("mlflow", "MLflow", error) from error
        import os

        self._client: Any = MlflowClient()
        remembered = _Remembered(folder, "mlflow")
        self._run = remembered.read() if step else None
        if self._run is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tacit")
            known = self._client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self._client.create_experiment(name)
            made = self._client.create_run(experiment, run_name=folder.resolve().name)
            self._run = made.info.run_id
            remembered.write(self._run)
            for key, value in settings.items():
                self._client.log_param(self._run, key, str(value)[: self.LONGEST])
        else:
            self._client.update_run(self._run, status="RUNNING")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write each number as a metric."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self, scores: Mapping[str, float]) -> None:
        """Write the scores of the test split, and say how the run ended."""
        for name, value in scores.items():
            self._client.log_metric(self._run, f"test.{_spell(name)}", value)
        self._client.set_terminated(self._run, "FINISHED" if scores else "KILLED")


def _spell(name: str) -> str:
    """Leave out of a class's name what MLflow refuses in the names of metrics."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)


class WandB:
    """A run of Weights & Biases, in the project `tacit` or in that of WANDB_PROJECT."""

    def begin(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """Make a run, or find that of a run that goes on."""
        try:
            import wandb
        except ImportError as error:
            raise _explain("wandb", "Weights & Biases", error) from error
        import os

        remembered = _Remembered(folder, "wandb")
        name = remembered.read() if step else None
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tacit"), name=folder.resolve().name,
            dir=str(folder), config=dict(settings), id=name, resume="allow" if name else None,
        )  # fmt: skip
        remembered.write(self._run.id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write all numbers of the epoch."""
        self._run.log({name.replace(".", "/"): value for name, value in values.items()}, step=step)

    def end(self, scores: Mapping[str, float]) -> None:
        """Write the scores of the test split as a summary."""
        for name, value in scores.items():
            self._run.summary[f"test/{name}"] = value
        self._run.finish(exit_code=0 if scores else 1)
