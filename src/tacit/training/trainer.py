"""The training loop. It knows no method by name."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tacit.distributed import agree_on, is_first, wait_for_all, world_size
from tacit.errors import TrainingError
from tacit.evaluation.chance import compute_chance
from tacit.evaluation.diagnostics import Diagnostics
from tacit.evaluation.evaluate import Scores, score
from tacit.images.loader import EVALUATION_BATCH
from tacit.models.artefact import save_model
from tacit.runs.checkpoint import identify, load_checkpoint, save_checkpoint
from tacit.runs.decide import decide_for
from tacit.runs.folder import Run
from tacit.training.context import Context
from tacit.training.interrupts import Interrupted, Interrupts
from tacit.training.meter import FiniteWatch, Meter
from tacit.training.parallel import read_random_states, restore_random_states
from tacit.training.phase import PhaseRun
from tacit.training.report import Reporter
from tacit.training.suspects import SuspectLog
from tacit.training.update import AveragedModel
from tacit.types import Batch, Clock

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
    """Trains a learner on the training split and keeps the model that validates best."""

    def __init__(self, context: Context, reporter: Reporter) -> None:
        self.context, self.reporter = context, reporter
        self.learner, self.splits, self.config = context.learner, context.splits, context.config
        self.folder, self.device, self.parallel = context.folder, context.device, context.parallel
        train = self.splits.train
        self.identity = identify(train)
        self.log = Run(self.folder).log
        self.meter = Meter()
        self.watch = FiniteWatch(list(train.images), self.device)
        self.diagnostics: Diagnostics | None = None
        if train.truth is not None and self.config.data.mix == "none":
            self.diagnostics = Diagnostics(torch.from_numpy(train.truth.dense()), self.device)
        shown = self.splits.validation
        self.chance = compute_chance(shown.labels.per_class(1), len(shown))
        self.suspects = SuspectLog(train, self.identity.data, self.config)
        decay = self.config.run.average
        self.average = AveragedModel(self.learner.model, decay) if decay else None
        self.interrupts = Interrupts()
        self.position = Position()
        self.phase = PhaseRun(context, 0, self.watch)
        self.best: dict[str, Any] = {"map": -1.0, "finished_epochs": 0}
        self.latest: float | None = None  # validation mAP of the last finished epoch

    def fit(self, resume: bool = False) -> dict[str, Any]:
        """Train to the end and return the record of the best epoch."""
        state = load_checkpoint(Run(self.folder).checkpoints, self.identity) if resume else None
        if state:
            self.position = Position(**state["position"])
        with self.interrupts:
            for number in range(self.position.phase, len(self.config.phases)):
                if number != self.phase.number:
                    self.phase = PhaseRun(self.context, number, self.watch)
                self._run_phase(state)
                state = None
                self.position = Position(number + 1, finished_epochs=self.position.finished_epochs)
        return self.best

    def _run_phase(self, state: dict[str, Any] | None) -> None:
        number, phase, order = self.phase.number, self.phase.settings, self.phase.order
        if state:
            self._restore(state)
        elif phase.own_best:
            finished = self.position.finished_epochs
            self.best, self.latest = {"map": -1.0, "finished_epochs": finished}, None
        epochs = range(self.position.epoch, phase.epochs + 1)
        loader = self._open_feed() if epochs else ()
        for epoch in epochs:
            if self._has_stalled():
                break
            clock = Clock(epoch, phase.epochs, number)
            done = self.position.batch
            # Orders repeat across phases unless the epochs before are counted too.
            order.set_epoch(self.position.finished_epochs + 1, done)
            self.reporter.start_epoch(number, epoch, phase.epochs, len(order), done)
            self._run_epoch(clock, loader)
            self.learner.method.end_epoch(clock, self._predict_train)
            self.position = Position(number, epoch + 1, 0, self.position.finished_epochs + 1)
            self._close_epoch(clock)
            if (received := agree_on(self.interrupts.received)) is not None:
                raise Interrupted(received)

    def _open_feed(self) -> Iterable[Batch]:
        started = time.perf_counter()
        # While features are computed, processes do not wait for one another to agree on anything.
        self.phase.feed.fill(self._before_reading, self.reporter.note)
        self.meter.seconds += time.perf_counter() - started
        return self.phase.batches()

    def _before_reading(self) -> None:
        self.reporter.read(EVALUATION_BATCH)
        if world_size() == 1:
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if (received := agree_on(self.interrupts.received)) is not None:
            self.watch.flush()
            self._save()
            raise Interrupted(received)

    def _has_stalled(self) -> bool:
        phase, finished = self.phase.settings, self.position.finished_epochs
        begun = finished - (self.position.epoch - 1)
        waited = finished - max(begun, self.best["finished_epochs"])
        if phase.patience is not None and waited > phase.patience:
            return True
        if phase.max_drop is None or self.latest is None or finished == begun:
            return False
        return bool(agree_on(int(self.best["map"] - self.latest > phase.max_drop)))

    def _run_epoch(self, clock: Clock, loader: Iterable[Batch]) -> None:
        self.phase.start_epoch()
        started = time.perf_counter()
        for batch in loader:
            step = self.phase.update.take(batch, clock)
            if self.average:
                self.average.update(self.learner.model)
            self.meter.update(step)
            if self.diagnostics:
                self.diagnostics.update(batch, step)
            self.suspects.update(batch, step, self.position.finished_epochs + 1)
            self.position.batch += 1
            self.reporter.step(len(batch.index))
            if world_size() == 1 or self.position.batch % STEPS_BETWEEN_AGREEMENTS == 0:
                now = time.perf_counter()
                self.meter.seconds, started = self.meter.seconds + now - started, now
                self._stop_if_asked()
        self.watch.flush()
        self.meter.seconds += time.perf_counter() - started

    def _close_epoch(self, clock: Clock) -> None:
        for model in self._list_models():
            self.parallel.join_statistics(model)
        model, scores, probabilities = self._validate()
        self.latest = scores.map
        # Asked of all, for what follows is done by all or by none.
        selected = bool(agree_on(int(scores.map > self.best["map"])))
        if selected:
            self.best = {
                "map": scores.map,
                "epoch": clock.epoch,
                "phase": clock.phase,
                "finished_epochs": self.position.finished_epochs,
                "selection": f"validation, {self.splits.validation_labels} labels",
            }
            weights = self.parallel.state(model)
            if is_first():
                found = decide_for(self.config.decide, self.splits.validation, probabilities)
                save_model(model, self.folder, weights, best=self.best, **found)
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
        for model in self._list_models():
            said = self._predict(model, source)
            scored.append((model, score(said, source.labels.dense(), source.classes), said))
        return max(scored, key=lambda each: each[1].map)

    def _list_models(self) -> list[nn.Module]:
        return [self.learner.model, *([self.average.model] if self.average else [])]

    def _predict(self, model: Any, source: Any) -> NDArray[np.float32]:
        probabilities = self.phase.feed.predict(model, source)
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
        images = self.meter.steps * self.phase.settings.batch
        record: dict[str, Any] = {
            "phase": clock.phase,
            "epoch": clock.epoch,
            "step": self.meter.steps,
            "seconds": round(seconds, 3),
            "images_per_second": round(images / seconds, 1) if seconds else None,
            "lr": self.phase.schedule.get_last_lr()[0],
            **self.meter.means(),
            "validation_map": scores.map,
            "validation_labels": self.splits.validation_labels,
            "validation_chance": round(self.chance, 3),
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
            record["cells"] = self.diagnostics.count_cells()
            record["evidence"] = self.diagnostics.evidence()
        return record

    def _save(self) -> None:
        state = {
            "position": vars(self.position),
            "best": self.best,
            "latest": self.latest,
            "learner": self.parallel.state(self.learner),
            **self.phase.state(),
            "average": self.average.model.state_dict() if self.average else None,
            "meter": self.meter.state_dict(),
            "diagnostics": self.diagnostics.state_dict() if self.diagnostics else None,
            "suspects": self.suspects.state_dict(),
            "random": read_random_states(self.device),
            "config": self.config.model_dump(mode="json"),
        }
        if is_first():
            save_checkpoint(Run(self.folder).checkpoints, self.identity, state)
            self.suspects.write(Run(self.folder).suspects_file)
        wait_for_all()

    def _restore(self, state: dict[str, Any]) -> None:
        self.best, self.latest = state["best"], state.get("latest")
        self.parallel.load(self.learner, state["learner"])
        self.phase.load(state)
        if self.average:
            self.average.model.load_state_dict(state["average"])
        self.meter.load_state_dict(state["meter"], self.device)
        if self.diagnostics:
            self.diagnostics.load_state_dict(state["diagnostics"])
        if "suspects" in state:  # which an earlier tacit did not keep
            self.suspects.load_state_dict(state["suspects"])
        restore_random_states(state["random"], self.device, self.config.run.seed)
        if is_first():
            self.log.keep(self.position.finished_epochs)
