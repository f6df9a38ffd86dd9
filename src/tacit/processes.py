"""Which of several processes this is, as `torchrun` says; and Ray, which starts its own."""

from __future__ import annotations

import os
from typing import Any

from tacit.errors import UsageError


def find_process() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many work together; (0, 1) if alone."""
    if "WORLD_SIZE" not in os.environ:
        _refuse_plain_srun()
    process, processes = _number("RANK", 0), _number("WORLD_SIZE", 1)
    if processes > 1 and "RANK" not in os.environ:
        raise UsageError(
            f"WORLD_SIZE says that {processes} processes work together, but RANK does not say "
            f"which one this is; start them with torchrun, which sets both."
        )
    if processes >= 1 and not 0 <= process < processes:
        raise UsageError(
            f"RANK says that this is process {process}, but WORLD_SIZE that there are {processes}, "
            f"counted from 0; start them with torchrun, which sets both."
        )
    return process, max(processes, 1)


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name, str(usual))
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(
            f"{name} is '{text[:40]}' in the environment, and should be a number; unset it, or "
            f"start the processes with torchrun."
        ) from error


def _refuse_plain_srun() -> None:
    """Explain what `srun` alone does: every task would do all of the work, in one folder."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1"))
    if "SLURM_PROCID" in os.environ and tasks.isdecimal() and int(tasks) > 1:
        raise UsageError(
            f"SLURM has {tasks} tasks here, each of which would do all of the work; let one task "
            f"per node start torchrun (srun --ntasks-per-node=1 torchrun ... -m tacit ...), or set "
            f"WORLD_SIZE=1 if this is the only process."
        )


def import_ray() -> Any:
    """Import Ray, or say how to get it."""
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--engine ray needs Ray, which is not installed: pip install 'tacit[ray]'."
        ) from error
    return ray
