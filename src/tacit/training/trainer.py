"""The training loop. It knows no method by name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tacit.config import Config, Phase
from tacit.data.source import Splits
from tacit.distributed import agreed, is_first, rank, wait_for_all, world_size
from tacit.errors import TrainingError
from tacit.evaluation.diagnostics import Diagnostics
from tacit.evaluation.evaluate import Scores, score
from tacit.evaluation.thresholds import choose_thresholds
from tacit.images.loader import ShuffledBatches
from tacit.learner import Learner
from tacit.models.artefact import save_model
from tacit.runs.checkpoint import identify, load_checkpoint, save_checkpoint
from tacit.runs.folder import Run
from tacit.training.features import open_feed
from tacit.training.feeds import PictureFeed
from tacit.training.holding import hold
from tacit.training.interrupts import Interrupted, Interrupts
from tacit.training.meter import FiniteWatch, Meter
from tacit.training.optim import build_optimiser, build_schedule, frozen_parts
from tacit.training.parallel import join_statistics, random_states, restore_random_states
from tacit.training.prepare_model import prepare
from tacit.training.report import Reporter
from tacit.training.sharding import load_whole, load_whole_optimiser, whole
from tacit.training.update import AveragedModel, Descent
from tacit.types import Clock

# Processes ask one another only now and then whether one of them was told to stop.
STEPS_BETWEEN_AGREEMENTS = 10


@dataclass
class Position:
    """What to do next: phases from 0, epochs from 1, batches from 0."""

    phase: int = 0
    epoch: int = 1
    batch: int = 0
    finished_epochs: int = 0


class Trainer:
    """Trains a learner on the training part and keeps the model that validates best."""

    def __init__(
        self,
        learner: Learner,
        splits: Splits,
        config: Config,
        folder: Path,
        device: torch.device,
        reporter: Reporter,
    ) -> None:
        self.learner, self.splits, self.config = learner.to(device), splits, config
        self.folder, self.device, self.reporter = folder, device, reporter
        prepare(learner, config.run, device)
        train = splits.train
        for phase in config.phases:  # what cannot work is said now and not after hours
            self._shuffled(phase)
            build_optimiser(learner, phase)
        self.splits = hold(splits, config, device)
        self.identity = identify(train)
        self.log = Run(folder).log
        self.meter = Meter()
        self.watch = FiniteWatch(list(train.images), device)
        self.diagnostics: Diagnostics | None = None
        if train.truth is not None and config.data.mix == "none":
            self.diagnostics = Diagnostics(torch.from_numpy(train.truth.dense()), device)
        decay = config.run.average
        self.average = AveragedModel(learner.model, decay) if decay else None
        self.position = Position()
        self.feed = PictureFeed(learner, self.splits, config, device)
        self.best: dict[str, Any] = {"map": -1.0, "finished_epochs": 0}
        self.optimiser: Optimizer
        self.schedule: LRScheduler

    def fit(self, resume: bool = False) -> dict[str, Any]:
        """Train to the end and return the record of the best epoch."""
        state = load_checkpoint(Run(self.folder).checkpoints, self.identity) if resume else None
        if state:
            self.position = Position(**state["position"])
        with Interrupts() as self.interrupts:
            for number in range(self.position.phase, len(self.config.phases)):
                self._run_phase(number, self.config.phases[number], state)
                state = None
                self.position = Position(number + 1, finished_epochs=self.position.finished_epochs)
        return self.best

    def _run_phase(self, number: int, phase: Phase, state: dict[str, Any] | None) -> None:
        batches = self._shuffled(phase)
        self.optimiser = build_optimiser(self.learner, phase)
        self.schedule = build_schedule(self.optimiser, phase, phase.epochs * len(batches))
        if state:
            self._restore(state)
        epochs = range(self.position.epoch, phase.epochs + 1)
        loader = self._open_feed(phase).received(batches) if epochs else ()
        for epoch in epochs:
            if self._has_stalled(phase):
                break
            clock = Clock(epoch, phase.epochs, number)
            done = self.position.batch
            # Orders repeat across phases unless the epochs before are counted too.
            batches.set_epoch(self.position.finished_epochs + 1, done)
            self.reporter.start_epoch(number, epoch, phase.epochs, len(batches), done)
            self._run_epoch(clock, phase, loader)
            self.learner.method.end_epoch(clock, self._predict_train)
            self.position = Position(number, epoch + 1, 0, self.position.finished_epochs + 1)
            self._close_epoch(clock)
            if (received := agreed(self.interrupts.received)) is not None:
                raise Interrupted(received)

    def _shuffled(self, phase: Phase) -> ShuffledBatches:
        rows, seed = len(self.splits.train), self.config.run.seed
        return ShuffledBatches(rows, phase.batch, seed, rank(), world_size())

    def _open_feed(self, phase: Phase) -> PictureFeed:
        started = time.perf_counter()
        parts = (self.learner, self.splits, self.config, self.device)
        self.feed = PictureFeed(*parts)  # lets go of what the phase before has stored
        # While features are computed, processes do not wait for one another to agree on anything.
        between = self._stop_if_asked if world_size() == 1 else lambda: None
        self.feed = open_feed(phase, *parts, self.folder, between)
        self.descent = Descent(
            self.feed.learner,
            phase,
            self.optimiser,
            self.schedule,
            self.watch,
            self.device,
            self.config.run.precision,
        )
        self.meter.seconds += time.perf_counter() - started
        return self.feed

    def _stop_if_asked(self) -> None:
        if (received := agreed(self.interrupts.received)) is not None:
            self.watch.flush()
            self._save()
            raise Interrupted(received)

    def _has_stalled(self, phase: Phase) -> bool:
        finished = self.position.finished_epochs
        begun = finished - (self.position.epoch - 1)
        waited = finished - max(begun, self.best["finished_epochs"])
        return phase.patience is not None and waited > phase.patience

    def _run_epoch(self, clock: Clock, phase: Phase, loader: Any) -> None:
        self.learner.train()
        for part in frozen_parts(self.learner, phase):
            part.eval()
        started = time.perf_counter()
        for batch in loader:
            step = self.descent.take(batch, clock)
            if self.average:
                self.average.update(self.learner.model)
            self.meter.update(step)
            if self.diagnostics:
                self.diagnostics.update(batch, step)
            self.position.batch += 1
            self.reporter.step(len(batch.index))
            if world_size() == 1 or self.position.batch % STEPS_BETWEEN_AGREEMENTS == 0:
                now = time.perf_counter()
                self.meter.seconds, started = self.meter.seconds + now - started, now
                self._stop_if_asked()
        self.watch.flush()
        self.meter.seconds += time.perf_counter() - started

    def _close_epoch(self, clock: Clock) -> None:
        for model in (self.learner.model, *([self.average.model] if self.average else [])):
            join_statistics(model)
        model, scores, probabilities = self._validate()
        # Asked of all, for what follows is done by all or by none.
        selected = bool(agreed(int(scores.map > self.best["map"])))
        if selected:
            self.best = {
                "map": scores.map,
                "epoch": clock.epoch,
                "phase": clock.phase,
                "finished_epochs": self.position.finished_epochs,
                "selection": f"validation, {self.splits.validation_labels} labels",
            }
            weights = whole(model.state_dict())
            if is_first():
                shown = self.splits.validation
                thresholds = choose_thresholds(probabilities, shown.labels.dense(), shown.classes)
                save_model(model, self.folder, weights, best=self.best, thresholds=thresholds)
        record = self._record(clock, scores, selected)
        if is_first():
            self.log.append(record)
        self.meter.restart()
        if self.diagnostics:
            self.diagnostics.restart()
        self._save()
        self.reporter.end_epoch(record)

    def _validate(self) -> tuple[Any, Scores, NDArray[np.float32]]:
        """Score the model and its running average, if there is one; return the better."""
        source = self.splits.validation
        scored = []
        for model in (self.learner.model, *([self.average.model] if self.average else [])):
            said = self._predict(model, source)
            scored.append((model, score(said, source.labels.dense(), source.classes), said))
        return max(scored, key=lambda each: each[1].map)

    def _predict(self, model: Any, source: Any) -> NDArray[np.float32]:
        probabilities = self.feed.predict(model, source)
        if np.isnan(probabilities).any():
            raise TrainingError(
                "The model no longer predicts numbers: its weights became NaN or infinite in the "
                "last steps. Lower the learning rate. The last checkpoint is from before this."
            )
        return probabilities

    def _predict_train(self) -> Tensor:
        return torch.from_numpy(self._predict(self.learner.model, self.splits.train))

    def _record(self, clock: Clock, scores: Scores, selected: bool) -> dict[str, Any]:
        seconds = self.meter.seconds
        images = self.meter.steps * self.config.phases[clock.phase].batch
        record: dict[str, Any] = {
            "phase": clock.phase,
            "epoch": clock.epoch,
            "step": self.meter.steps,
            "seconds": round(seconds, 3),
            "images_per_second": round(images / seconds, 1) if seconds else None,
            "lr": self.schedule.get_last_lr()[0],
            **self.meter.means(),
            "validation_map": scores.map,
            "validation_labels": self.splits.validation_labels,
            "selected": selected,
        }
        if self.diagnostics:
            found = self.diagnostics.identification()
            record["identification"] = {
                **vars(found),
                "precision": found.precision,
                "recall": found.recall,
                "f1": found.f1,
            }
            record["evidence"] = self.diagnostics.evidence()
        return record

    def _save(self) -> None:
        state = {
            "position": vars(self.position),
            "best": self.best,
            "learner": whole(self.learner.state_dict()),
            "optimiser": whole(self.optimiser.state_dict()),
            "schedule": self.schedule.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "meter": self.meter.state_dict(),
            "diagnostics": self.diagnostics.state_dict() if self.diagnostics else None,
            "random": random_states(self.device),
            "config": self.config.model_dump(mode="json"),
        }
        if is_first():
            save_checkpoint(Run(self.folder).checkpoints, self.identity, state)
        wait_for_all()

    def _restore(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        load_whole(self.learner, state["learner"])
        load_whole_optimiser(self.optimiser, state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average:
            self.average.model.load_state_dict(state["average"])
        self.meter.load_state_dict(state["meter"], self.device)
        if self.diagnostics:
            self.diagnostics.load_state_dict(state["diagnostics"])
        restore_random_states(state["random"], self.device, self.config.run.seed)
        if is_first():
            self.log.keep(self.position.finished_epochs)
