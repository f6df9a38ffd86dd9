"""Trainings as tasks of Ray: the same bytes, and a worker that dies costs an epoch at most."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tacit.cli import run
from tacit.experiments.jobs import Job

HAS_RAY = importlib.util.find_spec("ray") is not None
COMMAND = (
    *("compare", "--methods", "an,em", "--seeds", "2", "--baseline", "an", "--jobs", "1"),
    *("--set", "data.options.images=60", "--set", "data.options.test_images=20"),
    *("--set", "phases.batch=16", "--set", "phases.epochs=3", "--set", "data.workers=0"),
)

needs_ray = pytest.mark.skipif(
    not HAS_RAY, reason="Ray is an extra that the tests' environment does not hold: tacit[ray]"
)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Ray's own code warns of is not ours to mend
def test_tasks_of_ray_give_the_table_of_local_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    local, remote = tmp_path / "local", tmp_path / "ray"
    assert run([*COMMAND, "--out", str(local)]) == 0
    assert run([*COMMAND, "--out", str(remote), "--engine", "ray"]) == 0
    for name in ("results.md", "results.csv", "results.tex", "results.json"):
        assert (local / name).read_bytes() == (remote / name).read_bytes()


DYING = """
import os, signal
from pathlib import Path
from tacit.methods.pointwise import AssumeNegative

class Dying(AssumeNegative):
    \"\"\"Dies in its third epoch, once.\"\"\"

    def end_epoch(self, clock, predict):
        died = Path({died!r})
        if clock.epoch == 3 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_dies_costs_an_epoch_and_no_digit(tmp_path: Path) -> None:
    from tacit.config import resolve
    from tacit.experiments.ray_engine import train_by_ray
    from tacit.runs.folder import Run

    died = tmp_path / "died"
    code = tmp_path / "dying.py"
    code.write_text(DYING.format(died=str(died)), encoding="utf-8")
    settings = (
        *("data.options.images=60", "data.options.test_images=12", "phases.batch=16"),
        *("phases.epochs=4", f"method.name={code}:Dying", "data.workers=0"),
    )
    config = resolve(None, settings)
    assert train_by_ray({"one": Job(config, tmp_path / "one")}, 1) == {}
    assert died.exists()
    assert train_by_ray({"two": Job(config, tmp_path / "two")}, 1) == {}
    assert Run(tmp_path / "one").result == Run(tmp_path / "two").result
    epochs = [record["epoch"] for record in Run(tmp_path / "one").log.read()]
    assert epochs == [1, 2, 3, 4]


@pytest.mark.skipif(HAS_RAY, reason="says what to do where Ray is missing, and it is here")
def test_ray_that_is_missing_is_named_with_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*COMMAND, "--out", str(tmp_path), "--engine", "ray"]) == 2
    assert "needs Ray" in capsys.readouterr().err
