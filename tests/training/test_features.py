"""Features of a frozen trunk, computed once: nothing changes but the time it takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from tacit.config import Config
from tacit.data.source import Splits
from tacit.errors import UsageError
from tacit.features import compute as compute_module
from tacit.methods.base import Method
from tacit.methods.pointwise import AssumeNegative
from tacit.runs.checkpoint import LAST
from tacit.runs.folder import Log, Run
from tacit.training import features as features_module
from tacit.training import run
from tacit.training.features import FeatureFeed
from tacit.training.feeds import ImageFeed
from tacit.training.interrupts import Interrupted
from tacit.training.trainer import Trainer
from tacit.types import Clock

Configure = Callable[..., Config]
MakeTrainer = Callable[..., Trainer]
Plug = Callable[[type[Method]], str]
State = dict[str, Tensor]

FROZEN = {"epochs": 3, "batch": 16, "lr": 0.03, "freeze": ["trunk"]}
every_kind = pytest.mark.parametrize("kind", ["maps", "pooled"])


class Plainly(AssumeNegative):
    """Assumes negatives on the view of evaluation."""

    scored: ClassVar[list[Tensor]] = []

    def __init__(self) -> None:
        super().__init__()
        self.views = ("plain",)

    def end_epoch(self, clock: Clock, predict: Callable[[], Tensor]) -> None:
        self.scored.append(predict())


def phases(kind: str, *more: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    return [{**FROZEN, "features": kind, **changes}, *more]


def count_images(trainer: Trainer) -> list[int]:
    """Write down how many images go through the trunk at a time, from now on."""
    counts: list[int] = []
    trunk: Any = trainer.learner.model.trunk
    trunk.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    return counts


def states(trainer: Trainer) -> State:
    return {name: value.clone() for name, value in trainer.learner.state_dict().items()}


def close(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(
        torch.allclose(value, second[name], rtol=1e-4, atol=1e-5) for name, value in first.items()
    )


@every_kind
def test_the_outcome_is_that_of_reading_plain_views_again_and_again(
    make_trainer: MakeTrainer, plug: Plug, kind: str
) -> None:
    name = plug(Plainly)
    outcomes, logs, scored = [], [], []
    for features in ("fresh", kind):
        Plainly.scored.clear()
        trainer = make_trainer(f"method.name={name}", phases=phases(features))
        before = states(trainer)
        trainer.fit()
        outcomes.append(states(trainer))
        logs.append(Log(trainer.folder / "metrics.jsonl").read())
        scored.append(torch.stack(Plainly.scored))
        shutil.rmtree(trainer.folder)
        moved = {key for key in before if not torch.equal(before[key], outcomes[-1][key])}
        assert moved == {"model.head.weight", "model.head.bias"}
    assert close(*outcomes)
    for fresh, stored in zip(*logs, strict=True):
        assert stored["terms"] == pytest.approx(fresh["terms"], rel=1e-5)
        assert stored["evidence"]["logit"] == pytest.approx(fresh["evidence"]["logit"], abs=1e-4)
        assert stored["validation_map"] == pytest.approx(fresh["validation_map"], abs=1e-6)
    torch.testing.assert_close(*scored, rtol=1e-4, atol=1e-5)
    assert len(scored[1]) == 3 and not torch.equal(scored[1][0], scored[1][2])


@every_kind
def test_the_trunk_sees_every_image_once(make_trainer: MakeTrainer, kind: str) -> None:
    # Its labels are estimated by the method, which scores all training images every epoch.
    method = {"name": "em_apl", "warmup_epochs": 1}
    trainer = make_trainer("run.average=0.9", method=method, phases=phases(kind))
    counts = count_images(trainer)
    trainer.fit()
    assert trainer.position.finished_epochs == 3
    assert sum(counts) == 96 + 24


def test_pooled_features_are_small_and_maps_are_whole(make_trainer: MakeTrainer) -> None:
    for kind, places in (("pooled", 1), ("maps", 6)):
        trainer = make_trainer(phases=phases(kind, epochs=1))
        trainer.fit()
        assert isinstance(trainer.phase.feed, FeatureFeed)
        shapes = [tuple(stored.shape) for _, (stored,) in trainer.phase.feed.stored]
        assert shapes == [(96, 128, places, places), (24, 128, places, places)]
        assert {stored.dtype for _, (stored,) in trainer.phase.feed.stored} == {torch.float32}


def test_half_precision_halves_what_is_stored(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer("run.precision=bf16", phases=phases("maps", epochs=1))
    trainer.fit()
    assert isinstance(trainer.phase.feed, FeatureFeed)
    assert {stored.dtype for _, (stored,) in trainer.phase.feed.stored} == {torch.bfloat16}


def test_the_next_phase_reads_images_again_and_moves_the_trunk(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer(
        method={"name": "role", "expected_positives": 2.0},
        phases=phases("pooled", {"epochs": 1, "batch": 32, "lr": 1e-3}, epochs=2),
    )
    before, counts = states(trainer), count_images(trainer)
    trainer.fit()
    assert type(trainer.phase.feed) is ImageFeed
    assert sum(counts) == 96 + 24 + 96 + 24  # once for both epochs, then a step each, and scoring
    after = states(trainer)
    assert not torch.equal(before["method.estimates"], after["method.estimates"])
    trunk = [key for key in before if key.startswith("model.trunk.")]
    assert trunk and not any(torch.equal(before[key], after[key]) for key in trunk)


def test_batches_in_parts_work_on_features_too(make_trainer: MakeTrainer) -> None:
    outcomes = []
    for chunks in (1, 4):
        trainer = make_trainer(phases=phases("maps", accumulate=chunks, epochs=1))
        trainer.fit()
        assert trainer.phase.feed.learner.chunks == chunks
        outcomes.append(states(trainer))
        shutil.rmtree(trainer.folder)
    assert close(*outcomes)


# In the first epoch, at its last step, in the last epoch, and in the phase after.
@pytest.mark.parametrize("after", [2, 6, 14, 20])
@every_kind
def test_an_interrupted_run_goes_on_bit_for_bit(
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
    stop_at: type,
    assert_same_runs: Callable[[Path, Path], None],
    kind: str,
    after: int,
) -> None:
    second = {"epochs": 1, "batch": 16, "lr": 1e-4}
    config = configure("method.name=role", "run.average=0.9", phases=phases(kind, second))
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run.train(config, straight, splits=splits)
    with pytest.raises(Interrupted):
        run.train(config, stopped, splits=splits, reporter=stop_at(after))
    torch.manual_seed(12345)  # what a new process would not know either
    run.train(Run(stopped).config, stopped, resume=True, splits=splits)
    assert_same_runs(straight, stopped)


def test_a_run_can_be_interrupted_before_its_first_step(
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, straight, stopped = configure(phases=phases("maps")), *map(tmp_path.joinpath, "ab")
    run.train(config, straight, splits=splits)
    loader = compute_module.build_evaluation_loader

    def interrupting(*arguments: Any, **named: Any) -> Any:
        signal_sent = False
        for batch in loader(*arguments, **named):
            if not signal_sent:
                trainers[0].interrupts.received, signal_sent = 2, True
            yield batch

    trainers: list[Trainer] = []
    fit = Trainer.fit
    monkeypatch.setattr(
        Trainer, "fit", lambda self, *rest: trainers.append(self) or fit(self, *rest)
    )
    with monkeypatch.context() as patch:
        patch.setattr(compute_module, "build_evaluation_loader", interrupting)
        with pytest.raises(Interrupted):
            run.train(config, stopped, splits=splits)
    position = torch.load(stopped / "checkpoints" / LAST)["position"]
    assert position == {"phase": 0, "epoch": 1, "batch": 0, "finished_epochs": 0}
    run.train(Run(stopped).config, stopped, resume=True, splits=splits)
    assert_same_runs(straight, stopped)


def test_a_finished_phase_is_not_read_again(
    configure: Configure, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(phases=phases("maps", epochs=1))
    first = run.train(config, tmp_path / "run", splits=splits)
    monkeypatch.setattr(FeatureFeed, "_compute", None)
    again = run.train(Run(tmp_path / "run").config, tmp_path / "run", resume=True, splits=splits)
    assert again["result"] == first["result"]


def test_an_average_with_a_trunk_of_its_own_reads_images(make_trainer: MakeTrainer) -> None:
    """After a phase that moved the trunk, the average's trunk is still catching up."""
    first = {"epochs": 1, "batch": 16}
    trainer = make_trainer("run.average=0.99", phases=[first, *phases("maps", epochs=1)])
    trainer.fit()
    feed, average = trainer.phase.feed, trainer.average
    assert isinstance(feed, FeatureFeed) and average is not None
    images = ImageFeed(trainer.context)
    for source in (trainer.splits.train, trainer.splits.validation, trainer.splits.test):
        for model in (trainer.learner.model, average.model):
            found, expected = feed.predict(model, source), images.predict(model, source)
            np.testing.assert_allclose(found, expected, atol=1e-5)
    # Which the features could not have given.
    head = feed.predict(trainer.learner.model, trainer.splits.validation)
    assert np.abs(head - feed.predict(average.model, trainer.splits.validation)).max() > 1e-3


class TestLargeFeatures:
    @pytest.fixture(autouse=True)
    def small_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(features_module, "IN_MEMORY", 1000)

    def test_they_go_into_a_file_that_is_gone_afterwards(
        self, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made, from_file = [], torch.from_file
        monkeypatch.setattr(
            torch, "from_file", lambda path, **rest: made.append(path) or from_file(path, **rest)
        )
        outcomes = []
        for memory in (1000, 2**30):
            monkeypatch.setattr(features_module, "IN_MEMORY", memory)
            trainer = make_trainer(phases=phases("maps", epochs=1))
            trainer.fit()
            outcomes.append(states(trainer))
            names = {path.name for path in trainer.folder.iterdir()}
            assert names == {"checkpoints", "config.json", "metrics.jsonl", "model.safetensors"}
            shutil.rmtree(trainer.folder)
        assert [Path(path).parent for path in made] == [trainer.folder] * 2  # one for each part
        assert all(torch.equal(value, outcomes[1][key]) for key, value in outcomes[0].items())

    def test_a_full_disk_is_a_sentence(
        self, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e6))
        trainer = make_trainer(phases=phases("maps", epochs=1))
        # 96 images of 128 channels and 6 x 6 places, at four bytes, are 1.77 MB.
        with pytest.raises(UsageError) as caught:
            trainer.fit()
        assert str(caught.value) == (
            f"The features of 96 images need 2 MB, and {trainer.folder} has room for 1 MB; set "
            f'phases.features to "pooled" or "fresh".'
        )


def test_a_second_run_reads_no_image_at_all(
    configure: Configure, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    read = compute_module.read_images
    monkeypatch.setattr(
        compute_module,
        "read_images",
        lambda reading, pixels: seen.append(1) or read(reading, pixels),
    )
    store = f"data.store={tmp_path / 'store'}"
    plainly = run.train(configure(phases=phases("pooled")), tmp_path / "plain", splits=splits)
    without = len(seen)
    records, counts = [], []
    for name in ("first", "second"):
        seen.clear()
        config = configure(store, phases=phases("pooled"))
        records.append(run.train(config, tmp_path / name, splits=splits))
        counts.append(len(seen))
    assert without > 0 and counts[0] > without and counts[1] == 0  # the test split, too
    assert records[0]["result"] == records[1]["result"]
    assert records[0]["result"]["map"] == pytest.approx(plainly["result"]["map"], abs=1e-3)
