"""How a model computes: less kept, more at once, and nothing otherwise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tacit.config import Phase, RunConfig
from tacit.data.source import Splits
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.runs.folder import Log
from tacit.training.meter import FiniteWatch
from tacit.training.parallel import Parallel
from tacit.training.prepare_model import prepare
from tacit.training.run import complete, train
from tacit.training.update import Update
from tacit.types import Annotations, Batch, Clock

CLASSES = ("boat", "car", "fish")
CPU = torch.device("cpu")


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]).to(torch.int8)
    pictures = torch.randn(2, 4, 3, 64, 64, generator=generator, dtype=torch.float64)
    return Batch(torch.arange(4), labels, {"weak": pictures[0], "strong": pictures[1]})


def learner_of(trunk: str) -> Learner:
    torch.manual_seed(0)
    method = build_method("ignore")
    method.setup(Annotations(batch().labels, CLASSES))
    return Learner(build_model(classes=CLASSES, size=64, trunk=trunk), method).double().train()


def take_step(learner: Learner) -> tuple[float, int]:
    """Take one step, and return its loss and how many bytes it kept for the backward pass."""
    torch.manual_seed(1)
    optimiser = torch.optim.SGD(learner.parameters(), 0.05)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
    watch = FiniteWatch(["a", "b", "c", "d"], CPU)
    update = Update(learner, Phase(), optimiser, schedule, watch, Parallel(CPU), "fp32")
    kept = 0

    def count(value: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += value.nbytes
        return value

    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        step = learner(batch(), Clock(5, 10))
        before = kept
        del step
    return float(update.take(batch(), Clock(5, 10)).loss.detach()), before


@pytest.mark.parametrize(
    "trunk", ["resnet18", "efficientnet_b0", "vit_tiny_patch16_224", "convnext_atto"]
)
def test_activations_computed_twice_are_the_same(trunk: str) -> None:
    keeping = learner_of(trunk)
    recomputing = copy.deepcopy(keeping)
    prepare(recomputing, RunConfig(checkpointing=True, channels_last=False), Parallel(CPU))
    (loss, much), (same, little) = take_step(keeping), take_step(recomputing)
    assert same == pytest.approx(loss, rel=1e-12)
    assert little < 0.6 * much
    expected = keeping.state_dict()
    for name, value in recomputing.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-10), name


def test_trunks_that_cannot_compute_twice_say_so() -> None:
    with pytest.raises(UsageError, match=r"TinyTrunk cannot .* phases.accumulate"):
        prepare(learner_of("tiny"), RunConfig(checkpointing=True), Parallel(CPU))


def test_what_does_not_go_with_reading_together_is_said() -> None:
    with pytest.raises(UsageError, match=r"run.fuse_views and run.compile do not go together"):
        prepare(learner_of("tiny"), RunConfig(fuse_views=True, compile=True), Parallel(CPU))
    with pytest.raises(UsageError, match=r"run.fuse_views and run.checkpointing do not"):
        prepare(learner_of("tiny"), RunConfig(fuse_views=True, checkpointing=True), Parallel(CPU))
    learner = learner_of("tiny")
    for layer in learner.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with pytest.raises(UsageError, match=r"Leave run.fuse_views out"):
        prepare(learner, RunConfig(fuse_views=True), Parallel(CPU))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("method.name=an", "run.fuse_views=true"), "reads one view"),
        (("method.name=ignore", "run.fuse_views=true", "phases.accumulate=2"), "leave no phase"),
        (
            ("method.name=an", "run.checkpointing=true", 'phases.freeze=["trunk"]')
            + ("phases.features=maps",),
            "features are computed once",
        ),
    ],
)
def test_what_would_change_nothing_is_refused(
    configure: Callable[..., Any], settings: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        complete(configure(*settings))


def test_a_run_that_reads_views_together_learns_alike(
    configure: Callable[..., Any], splits: Splits, tmp_path: Path
) -> None:
    learner = learner_of("tiny")
    prepare(learner, RunConfig(fuse_views=True), Parallel(CPU))
    assert learner.fuse_views
    logs = []
    for fused in (False, True):
        folder = tmp_path / str(fused)
        settings = ("method.name=ignore", f"run.fuse_views={str(fused).lower()}")
        train(configure(*settings), folder, splits=splits)
        logs.append(Log(folder / "metrics.jsonl").read()[0]["terms"])
    assert logs[1] == pytest.approx(logs[0], rel=1e-3)
