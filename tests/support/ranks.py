"""Processes that run one file each as a script, and what every one of them reports.

They are forks of one that has imported all they need: importing it costs more than what most of
them do.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch

NEEDED = ("tacit.training.run", "torch.distributed.fsdp")
PATIENCE = 240  # seconds; a test has 300


@cache
def forks() -> Any:
    """Return what starts the forks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *NEEDED])
    with pytest.MonkeyPatch.context() as patch:  # torch reads it once, when it is loaded
        patch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # as the command line has it
        forkserver.ensure_running()
    return context


def be_script(
    script: str, arguments: list[str], environment: dict[str, str], said: str, filters: str
) -> None:
    """Be what python would be as ``SCRIPT ARGUMENTS``, and write errors to a file."""
    error = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(error, 2)
    os.close(error)
    os.environ.update(environment)
    # What tests share lies beside this file, and a script finds what lies beside itself.
    sys.path[:0] = [str(Path(script).parent), str(Path(__file__).parent)]
    sys.argv = [script, *arguments]
    torch.set_num_threads(1)
    warnings.simplefilter(filters)  # type: ignore[arg-type]
    runpy.run_path(script, run_name="__main__")


def run_ranks(
    script: str | Path,
    arguments: list[list[str]],
    environments: list[Mapping[str, str]],
    folder: Path,
    filters: str = "error",
) -> list[tuple[int, str]]:
    """Run a script once for each rank; return how each ended, and what it said."""
    texts = [folder / f"rank-{rank}.said" for rank in range(len(arguments))]
    running = [
        forks().Process(
            target=be_script,
            args=(str(script), words, dict(environment), str(text), filters),
            daemon=True,
        )
        for words, environment, text in zip(arguments, environments, texts, strict=True)
    ]
    for process in running:
        process.start()
    try:
        for process in running:
            process.join(PATIENCE)
            assert process.exitcode is not None, f"still running after {PATIENCE} seconds"
        return [
            (process.exitcode, text.read_text())
            for process, text in zip(running, texts, strict=True)
        ]
    finally:
        for process in running:
            process.kill()
            process.join()
            process.close()


def reports_of_ranks(script: str, folder: Path, processes: int) -> list[dict[str, Any]]:
    """Run a script once for each rank, as ``script RANK FOLDER``; it writes FOLDER/RANK.pt."""
    arguments = [[str(rank), str(folder)] for rank in range(processes)]
    ended = run_ranks(script, arguments, [{}] * processes, folder, "ignore")
    assert [status for status, _ in ended] == [0] * processes, ended
    return [torch.load(folder / f"{rank}.pt") for rank in range(processes)]
