"""The loop: phases, frozen modules, averages, and which epoch is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tacit.data.source import Source, Splits
from tacit.evaluation.evaluate import predict, score
from tacit.images.loader import build_evaluation_loader
from tacit.methods.base import Method
from tacit.methods.pointwise import AssumeNegative
from tacit.models.artefact import load_model, read_config
from tacit.runs.decide import decide_for
from tacit.runs.folder import Log
from tacit.training import trainer as trainer_module
from tacit.training.report import Silent
from tacit.training.trainer import Trainer
from tacit.types import Batch, Clock, Step

MakeTrainer = Callable[..., Trainer]
Plug = Callable[[type[Method]], str]
State = dict[str, Tensor]

PHASES = [
    {"epochs": 1, "batch": 16, "lr": 1e-3, "schedule": "constant"},
    {"epochs": 2, "batch": 32, "lr": 1e-4, "schedule": "constant"},
]


def snapshot(module: torch.nn.Module) -> State:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def script_scores(monkeypatch: pytest.MonkeyPatch, *maps: float) -> None:
    """Give validations prescribed results, one after the other."""
    left = list(maps)
    monkeypatch.setattr(
        trainer_module, "score", lambda *arguments: replace(score(*arguments), map=left.pop(0))
    )


class Snapshots(Silent):
    """Keeps the weights after every epoch."""

    def __init__(self) -> None:
        self.trainer: Trainer
        self.models: list[State] = []
        self.averages: list[State] = []

    def end_epoch(self, record: dict[str, Any]) -> None:
        self.models.append(snapshot(self.trainer.learner.model))
        if self.trainer.average:
            self.averages.append(snapshot(self.trainer.average.model))


class Spy(AssumeNegative):
    """Writes down what it is given."""

    seen: ClassVar[list[tuple[Clock, Batch]]]
    steps: ClassVar[list[Step]]
    ends: ClassVar[list[tuple[Clock, Tensor]]]

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        self.seen.append((clock, batch))
        step = super().step(model, batch, clock)
        # Every unknown cell is a suspect, so that each epoch counts the same ones.
        self.steps.append(replace(step, suspects=batch.unknown))
        return self.steps[-1]

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.ends.append((clock, predict()))


@pytest.fixture
def spy(plug: Plug) -> type[Spy]:
    Spy.seen, Spy.steps, Spy.ends = [], [], []
    plug(Spy)
    return Spy


def test_only_a_better_epoch_is_kept(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script_scores(monkeypatch, 10.0, 10.0, 12.0, 11.0)
    reporter = Snapshots()
    reporter.trainer = make_trainer("phases.epochs=4", reporter=reporter)
    best = reporter.trainer.fit()
    selection = "validation, clean labels"
    place = {"epoch": 3, "phase": 0, "finished_epochs": 3}
    assert best == {"map": 12.0, **place, "selection": selection}
    log = Log(tmp_path / "run" / "metrics.jsonl").read()
    assert [entry["selected"] for entry in log] == [True, False, True, False]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["best"] == best
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert [same(kept, model) for model in reporter.models] == [False, False, True, False]


def test_thresholds_are_those_of_the_kept_epoch(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.fit()
    source = trainer.splits.validation
    said = trainer.phase.feed.predict(load_model(trainer.folder), source)
    expected = decide_for(trainer.config.decide, source, said)["thresholds"]
    assert read_config(trainer.folder)["thresholds"] == pytest.approx(expected, abs=1e-6)
    assert len({*expected.values()}) > 1


def test_an_epoch_leaves_a_record(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer("phases.schedule=constant", "phases.lr=0.001")
    trainer.fit()
    (entry,) = Log(tmp_path / "run" / "metrics.jsonl").read()
    assert (entry["phase"], entry["epoch"], entry["step"]) == (0, 1, 6)
    assert entry["lr"] == 0.001
    assert entry["seconds"] > 0
    assert entry["images_per_second"] == pytest.approx(96 / entry["seconds"], rel=0.1)
    assert list(entry["terms"]) == ["bce"] and entry["readings"] == {}
    assert 0 < entry["validation_map"] <= 100
    assert entry["validation_labels"] == "clean"
    assert set(entry["evidence"]["logit"]) == {"known", "missed", "negative"}
    # This method suspects nothing, so nothing was identified or missed by it.
    assert entry["identification"] == dict.fromkeys(
        ("tp", "fp", "fn", "precision", "recall", "f1"), 0
    )


def test_records_are_of_one_epoch(make_trainer: MakeTrainer, spy: type[Spy]) -> None:
    trainer = make_trainer("method.name=spy", "phases.epochs=2")
    trainer.fit()
    source = trainer.splits.train
    assert source.truth is not None
    missed = int(((source.truth.dense() == 1) & (source.labels.dense() == 0)).sum())
    for number, entry in enumerate(Log(trainer.folder / "metrics.jsonl").read()):
        steps = spy.steps[6 * number : 6 * number + 6]
        losses = [float(step.terms["bce"].detach()) for step in steps]
        assert entry["terms"]["bce"] == pytest.approx(np.mean(losses), rel=1e-6)
        assert entry["step"] == 6
        found = entry["identification"]
        assert (found["tp"], found["fn"], found["recall"]) == (missed, 0, 1.0)
        known = torch.cat(
            [
                s.evidence["logit"][b.labels == 1]
                for s, (_, b) in zip(steps, spy.seen[6 * number : 6 * number + 6], strict=True)
            ]
        )
        assert entry["evidence"]["logit"]["known"] == pytest.approx(float(known.mean()), abs=1e-5)


def test_the_schedule_moves_with_the_steps(make_trainer: MakeTrainer) -> None:
    # Twelve steps, of which half rise: 0.01 is reached at step 5, a 250,000th of it at step 11.
    # After an epoch the rate is that of the step to come.
    trainer = make_trainer("phases.epochs=2", "phases.lr=0.01", "phases.warmup_share=0.5")
    trainer.fit()
    first, second = (entry["lr"] for entry in Log(trainer.folder / "metrics.jsonl").read())
    falling = (1 + np.cos(np.pi / 6)) / 2  # step 6 is the first of six from step 5 to step 11
    assert first == pytest.approx(4e-8 + (0.01 - 4e-8) * falling, rel=1e-9)
    assert second < first


def test_without_truth_nothing_is_judged(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer()
    splits = trainer.splits
    part = splits.train
    unjudged = Source(part.name, part.classes, part.images, part.labels, part.open)
    blind = Splits(unjudged, splits.validation, splits.test)
    Trainer(replace(trainer.context, splits=blind), Silent()).fit()
    (entry,) = Log(tmp_path / "run" / "metrics.jsonl").read()
    assert "identification" not in entry and "evidence" not in entry


def test_phases_follow_one_another(make_trainer: MakeTrainer, spy: type[Spy]) -> None:
    trainer = make_trainer("method.name=spy", phases=PHASES)
    trainer.fit()
    clocks = [Clock(1, 1, 0)] * 6 + [Clock(1, 2, 1)] * 3 + [Clock(2, 2, 1)] * 3
    assert [clock for clock, _ in spy.seen] == clocks
    assert [clock for clock, _ in spy.ends] == [Clock(1, 1, 0), Clock(1, 2, 1), Clock(2, 2, 1)]
    log = Log(trainer.folder / "metrics.jsonl").read()
    assert [(entry["phase"], entry["epoch"]) for entry in log] == [(0, 1), (1, 1), (1, 2)]
    # Each phase has an optimiser of its own: rates, and steps counted from one.
    assert [entry["lr"] for entry in log] == [1e-3, 1e-4, 1e-4]
    counts = {int(state["step"]) for state in trainer.phase.optimiser.state.values()}
    assert counts == {6}


def test_every_epoch_shows_all_images_in_an_order_of_its_own(
    make_trainer: MakeTrainer, spy: type[Spy]
) -> None:
    make_trainer("method.name=spy", phases=PHASES).fit()
    rows = torch.cat([batch.index for _, batch in spy.seen]).view(3, 96)
    assert all(order.sort().values.equal(torch.arange(96)) for order in rows)
    # Epoch 1 of both phases included.
    assert len({tuple(order.tolist()) for order in rows}) == 3


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_method_sees_what_it_may(
    make_trainer: MakeTrainer, spy: type[Spy], channels_last: bool
) -> None:
    trainer = make_trainer("method.name=spy", f"run.channels_last={channels_last}".lower())
    trainer.fit()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for _, batch in spy.seen:
        assert list(batch.views) == ["weak"]
        assert batch["weak"].dtype == torch.float32
        assert batch["weak"].is_contiguous(memory_format=layout)
        assert batch["weak"].min() < -1 and batch["weak"].max() > 1  # normalised, not 0 to 1
        known = torch.from_numpy(trainer.splits.train.labels[batch.index.numpy()])
        assert batch.labels.dtype == torch.int8 and torch.equal(batch.labels, known)
    assert trainer.learner.model.head.weight.is_contiguous(memory_format=layout)


def test_end_of_epoch_predictions_are_in_the_order_of_the_rows(
    make_trainer: MakeTrainer, spy: type[Spy]
) -> None:
    trainer = make_trainer("method.name=spy")
    trainer.fit()
    ((_, probabilities),) = spy.ends
    loader = build_evaluation_loader(trainer.splits.train, 48, 7, 0)
    expected = predict(trainer.learner.model, loader, trainer.device)
    assert probabilities.shape == (96, 12)
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=1e-5)
    assert np.abs(expected - expected[::-1]).max() > 1e-3  # the order matters


@pytest.mark.parametrize("method", ["an", "ignore"])
def test_a_frozen_part_keeps_its_weights_and_its_statistics(
    make_trainer: MakeTrainer, method: str
) -> None:
    # In this mode IGNORE reads the masked image in training mode and has it remembered.
    mode = ("method.gap_mode=update",) if method == "ignore" else ()
    phases = [{"epochs": 2, "batch": 16, "freeze": ["trunk"]}]
    trainer = make_trainer(f"method.name={method}", *mode, phases=phases)
    trunk, head = trainer.learner.model.trunk, trainer.learner.model.head
    before = snapshot(trunk), snapshot(head)
    trainer.fit()
    assert same(before[0], snapshot(trunk))
    assert not same(before[1], snapshot(head))


def test_without_freezing_statistics_move(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    before = snapshot(trainer.learner.model.trunk)
    trainer.fit()
    moved = snapshot(trainer.learner.model.trunk)
    changed = {name for name, value in before.items() if not torch.equal(value, moved[name])}
    assert changed == set(before)


@pytest.mark.parametrize("averaged_wins", [True, False])
def test_the_better_of_model_and_average_is_kept(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, averaged_wins: bool
) -> None:
    # Validated in this order: the model of an epoch, then its average.
    script_scores(monkeypatch, *((10.0, 20.0, 15.0, 5.0) if averaged_wins else (10.0, 10.0) * 2))
    reporter = Snapshots()
    reporter.trainer = make_trainer("run.average=0.5", "phases.epochs=2", reporter=reporter)
    best = reporter.trainer.fit()
    assert (best["map"], best["epoch"]) == ((20.0, 1) if averaged_wins else (10.0, 1))
    kept = load_file(reporter.trainer.folder / "model.safetensors")
    assert same(kept, reporter.averages[0]) == averaged_wins
    assert same(kept, reporter.models[0]) != averaged_wins
    log = Log(reporter.trainer.folder / "metrics.jsonl").read()
    maps = [entry["validation_map"] for entry in log]
    assert maps == ([20.0, 15.0] if averaged_wins else [10.0, 10.0])


@pytest.mark.parametrize("labels", ["clean", "observed"])
def test_the_labels_that_chose_are_recorded(make_trainer: MakeTrainer, labels: str) -> None:
    trainer = make_trainer(f"data.validation_labels={labels}")
    known = (trainer.splits.validation.labels.dense() != 0).mean()
    assert known == 1 if labels == "clean" else known < 0.1  # one of twelve cells
    assert trainer.fit()["selection"] == f"validation, {labels} labels"
    (entry,) = Log(trainer.folder / "metrics.jsonl").read()
    assert entry["validation_labels"] == labels
    scored = score(
        trainer._predict(trainer.learner.model, trainer.splits.validation),
        trainer.splits.validation.labels.dense(),
        trainer.splits.validation.classes,
    )
    assert entry["validation_map"] == scored.map


def test_half_precision_trains(make_trainer: MakeTrainer, spy: type[Spy]) -> None:
    trainer = make_trainer("method.name=spy", "run.precision=bf16")
    before = snapshot(trainer.learner.model)
    trainer.fit()
    assert {p.dtype for p in trainer.learner.parameters()} == {torch.float32}
    assert not same(before, snapshot(trainer.learner.model))
