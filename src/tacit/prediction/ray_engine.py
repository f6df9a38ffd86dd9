"""The worker under Ray Data: tasks read images, actors hold models, tables stream back.

Ray holds the tasks back when the models are behind, so that memory stays bounded.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from tacit.devices import choose_device
from tacit.errors import TacitError
from tacit.models.artefact import read_config
from tacit.prediction.plan import Plan, Settings, Shard
from tacit.prediction.reading import Images, list_requests
from tacit.prediction.worker import Predictor
from tacit.processes import import_ray

Row = dict[str, Any]


class ModelActor:
    """Holds a model, and predicts one portion after the other."""

    def __init__(self, settings: Settings, device: str) -> None:
        self.predictor = Predictor(settings, choose_device(device))

    def __call__(self, row: Row) -> Row:
        portion = pickle.loads(row["portion"])
        table = self.predictor.table(portion)
        return {"shard": portion.shard, "number": portion.number, "table": pickle.dumps(table)}


def predict_by_ray(
    plan: Plan, shards: list[Shard], workers: int, actors: int, device: str
) -> Iterator[tuple[int, pa.Table]]:
    """Return the numbers and tables of shards as they are finished, in any order.

    Args:
        plan: What the shards belong to.
        shards: What is to be predicted.
        workers: Tasks that read images at the same time; 0 for as many as Ray has room for.
        actors: Models that predict at the same time.
        device: Where each of them does.
    """
    ray = import_ray()
    importlib.import_module("ray.data")  # an attribute of `ray` from here on
    began = not ray.is_initialized()
    if began:
        # Errors come back as exceptions; what else Ray has to say is in its own log files.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        rows = _stream(ray, plan, shards, workers, actors, device)
        yield from _gather(rows, {shard.number: shard for shard in shards}, plan.settings.batch)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, TacitError) else error from None
    finally:
        if began:
            ray.shutdown()


def _stream(
    ray: Any, plan: Plan, shards: list[Shard], workers: int, actors: int, device: str
) -> Iterator[Row]:
    """Build the pipeline; nothing runs before the first row is asked for."""
    size: int = read_config(Path(plan.settings.model))["model"]["size"]
    processors = int(ray.cluster_resources().get("CPU", 1))  # half of them are left to reading
    ray.data.DataContext.get_current().enable_progress_bars = False

    def read(row: Row) -> Iterator[Row]:
        images = Images(size, plan.settings.reading)
        for request in list_requests(plan, [plan.shards[row["shard"]]]):
            yield {"portion": pickle.dumps(images[request])}

    numbers = [{"shard": shard.number} for shard in shards]
    found: Iterator[Row] = (
        ray.data.from_items(numbers, override_num_blocks=len(numbers))
        .flat_map(read, compute=ray.data.TaskPoolStrategy(workers or None))
        .map(
            ModelActor,
            fn_constructor_args=(plan.settings, device),
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=min(plan.settings.threads, processors // (2 * actors)),
            num_gpus=1 if _wants_cuda(device) else 0,
        )
        .iter_rows()
    )
    return found


def _wants_cuda(device: str) -> bool:
    # The machine that asks may have none while those that predict do.
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def _gather(
    rows: Iterator[Row], shards: dict[int, Shard], batch: int
) -> Iterator[tuple[int, pa.Table]]:
    """Put the portions of each shard into their order, once all are there."""
    waiting: dict[int, dict[int, pa.Table]] = {}
    for row in rows:
        number = row["shard"]
        tables = waiting.setdefault(number, {})
        tables[row["number"]] = pickle.loads(row["table"])
        if len(tables) == math.ceil(shards[number].rows / batch):
            yield number, pa.concat_tables(tables[key] for key in sorted(tables))
            del waiting[number]
