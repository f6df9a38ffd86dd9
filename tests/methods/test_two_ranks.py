"""Two processes with half a batch each do what one does with the whole, whatever the method.

All methods are trained for some steps in one process, and in two that gloo joins; a method without
batch statistics of the model's own must then have equal losses, gradients, suspects and state.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ranks import reports_of_ranks
from support.methods import active_options, labels_for, names_suspects, needed_options
from tacit.learner import Learner
from tacit.methods import METHODS, build_method
from tacit.models.base import Purpose
from tacit.models.cam_head import CamModel
from tacit.types import Annotations, Batch, Clock

PROCESSES = 2
ROWS, BATCH, SIDE, EPOCHS = 24, 8, 16, 2
CLASSES = ("bird", "boat", "car", "fish", "tree")
NAMES = sorted(METHODS)
pytestmark = pytest.mark.digits


class Trunk(nn.Module):
    """Two convolutions, and no batch statistics: those of half a batch are others."""

    channels = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Tanh(), nn.Conv2d(8, self.channels, 3, 2, 1), nn.Tanh()
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


def observed() -> Tensor:
    """Single positives, known negatives, and 4 rows without a positive: one process's second."""
    generator = torch.Generator().manual_seed(3)
    labels = -(torch.rand(ROWS, len(CLASSES), generator=generator) < 0.2).to(torch.int8)
    labels[torch.arange(ROWS), torch.randint(len(CLASSES), (ROWS,), generator=generator)] = 1
    labels[12:16] = labels[12:16].clamp(max=0)
    return labels


def build(name: str) -> Learner:
    torch.manual_seed(0)
    method = build_method(name, **active_options(name), **needed_options(name, ROWS, len(CLASSES)))
    asked = {k: v for k, v in method.model_options.items() if k in ("boost", "embedding_dim")}
    model = CamModel(Trunk(), Purpose(CLASSES, SIDE), **asked)
    method.setup(Annotations(labels_for(name, observed()), CLASSES))
    return Learner(model, method).double().train()


@cache
def train(name: str, rank: int, world: int) -> dict[str, Any]:
    """Train for two epochs of three steps, and return all there is to compare."""
    learner, labels = build(name), labels_for(name, observed())
    wrapped: Any = learner
    if world > 1:
        wrapped = DistributedDataParallel(
            learner, broadcast_buffers=False, find_unused_parameters=True
        )
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(ROWS, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    losses, suspects, gradients = [], [], []
    for epoch in range(1, EPOCHS + 1):
        clock = Clock(epoch, EPOCHS)
        for first in range(0, ROWS, BATCH):
            share = BATCH // world
            rows = torch.arange(first + rank * share, first + (rank + 1) * share)
            views = {view: pictures[rows] * (1 if view == "weak" else 0.9) for view in
                     learner.method.views}  # fmt: skip
            learner.zero_grad()
            step = wrapped(Batch(rows, labels[rows], views), clock)
            step.loss.backward()
            with torch.no_grad():
                for parameter in learner.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.5 * parameter.grad
            losses.append(step.loss.detach())
            suspects.append(torch.zeros_like(labels[rows], dtype=torch.bool)
                            if step.suspects is None else step.suspects)  # fmt: skip
            gradients.append({k: p.grad.clone() for k, p in learner.named_parameters()
                              if p.grad is not None})  # fmt: skip

        def predict() -> Tensor:
            with torch.no_grad():
                probabilities: Tensor = learner.model(pictures).sigmoid()
            return probabilities

        learner.method.end_epoch(clock, predict)
    state = {key: value.clone() for key, value in learner.state_dict().items()}
    return {"losses": losses, "suspects": suspects, "gradients": gradients, "state": state}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the two processes report of all methods; they are started once."""
    return reports_of_ranks(__file__, tmp_path_factory.mktemp("ranks"), PROCESSES)


def close(found: Tensor, expected: Tensor, what: str) -> None:
    torch.testing.assert_close(
        found, expected, rtol=1e-9, atol=1e-9, equal_nan=True, msg=lambda m: f"{what}: {m}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_as_one(name: str, ranks: list[dict[str, Any]]) -> None:
    whole, halves = train(name, 0, 1), [rank[name] for rank in ranks]
    for number, loss in enumerate(whole["losses"]):
        where = f"step {number}"
        mean = torch.stack([half["losses"][number] for half in halves]).mean()
        close(mean, loss, f"{where}, loss")
        joined = torch.cat([half["suspects"][number] for half in halves])
        assert torch.equal(joined, whole["suspects"][number]), f"{where}, suspects"
        for key, gradient in whole["gradients"][number].items():
            for half in halves:
                close(half["gradients"][number][key], gradient, f"{where}, gradient of {key}")
    for half in halves:
        assert half["state"].keys() == whole["state"].keys()
        for key, value in whole["state"].items():
            close(half["state"][key], value, key)


@pytest.mark.parametrize("name", NAMES)
def test_the_comparison_has_something_to_compare(name: str) -> None:
    found = any(suspects.any() for suspects in train(name, 0, 1)["suspects"])
    assert found == names_suspects(name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    this_rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=this_rank, world_size=PROCESSES
    )
    torch.save({n: train(n, this_rank, PROCESSES) for n in NAMES}, folder / f"{this_rank}.pt")
    torch.distributed.destroy_process_group()
