"""A trunk divided among processes learns what a whole one learns, and takes less of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tacit.config import Config
from tacit.errors import UsageError
from tacit.models import build_model
from tacit.runs.folder import Log
from tacit.training.checks import check_shard
from tacit.training.parallel import Parallel, find_blocks
from training.test_processes import PHASES, TRUNK, assert_close, start, train_alone

SMALL = {"data": {"options": {"images": 126, "test_images": 41}}}  # shares of unequal length
SWIN = {
    "trunk": "swin_tiny_patch4_window7_224",
    "trunk_options": {
        "embed_dim": 12,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "drop_path_rate": 0.0,
    },
    "size": 64,
}
PHASE = {**PHASES[0], "epochs": 2}
RUNS: dict[str, dict[str, Any]] = {
    "adamw": {"phases": [{**PHASE, "optimiser": "adamw", "lr": 1e-3, "clip": 0.5}]},
    "parts": {
        "method": {"name": "role", "row_rate": 0.1},
        "phases": [{**PHASE, "accumulate": 2}],
    },
    "twice": {"model": SWIN, "run": {"checkpointing": True}},
}
RUNS_BLOCKS = {"adamw": 4, "parts": 4, "twice": 4}  # stages, each of which comes together alone

pytestmark = pytest.mark.digits


def both(configure: Callable[..., Config], name: str) -> tuple[Config, Config]:
    """Return a run with a whole trunk, and the same with one that is divided."""
    tables = {
        "method": {"name": "ignore", "warmup_epochs": 1, "least_lift": 0},
        "phases": [PHASE],
        "model": TRUNK,
    }
    tables |= RUNS[name]
    found = []
    for shard in (False, True):
        run = {**tables.get("run", {}), "shard": shard}
        found.append(configure(**SMALL, **{**tables, "run": run}))
    return found[0], found[1]


def test_divided_trunks_learn_what_whole_ones_learn(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    divided = {}
    for name in RUNS:
        plain, divided[tmp_path / name] = both(configure, name)
        train_alone(plain, tmp_path / f"{name}-alone")
    assert start(divided) == [(0, ""), (0, "")]
    for name, blocks in RUNS_BLOCKS.items():
        for rank in range(2):
            kept = json.loads((tmp_path / f"{name}.{rank}.share").read_text())
            assert kept["parts"] == blocks + 1
            assert kept["share"] == pytest.approx(0.5, abs=0.05)
        found, expected = tmp_path / name, tmp_path / f"{name}-alone"
        assert_close(found, expected)
        one, other = (Log(folder / "metrics.jsonl").read()[-1] for folder in (found, expected))
        assert one["validation_map"] == pytest.approx(other["validation_map"], abs=1e-3)
        results = [
            json.loads((folder / "run.json").read_text())["result"]["map"]
            for folder in (found, expected)
        ]
        assert results[0] == pytest.approx(results[1], abs=1e-3)


def test_a_run_of_divided_trunks_goes_on_in_one_process_and_in_two(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    plain, divided = both(configure, "adamw")
    train_alone(plain, tmp_path / "alone")
    one, two = tmp_path / "one", tmp_path / "two"
    (first, _), (last, _) = start({one: divided}, "--die-after", "9")
    assert first == 1 and last == -9
    shutil.copytree(one, two)
    train_alone(divided, one, resume=True)
    assert start({two: divided}, "--resume") == [(0, ""), (0, "")]
    for folder in (one, two):
        assert_close(folder, tmp_path / "alone")


@pytest.mark.parametrize(
    ("trunk", "repeated", "blocks"),
    [
        ("tiny", "", 0),
        ("resnet18", "BasicBlock", 8),
        ("vit_tiny_patch16_224", "Block", 12),
        ("convnext_atto", "ConvNeXtStage", 4),
    ],
)
def test_blocks_are_what_a_network_repeats(trunk: str, repeated: str, blocks: int) -> None:
    model = build_model(classes=("a", "b"), size=64, trunk=trunk)
    found = find_blocks(model.trunk)
    assert [type(block).__name__ for block in found] == [repeated] * blocks


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("run.compile=true", "run.compile"),
        ("run.average=0.9", "run.average"),
        ('phases.freeze=["trunk"]', "phases.freeze"),
    ],
)
def test_what_does_not_go_with_divided_trunks_is_said(
    configure: Callable[..., Config], setting: str, named: str
) -> None:
    check_shard(configure(setting))
    with pytest.raises(UsageError, match=f"does not go with {named}; leave run.shard out, or this"):
        check_shard(configure(setting, "run.shard=true"))


def test_gradients_are_clipped_as_torch_clips_them() -> None:
    torch.manual_seed(0)
    parallel = Parallel(torch.device("cpu"))
    parallel.clip(nn.Linear(3, 3).parameters(), 1.0)  # none at all
    ours, theirs = nn.Linear(3, 3), nn.Linear(3, 3)
    theirs.load_state_dict(ours.state_dict())
    for most in (0.1, 1e6):
        for layer in (ours, theirs):
            layer.zero_grad()
            layer(torch.ones(2, 3)).square().sum().backward()
        parallel.clip(ours.parameters(), most)
        nn.utils.clip_grad_norm_(theirs.parameters(), most)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert one.grad is not None and other.grad is not None
            torch.testing.assert_close(one.grad, other.grad)
