"""Predictions killed with all their processes, or spread over machines: the bytes are the same.

Where Ray is not installed, a stand-in of ours runs its part of the work.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tacit.prediction.plan import Settings
from tacit.prediction.run import Work, choose_output, predict_to
from things_to_predict import DYING

STAND_IN = Path(__file__).parent / "stand_in"
HAS_RAY = importlib.util.find_spec("ray") is not None
ALONE = Work(device="cpu", workers=0)
READERS = Work(device="cpu", workers=2)
RAY = Work(engine="ray", device="cpu", workers=1)
# Ends the whole process group, as a scheduler or a lost machine does.
WITH_ITS_GROUP = DYING.format(last="os.killpg(0, signal.SIGKILL)")
OPTIONS = ("--batch=2", "--shard-rows=5", "--threads=1", "--device=cpu")

Predict = Callable[..., Path]


@pytest.fixture
def predict(
    model_folder: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Predict]:
    """Return a function that predicts in this process."""
    known = set(sys.modules)
    if not HAS_RAY:
        monkeypatch.syspath_prepend(STAND_IN)

    def run(name: str, work: Work = ALONE) -> Path:
        place, format = choose_output(tmp_path / name, None)
        settings = Settings(str(model_folder), format, batch=2, shard_rows=5, threads=1)
        predict_to([str(images)], place, settings, work)
        return tmp_path / name

    yield run
    if not HAS_RAY:
        for name in set(sys.modules) - known:
            if name.partition(".")[0] == "ray":
                del sys.modules[name]


@pytest.fixture
def start(model_folder: Path, images: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `tacit predict` in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if not HAS_RAY:
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(STAND_IN), environment.get("PYTHONPATH", "")]
        )
    words = ["predict", str(model_folder), str(images), *OPTIONS]
    return lambda *program, out, options: subprocess.run(
        [sys.executable, *program, *words, f"--out={out}", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Ray's own code warns of is not ours to mend
@pytest.mark.parametrize("work", [READERS, RAY], ids=["readers", "ray"])
def test_killed_with_its_whole_group_and_repeated(
    work: Work, start: Callable[..., Any], predict: Predict, tmp_path: Path
) -> None:
    out = tmp_path / "killed.parquet"
    options = (f"--engine={work.engine}", f"--workers={work.workers}")
    died = start("-c", WITH_ITS_GROUP, out=out, options=options)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(list(Path(f"{out}.parts").glob("part-*"))) == 2 and not out.exists()
    predict("killed.parquet", work)
    assert out.read_bytes() == predict("once.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Ray's own code warns of is not ours to mend
def test_torchrun_and_ray_write_the_same_parts(
    start: Callable[..., Any], predict: Predict, tmp_path: Path
) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "tacit")
    done = start(*launcher, out=tmp_path / "torchrun", options=("--workers=0",))
    assert done.returncode == 0, done.stderr
    parts = [
        {path.name: path.read_bytes() for path in folder.glob("part-*")}
        for folder in (tmp_path / "torchrun", predict("ray", RAY), predict("alone"))
    ]
    assert len(parts[0]) == 6 and parts[0] == parts[1] == parts[2]
