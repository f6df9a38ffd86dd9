"""What a run chooses itself, and writes down: precision, and the images of a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tacit.config import Config, resolve
from tacit.data.source import Splits
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.runs.folder import Run
from tacit.training import automatic, run
from tacit.training.automatic import choose_automatic, measure_step
from tacit.training.checks import find_slow_precision

CPU = torch.device("cpu")


def make_learner(trunk: str = "tiny", size: int = 48) -> Learner:
    model = build_model(classes=("a", "b"), size=size, trunk=trunk)
    return Learner(model, build_method("an"))


def choose(images: int, *settings: str, learner: Learner | None = None) -> Config:
    config = resolve(settings=("phases.batch=auto", *settings))
    return choose_automatic(config, learner or make_learner(), images, CPU)


@pytest.mark.parametrize(
    ("images", "features", "batch"),
    [(10_000, "fresh", 32), (100, "fresh", 8), (3, "fresh", 2)]
    + [(10_000, "pooled", 128), (10_000, "stages", 32), (500, "maps", 32)],
)
def test_a_batch_is_usual_and_leaves_an_epoch_some_steps(
    images: int, features: str, batch: int
) -> None:
    assert choose(images, f"phases.features={features}").phases[0].batch == batch


def test_a_batch_fits_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = make_learner()
    each = measure_step(learner.model, 1)
    monkeypatch.setattr(automatic, "measure_available_memory", lambda unknown: 16 * each + 1)
    assert choose(10_000, learner=learner).phases[0].batch == 8  # half of it is planned with
    assert choose(10_000, "phases.accumulate=2", learner=learner).phases[0].batch == 16
    monkeypatch.setattr(automatic, "measure_available_memory", lambda unknown: 1)
    assert choose(10_000, learner=learner).phases[0].batch == 2


def test_what_a_step_takes_grows_with_the_image_and_leaves_all_as_it_was() -> None:
    learner = make_learner("resnet18", 64).train()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    drawn = torch.get_rng_state()
    small = measure_step(learner.model, 1)
    large: Any = make_learner("resnet18", 128).train().model
    torch.set_rng_state(drawn)
    assert 3.5 < measure_step(large, 1) / small < 4.5
    assert measure_step(learner.model, 3) == 3 * small
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    # The first layer alone keeps 64 channels of 32 x 32 places, before and behind the norm.
    assert small > 2 * 64 * 32 * 32 * 4


def test_a_run_writes_down_what_was_chosen_and_keeps_it(
    configure: Callable[..., Config], splits: Splits, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings = ("phases.batch=auto", "run.precision=auto")
    run.train(configure(*settings), tmp_path / "run", splits=splits)
    used = Run(tmp_path / "run").config
    assert used.phases[0].batch == 8 and used.run.precision in ("fp32", "bf16")
    monkeypatch.setattr(automatic, "measure_available_memory", lambda unknown: 1)
    monkeypatch.setattr(automatic, "computes_bf16", lambda device: None)
    for again in (settings, ()):
        resumed = Run(tmp_path / "run").resume_config(configure(*again) if again else used)
        assert resumed == used


@pytest.mark.parametrize("fast", [True, False])
def test_precision_is_what_the_device_is_made_for(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(automatic, "computes_bf16", lambda device: fast)
    monkeypatch.setattr("tacit.training.checks.computes_bf16", lambda device: fast)
    assert choose(9, "run.precision=auto").run.precision == ("bf16" if fast else "fp32")
    assert choose(9, "run.precision=fp32").run.precision == "fp32"
    said = find_slow_precision(choose(9, "run.precision=bf16"), CPU)
    assert (said is None) == fast
    assert fast or 'run.precision = "fp32"' in str(said)
    assert find_slow_precision(choose(9), CPU) is None
