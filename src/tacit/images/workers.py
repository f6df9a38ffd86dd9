"""Loaders: processes that read images ahead, and what to do where they cannot go on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from tacit.errors import TacitError, UsageError

SHARED = Path("/dev/shm")  # where workers hand over what they have read
AHEAD = 2  # batches that every worker reads ahead; what torch's loader does by itself
PATIENCE = 600.0  # seconds without a single batch after which nothing more will come


class Loader(DataLoader[Any]):
    """torch's loader, with workers that neither hang for ever nor end without a reason.

    Args:
        dataset: What to read.
        workers: Processes that read; with 0 this one does.
        size: Bytes of the images in one batch, that of a worker.
        options: Passed on to torch's loader.
    """

    def __init__(self, dataset: Any, workers: int, size: int, **options: Any) -> None:
        if workers:
            check_shared_memory(workers, size)
            options |= {"prefetch_factor": AHEAD, "timeout": PATIENCE}
        super().__init__(
            dataset,
            num_workers=workers,
            worker_init_fn=_ignore_interrupts,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own, so that loading never moves the global one
            **options,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                if not str(error).startswith("DataLoader "):  # something else than a lost worker
                    raise
                raise TacitError(_explain(error)) from error
            yield batch


def check_shared_memory(workers: int, size: int) -> None:
    """Refuse workers that have no room to hand their batches over: they would hang or be killed.

    Args:
        workers: Processes that read, for each process that trains.
        size: Bytes of the images in one batch.
    """
    if not SHARED.is_dir():
        return
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    needed, free = together * (AHEAD * workers + 1) * size, shutil.disk_usage(SHARED).free
    if needed > free:
        raise UsageError(
            f"Batches that wait for their turn take {needed / 2**20:,.1f} MiB with {workers} "
            f"workers, and {SHARED} has {free / 2**20:,.1f} MiB left. Use fewer workers, or 0; or "
            f"give a container more of it, as by docker run --shm-size=8g."
        )


def _explain(error: RuntimeError) -> str:
    reason = str(error).partition("\n")[0].rstrip(".")
    return (
        f"The workers that read images have stopped: {reason}. Their memory may be used up, or "
        f"{SHARED}, or the images' disk does not answer; use fewer workers, or 0."
    )


def _ignore_interrupts(worker: int) -> None:
    # Ctrl-C reaches the whole process group; the main process decides when workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
