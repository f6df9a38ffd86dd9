"""Looking at many images, in several processes of which any may die."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tacit.check.decode import Look, look_at

CHUNK = 64
# Fewer images are looked at sooner than a process starts.
FEW = 128


def count_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


Looking = Callable[[Sequence[str]], list[Look]]


def look_at_all(
    paths: Sequence[str],
    jobs: int | None = None,
    advance: Callable[[int], None] | None = None,
    look: Looking = look_at,
) -> list[Look]:
    """Look at all files, and return the looks in their order.

    Args:
        paths: The files.
        jobs: How many processes; as many as there are cores if None.
        advance: Called after some images with their number.
        look: What looks at some of them.
    """
    told = advance or (lambda count: None)
    chunks = [range(at, min(at + CHUNK, len(paths))) for at in range(0, len(paths), CHUNK)]
    jobs = min(jobs or count_cores(), len(chunks))
    if jobs <= 1 or len(paths) < FEW:
        looks = []
        for chunk in chunks:
            looks += look([paths[row] for row in chunk])
            told(len(chunk))
        return looks
    done: dict[int, list[Look]] = {}
    try:
        with _pool(jobs) as pool:
            waiting = {
                pool.submit(look, [paths[row] for row in chunk]): number
                for number, chunk in enumerate(chunks)
            }
            for future in as_completed(waiting):
                done[waiting[future]] = future.result()
                told(len(chunks[waiting[future]]))
    except BrokenProcessPool:  # an image crashed a process; find out which
        for number, chunk in enumerate(chunks):
            if number not in done:
                done[number] = _look_carefully(look, [paths[row] for row in chunk])
                told(len(chunk))
    return [look for number in range(len(chunks)) for look in done[number]]


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Processes that start afresh: a copy of one with threads may stand still for ever.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _look_carefully(look: Looking, paths: Sequence[str]) -> list[Look]:
    """Read files of which one may crash the process, halving them until it is found."""
    try:
        with _pool(1) as pool:
            return pool.submit(look, list(paths)).result()
    except BrokenProcessPool:
        if len(paths) == 1:
            return [Look([("corrupt", {"why": "it takes the process down that opens it"})])]
    half = len(paths) // 2
    return _look_carefully(look, paths[:half]) + _look_carefully(look, paths[half:])
