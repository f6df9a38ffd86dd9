"""A comparison that is killed, anywhere and again, ends in the table that it would have had."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = (
    *("compare", "--methods", "an,em", "--seeds", "2", "--baseline", "an"),
    *("--set", "data.options.images=60", "--set", "data.options.test_images=20"),
    *("--set", "phases.batch=16", "--set", "phases.epochs=6", "--set", "data.workers=0"),
)
FILES = ("results.md", "results.csv", "results.tex", "results.json")


def start(out: Path, jobs: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tacit", *COMMAND, "--jobs", str(jobs), "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def count_epochs(out: Path) -> int:
    logs = out.glob("runs/*/metrics.jsonl")
    return sum(len(log.read_bytes().splitlines()) for log in logs)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    assert start(out, 1).wait() == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_comparison_that_is_killed_gives_the_same_table(
    jobs: int, undisturbed: Path, tmp_path: Path
) -> None:
    draw = random.Random(jobs)
    for _ in range(3):
        enough = count_epochs(tmp_path) + draw.randint(0, 6)
        process = start(tmp_path, jobs)
        while process.poll() is None and count_epochs(tmp_path) <= enough:
            time.sleep(0.01)
        time.sleep(draw.random() * 0.3)  # anywhere in the epoch, or in what is written after it
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path, jobs).wait() == 0
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list(tmp_path.glob("failed/*"))
