"""Processes that are one file each, run as a script, and what every one of them reports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def reports_of_ranks(script: str, folder: Path, processes: int) -> list[dict[str, Any]]:
    """Run a script once for each rank, as ``script RANK FOLDER``; it writes FOLDER/RANK.pt."""
    # What tests share lies beside this file, and a script finds only what lies beside itself.
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    quiet = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-W", "ignore", script]
    running = [
        subprocess.Popen([*command, str(rank), str(folder)], env={**os.environ, **quiet})
        for rank in range(processes)
    ]
    try:
        assert [process.wait(timeout=120) for process in running] == [0] * processes
    finally:
        for process in running:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(processes)]
