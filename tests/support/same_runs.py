"""Comparing two finished runs to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tacit.runs.checkpoint import LAST
from tacit.runs.folder import SUSPECTS, Log


def _same(first: Any, second: Any, where: str) -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert (first.dtype, first.shape) == (second.dtype, second.shape), where
        # As bytes, because what is not yet known is NaN in some tables.
        assert torch.equal(_bytes(first), _bytes(second)), where
    elif isinstance(first, dict):
        assert list(first) == list(second), where
        for key in first:
            _same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for number, pair in enumerate(zip(first, second, strict=True)):
            _same(*pair, f"{where}.{number}")
    else:
        assert first == second, where


TIMES = ("seconds", "images_per_second")


def _bytes(values: torch.Tensor) -> torch.Tensor:
    return values.cpu().reshape(-1).clone(memory_format=torch.contiguous_format).view(torch.uint8)


def assert_same_runs(first: Path, second: Path) -> None:
    """Require that two finished runs agree to the last bit, but for how long they took."""
    one, other = (torch.load(run / "checkpoints" / LAST) for run in (first, second))
    one["meter"].pop("seconds"), other["meter"].pop("seconds")
    one.pop("config"), other.pop("config")  # some runs are compared that compute the same otherwise
    _same(one, other, "checkpoint")
    for name in ("model.safetensors", "config.json", SUSPECTS):
        written = [
            run / name for run in (first, second) if name != SUSPECTS or (run / name).exists()
        ]
        assert len({path.read_bytes() for path in written}) <= 1 and len(written) != 1, name
    logs = [
        [{key: entry[key] for key in entry if key not in TIMES} for entry in log]
        for log in (Log(run / "metrics.jsonl").read() for run in (first, second))
    ]
    _same(*logs, "metrics.jsonl")
