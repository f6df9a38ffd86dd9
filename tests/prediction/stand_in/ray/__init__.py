"""Stands in for Ray where it is not installed: one process, and rows in an order of its own.

It has what `tacit.prediction.ray_engine` asks for and no more. What it cannot show is that Ray
itself does as it says; `test_ray.py` does, where Ray is installed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class RayTaskError(Exception):
    """An error of a task; here errors come as they are."""

    cause: Exception


exceptions = SimpleNamespace(RayTaskError=RayTaskError)
running: list[Any] = []


def is_initialized() -> bool:
    return bool(running)


def init(**options: Any) -> None:
    running.append(options)


def shutdown() -> None:
    running.clear()


def cluster_resources() -> dict[str, float]:
    return {"CPU": 2.0}
