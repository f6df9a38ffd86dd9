"""Trainings under Ray: one task a cell, wherever Ray has room for it.

The folder of the comparison must be one that all machines see. A worker that dies costs the epoch
that it was in: Ray starts its task again, and the run goes on from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch

from tacit.experiments.jobs import TRIES, Job, tell_epochs
from tacit.names import split_lines
from tacit.processes import import_ray
from tacit.runs.folder import Run
from tacit.training.report import Reporter, Silent

POLL_SECONDS = 0.5


def train_by_ray(
    planned: Mapping[str, Job], threads: int, reporter: Reporter | None = None
) -> dict[str, str]:
    """Train everything, and return why some failed.

    Args:
        planned: What to train, by title.
        threads: Of each training. The same number gives the same bytes as local jobs do.
        reporter: Receives the progress.
    """
    reporter = reporter or Silent()
    ray = import_ray()
    began = not ray.is_initialized()
    if began:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        return _train(ray, planned, threads, reporter)
    finally:
        if began:
            ray.shutdown()


def _train(
    ray: Any, planned: Mapping[str, Job], threads: int, reporter: Reporter
) -> dict[str, str]:
    task = ray.remote(_attempt).options(
        num_cpus=threads,
        num_gpus=1 if any(_wants_cuda(job) for job in planned.values()) else 0,
        max_retries=TRIES - 1,
    )
    waiting = {task.remote(title, job, threads): title for title, job in planned.items()}
    told = {title: len(Run(job.folder).log.read()) for title, job in planned.items()}
    failed: dict[str, str] = {}
    while waiting:
        ready, _ = ray.wait(list(waiting), timeout=POLL_SECONDS)
        for title in waiting.values():
            told[title] += tell_epochs(planned[title].folder, title, told[title], reporter)
        for each in ready:
            title = waiting.pop(each)
            try:
                reason = ray.get(each)
            except ray.exceptions.WorkerCrashedError:
                reason = f"its worker died {TRIES} times"
            except ray.exceptions.RayError as error:
                reason = split_lines(str(error).strip())[-1]
            if reason is not None:
                failed[title] = reason
    return failed


def _attempt(title: str, job: Job, threads: int) -> str | None:
    torch.set_num_threads(threads)
    return job.attempt(title)


def _wants_cuda(job: Job) -> bool:
    device = job.config.run.device
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
