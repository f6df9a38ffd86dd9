"""Wherever images wait to be read, a run learns the same, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tacit.config import Config
from tacit.errors import UsageError
from tacit.images import in_memory as held_module
from tacit.images.in_memory import DevicePixels
from tacit.methods import build_method
from tacit.runs.build import read_splits
from tacit.runs.checkpoint import LAST
from tacit.runs.folder import Run
from tacit.training.checks import check_hold
from tacit.training.context import hold_splits
from tacit.training.interrupts import Interrupted
from tacit.training.run import complete, train

Configure = Callable[..., Config]
Compare = Callable[[Path, Path], None]
HOLDS = ("memory", "device")
SCRIPT = Path(__file__).parent / "two_processes.py"
SMALLER = "model.size=32"  # than the generated images, so that they are scaled
RUNS: dict[str, tuple[str, ...]] = {
    "weak views": ("phases.epochs=2", SMALLER),
    "plain views of training images": ("method.name=em_apl", "method.warmup_epochs=1")
    + ("phases.epochs=3",),
    "strong views": (
        "method.name=ignore",
        "method.warmup_epochs=1",
        "method.least_lift=0",
        "data.strong=device",
    )
    + ("phases.epochs=2", SMALLER),
    "mixtures": ("data.mix=logicmix", SMALLER),
    "features": ('phases.freeze=["trunk"]', "phases.features=maps", SMALLER),
}


@pytest.fixture(scope="module")
def straight(
    configure: Configure, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that gives the folder of a run that holds nothing."""
    folders: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("straight") / "run"
            train(configure(*RUNS[name]), folders[name])
        return folders[name]

    return run


@pytest.mark.parametrize("place", HOLDS)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_learns_the_same(
    name: str,
    place: str,
    straight: Callable[[str], Path],
    configure: Configure,
    tmp_path: Path,
    assert_same_runs: Compare,
) -> None:
    train(configure(*RUNS[name], f"data.hold={place}"), tmp_path)
    assert_same_runs(straight(name), tmp_path)
    first, second = (
        json.loads((run / "run.json").read_text()) for run in (straight(name), tmp_path)
    )
    assert first["result"] == second["result"]


@pytest.mark.parametrize("place", HOLDS)
def test_workers_change_nothing(
    place: str,
    straight: Callable[[str], Path],
    configure: Configure,
    tmp_path: Path,
    assert_same_runs: Compare,
) -> None:
    train(configure(*RUNS["weak views"], f"data.hold={place}", "data.workers=2"), tmp_path)
    assert_same_runs(straight("weak views"), tmp_path)


@pytest.mark.parametrize("after", [2, 6, 9])
@pytest.mark.parametrize("place", HOLDS)
def test_an_interrupted_run_goes_on(
    place: str,
    after: int,
    straight: Callable[[str], Path],
    configure: Configure,
    tmp_path: Path,
    stop_at: Any,
    assert_same_runs: Compare,
) -> None:
    config = configure(*RUNS["strong views"], f"data.hold={place}")
    with pytest.raises(Interrupted):
        train(config, tmp_path, reporter=stop_at(after))
    train(Run(tmp_path).config, tmp_path, resume=True)
    assert_same_runs(straight("strong views"), tmp_path)


@pytest.mark.slow
def test_two_processes_learn_the_same(configure: Configure, tmp_path: Path) -> None:
    folders = [tmp_path / place for place in ("disk", *HOLDS)]
    for folder in folders:
        config = configure(*RUNS["weak views"], f"data.hold={folder.name}")
        folder.with_suffix(".json").write_text(config.model_dump_json())
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    done = subprocess.run(
        [*launcher, "--nproc-per-node=2", str(SCRIPT), *map(str, folders)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    states = [torch.load(folder / "checkpoints" / LAST)["learner"] for folder in folders]
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(torch.equal(state[name], value) for name, value in states[0].items())


def test_training_and_validation_images_are_held(configure: Configure) -> None:
    config = configure(SMALLER, "data.hold=device")
    splits = read_splits(config)
    kept = hold_splits(splits, config, torch.device("cpu"))
    for part in (kept.train, kept.validation):
        assert isinstance(part.pixels, DevicePixels) and part.pixels.size == 32
    assert kept.test is splits.test  # it is read once
    assert kept.train.fingerprint() == splits.train.fingerprint()


def test_strong_views_made_image_by_image_are_refused(configure: Configure) -> None:
    config = configure("method.name=ignore", "data.hold=device")
    with pytest.raises(
        UsageError, match="'ignore' reads strong views.*set data.strong = \"device\""
    ):
        complete(config)
    for fine in (("data.hold=memory",), ("data.strong=device",), ("method.name=an",)):
        settings = ("method.name=ignore", "data.hold=device", *fine)
        config = configure(*settings)
        check_hold(config, build_method(config.method.name))


def test_too_little_memory_is_told_before_anything_is_written(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "meminfo"
    monkeypatch.setattr(held_module, "MEMORY", path)
    needed = 120 * 48 * 48 * 3  # training and validation images
    config = configure("data.hold=memory")
    path.write_text(f"MemAvailable: {needed // 1024 - 1} kB\n")
    with pytest.raises(UsageError, match="this machine's memory has 0.0 GiB left"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    path.write_text(f"MemAvailable: {needed // 1024 + 1} kB\n")
    train(config, tmp_path / "run")
