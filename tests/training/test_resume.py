"""Whatever stops a run, going on gives what never stopping would have given, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tacit.config import Config
from tacit.data.source import Splits
from tacit.errors import DataError, UsageError
from tacit.methods import METHODS
from tacit.methods.base import Method
from tacit.methods.gap_rejection import Ignore
from tacit.methods.pointwise import AssumeNegative
from tacit.models.query2label import Query2Label
from tacit.runs.build import read_splits
from tacit.runs.checkpoint import LAST, PREVIOUS
from tacit.runs.folder import Log, Run
from tacit.runs.score import evaluate
from tacit.training.interrupts import Interrupted
from tacit.training.run import complete, train
from tacit.types import Batch, Clock, Step

Configure = Callable[..., Config]
Compare = Callable[[Path, Path], None]
EPOCHS, STEPS = 3, 6

# As flags, so that a process of its own trains the same. The warm-up is over after one epoch.
SETTINGS = (
    "data.options.images=120",
    "data.options.test_images=40",
    "method.name=ignore",
    "method.warmup_epochs=1",
    "method.least_lift=0",
    "phases.batch=16",
    f"phases.epochs={EPOCHS}",
    "run.average=0.9",
    "run.device=cpu",
)

# Enters by the front door and presses Ctrl-C on itself after some steps: a signal from outside
# could come late on a busy machine, and then nothing would be left to interrupt.
PRESS = """
import os, signal, sys
from tacit.cli import run
from tacit.cli.progress import ProgressReporter
steps, step = 0, ProgressReporter.step

def count(self, images):
    global steps
    steps += 1
    step(self, images)
    if steps == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

ProgressReporter.step = count
sys.exit(run(sys.argv[3:]))
"""


def flags(folder: Path) -> list[str]:
    return ["train", "--out", str(folder), *(f"--set={setting}" for setting in SETTINGS)]


def environment() -> dict[str, str]:
    """Give a process as many threads as this one has: sums depend on how they are divided."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def press(folder: Path, after: int, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PRESS, str(after), name, *flags(folder)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)


def position(folder: Path) -> dict[str, int]:
    return dict(torch.load(folder / "checkpoints" / LAST)["position"])


@pytest.fixture(scope="module")
def straight(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    train(configure(*SETTINGS), folder)
    return folder


def go_on(folder: Path) -> None:
    """Resume a run with nothing but its folder."""
    train(Run(folder).config, folder, resume=True)


def test_a_killed_run_goes_on(straight: Path, tmp_path: Path, assert_same_runs: Compare) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "tacit", *flags(folder)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (folder / "checkpoints" / LAST).exists():
            assert process.poll() is None, "the run ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 1 <= position(folder)["finished_epochs"] < EPOCHS
    go_on(folder)
    assert_same_runs(straight, folder)


def test_an_interrupted_run_says_how_to_go_on_and_does(
    straight: Path, tmp_path: Path, assert_same_runs: Compare
) -> None:
    folder = tmp_path / "a run [1]"  # a space and what looks like markup
    done = press(folder, STEPS + 3, "SIGINT")
    assert done.returncode == 130
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert f"go on with: tacit train --resume --out '{folder}'\n" in done.stderr
    assert position(folder) == {"phase": 0, "epoch": 2, "batch": 3, "finished_epochs": 1}
    assert len(Log(folder / "metrics.jsonl").read()) == 1
    go_on(folder)
    assert_same_runs(straight, folder)


class Noisy(Ignore):
    """Drops pixels of the weak view, for which it draws from the one generator all share."""

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        views = {**batch.views, "weak": F.dropout(batch["weak"], 0.2, self.training)}
        return super().step(model, Batch(batch.index, batch.labels, views), clock)


PHASES = [
    {"epochs": 1, "batch": 16, "freeze": ["trunk"]},
    {"epochs": 2, "batch": 32, "optimiser": "sgd", "lr": 0.01},
]
PHASE_STEPS = 6 + 2 * 3


@pytest.fixture(scope="module")
def noisy(configure: Configure) -> Any:
    """Return the configuration of a run that draws noise, with two phases."""
    METHODS["noisy"] = Noisy
    yield configure(phases=PHASES, method={"name": "noisy", "warmup_epochs": 0})
    del METHODS["noisy"]


@pytest.fixture(scope="module")
def noisy_straight(noisy: Config, splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a noisy run that nothing stopped."""
    folder = tmp_path_factory.mktemp("noisy") / "run"
    train(noisy, folder, splits=splits)
    return folder


def interrupt(config: Config, folder: Path, splits: Splits, reporter: Any, resume: bool) -> None:
    with pytest.raises(Interrupted):
        train(config, folder, splits=splits, reporter=reporter, resume=resume)


# In the first epoch, at its last step, at the first of the second phase, and near the end.
@pytest.mark.parametrize("after", [2, 6, 7, 11])
def test_random_numbers_and_phases_go_on(
    noisy: Config,
    noisy_straight: Path,
    splits: Splits,
    tmp_path: Path,
    stop_at: type,
    assert_same_runs: Compare,
    after: int,
) -> None:
    interrupt(noisy, tmp_path, splits, stop_at(after), resume=False)
    torch.manual_seed(12345)  # what a new process would not know either
    train(Run(tmp_path).config, tmp_path, resume=True, splits=splits)
    assert_same_runs(noisy_straight, tmp_path)


def test_a_run_survives_many_interruptions(
    noisy: Config,
    noisy_straight: Path,
    splits: Splits,
    tmp_path: Path,
    stop_at: type,
    assert_same_runs: Compare,
) -> None:
    interrupt(noisy, tmp_path, splits, stop_at(1), resume=False)
    for _ in range(PHASE_STEPS // 4):
        torch.manual_seed(12345)
        interrupt(noisy, tmp_path, splits, stop_at(3, signal.SIGTERM), resume=True)
    train(Run(tmp_path).config, tmp_path, resume=True, splits=splits)
    assert_same_runs(noisy_straight, tmp_path)


def test_noise_makes_a_difference(
    noisy: Config,
    noisy_straight: Path,
    splits: Splits,
    tmp_path: Path,
    stop_at: type,
    assert_same_runs: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the tests above would not notice a generator that is not restored."""
    interrupt(noisy, tmp_path, splits, stop_at(11), resume=False)
    torch.manual_seed(12345)
    monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
    train(Run(tmp_path).config, tmp_path, resume=True, splits=splits)
    with pytest.raises(AssertionError):
        assert_same_runs(noisy_straight, tmp_path)


def test_after_damage_the_checkpoint_before_goes_on(
    straight: Path, tmp_path: Path, assert_same_runs: Compare
) -> None:
    folder = tmp_path / "run"
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("run.json", "config.json", "model.safetensors", "metrics.jsonl"):
        (folder / name).write_bytes((straight / name).read_bytes())
    (checkpoints / LAST).write_bytes(b"half of a checkpoint")
    previous = (straight / "checkpoints" / PREVIOUS).read_bytes()
    (checkpoints / PREVIOUS).write_bytes(previous)
    with pytest.raises(DataError, match=r"damaged.*move .*previous\.pt"):
        go_on(folder)
    (checkpoints / PREVIOUS).replace(checkpoints / LAST)
    assert position(folder)["finished_epochs"] == EPOCHS - 1
    go_on(folder)
    assert_same_runs(straight, folder)


def test_changed_data_is_refused(straight: Path, configure: Configure, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in straight.rglob("*") if path.is_file()}
    for change, message in (
        ("data.options.images=130", "96 training images, the data has 104"),
        ("data.draw_seed=7", "labels or image names differ"),
        ("data.options.seed=7", "labels or image names differ"),
    ):
        changed = read_splits(configure(*SETTINGS, change))
        with pytest.raises(DataError, match=message):
            train(Run(straight).config, straight, resume=True, splits=changed)
    with pytest.raises(UsageError, match="has data.options.images = 120, .* go on with 130"):
        train(configure(*SETTINGS, "data.options.images=130"), straight, resume=True)
    assert before == {path: path.read_bytes() for path in straight.rglob("*") if path.is_file()}


def test_resuming_starts_where_there_is_nothing_yet(
    straight: Path, configure: Configure, tmp_path: Path, assert_same_runs: Compare
) -> None:
    for _ in range(2):  # the same call starts, and then finds that all is done
        record = train(configure(*SETTINGS), tmp_path / "run", resume=True)
        assert record == Run(tmp_path / "run").record
        assert_same_runs(straight, tmp_path / "run")


def test_a_run_without_a_checkpoint_starts_again(
    straight: Path, tmp_path: Path, assert_same_runs: Compare
) -> None:
    """It was killed after its first epoch, when all but the checkpoint was written."""
    for name in ("run.json", "config.json", "model.safetensors"):
        shutil.copy(straight / name, tmp_path)
    epochs = (straight / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text(epochs[0] + "\n")
    record = json.loads((tmp_path / "run.json").read_text())
    del record["result"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    go_on(tmp_path)
    assert_same_runs(straight, tmp_path)


def weighted(default: float) -> type[Method]:
    """Return one version of a method: they differ by a default."""

    class Weighted(AssumeNegative):
        def __init__(self, *, weight: float = default) -> None:
            super().__init__()
            self.weight = weight

        def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
            terms = super().step(model, batch, clock).terms
            return Step({name: self.weight * term for name, term in terms.items()})

    return Weighted


def test_a_run_keeps_the_defaults_it_started_with(
    splits: Splits,
    configure: Configure,
    tmp_path: Path,
    stop_at: type,
    assert_same_runs: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "weighted", weighted(1.0))
    model = ("model.name=query2label", "model.options.width=16")
    config = configure("method.name=weighted", "phases.epochs=2", *model)
    straight, folder = tmp_path / "straight", tmp_path / "run"
    train(config, straight, splits=splits)
    interrupt(config, folder, splits, stop_at(STEPS + 2), resume=False)
    assert torch.load(folder / "checkpoints" / LAST)["config"] == Run(folder).record["config"]

    monkeypatch.setitem(METHODS, "weighted", weighted(7.0))
    options = {**(Query2Label.__init__.__kwdefaults__ or {}), "decoder_layers": 1, "heads": 2}
    monkeypatch.setattr(Query2Label.__init__, "__kwdefaults__", options)
    assert complete(config).method.options == {"weight": 7.0}
    train(config, folder, resume=True, splits=splits)
    assert_same_runs(straight, folder)
    assert Run(folder).config.method.options == {"weight": 1.0}
    again = evaluate(folder, splits, Run(folder).config)
    assert again["map"] == Run(straight).record["result"]["map"]
    assert isinstance(Run(folder).learner(splits).method, AssumeNegative)
