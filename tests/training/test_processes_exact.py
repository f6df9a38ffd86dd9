"""What two processes find out together is not merely close to what one does: it is the same.

A model that looks its logits up gives every image the same ones whatever comes with it, so that
only the arithmetic of the method and of the processes is left to differ. Of that, sums are exact.
A sigmoid or a logarithm is not: a processor computes most of an array many at a time and its rest
one by one, by other formulas, and which cells are the rest depends on the length of the array.
What is learned is therefore rounded to a grid after each step, far coarser than a last digit, so
that all processes look the same logits up again; what came before it is compared with a tolerance.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ranks import reports_of_ranks
from tacit.distributed import exchange_shares, own_share
from tacit.evaluation.evaluate import predict, score
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.methods.parts.label_table import LabelTable
from tacit.types import Annotations, Batch, Clock

PROCESSES = 2
ROWS, BATCH, CLASSES, SIDE, EPOCHS = 48, 8, 7, 16, 2
NAMES = tuple(f"class {number}" for number in range(CLASSES))
OPTIONS: dict[str, dict[str, Any]] = {
    "robust": {"gap_decay": 0.5},
    "paper": {"preset": "paper", "average_decay": 0.9},
    "released": {"preset": "released", "cam_normalisation": "spatial"},
    "capped": {"cap": True, "gap_threshold": False, "average_threshold": False},
}
# Numbers of images that two processes cannot share evenly, or cannot share at all.
SIZES = (1, 2, 3, 7, 13)
GRID = 2.0**-10  # what is learned in a step is a few of these
DIGIT = torch.finfo(torch.float32).eps
STORED = 2 * 1024 + 3  # rows of features: more than are sent at once

pytestmark = pytest.mark.digits


class LookUp(nn.Module):
    """Knows images by their brightest point; what is hidden makes its logits smaller."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.logits = nn.Parameter(torch.randn(ROWS, CLASSES, generator=generator))
        self.register_buffer("maps", torch.randn(ROWS, CLASSES, 4, 4, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        known = self.logits[self._rows(images)]
        visible = (images != 0).float().mean((1, 2, 3))  # a sum of ones, so without rounding
        return known * visible[:, None]

    def localise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps: Any = self.maps
        return self(images), maps[self._rows(images)]

    def normalise(self, pixels: Tensor) -> Tensor:
        return pixels

    def _rows(self, images: Tensor) -> Tensor:
        return images.amax((1, 2, 3)).long() - 1


def images(rows: Tensor, scale: float = 1.0) -> Tensor:
    """Return images that are as bright as their number says, in one corner less so."""
    inputs = (rows.float() + 1)[:, None, None, None].repeat(1, 3, SIDE, SIDE)
    inputs[..., : SIDE // 2, : SIDE // 2] *= scale
    return inputs


def labels() -> Tensor:
    """Return one positive each, some known negatives, and four rows without a positive."""
    generator = torch.Generator().manual_seed(3)
    table = -(torch.rand(ROWS, CLASSES, generator=generator) < 0.1).to(torch.int8)
    table[torch.arange(ROWS), torch.randint(CLASSES, (ROWS,), generator=generator)] = 1
    table[4:8] = table[4:8].clamp(max=0)  # all that the second process sees in the first step
    return table


def train(name: str, rank: int, world: int) -> dict[str, Any]:
    """Take steps in single precision, and return what was found out in each."""
    method = build_method("ignore", **{"warmup_epochs": 0, "least_lift": 0.0, **OPTIONS[name]})
    method.setup(Annotations(labels(), NAMES))
    learner = Learner(LookUp(), method)
    wrapped: Any = learner
    if world > 1:
        wrapped = DistributedDataParallel(learner, broadcast_buffers=False)
    found: dict[str, Any] = {"loss": [], "suspects": [], "tau": [], "mu": [], "learned": []}
    found["gradient"] = []
    order = np.random.default_rng(0).permutation(ROWS * EPOCHS) % ROWS
    order[:BATCH] = range(BATCH)
    share = BATCH // world
    for first in range(0, len(order), BATCH):
        start = first + rank * share
        rows = torch.from_numpy(order[start : start + share])
        views = {"weak": images(rows), "strong": images(rows, 0.0)}
        learner.zero_grad()
        step = wrapped(Batch(rows, labels()[rows], views), Clock(1, EPOCHS))
        step.loss.backward()
        logits: Any = learner.model.logits
        found["gradient"].append(logits.grad.clone())
        with torch.no_grad():
            logits.copy_(((logits - 0.5 * logits.grad) / GRID).round() * GRID)
        found["loss"].append(step.loss.detach())
        found["suspects"].append(step.suspects)
        found["tau"].append(method.gap_average.current())  # type: ignore[union-attr, operator]
        found["mu"].append(method.logit_average.current())  # type: ignore[union-attr, operator]
        found["learned"].append(logits.detach().clone())
    return found


def look_at(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Predict this process's share of so many images, three at a time."""
    own = torch.tensor(own_share(rows))
    nothing = torch.zeros(0)
    batches = [Batch(part, nothing, {"plain": images(part)}) for part in own.split(3)]
    return predict(LookUp(), batches, torch.device("cpu"))


def write_a_table(rank: int, world: int) -> Tensor:
    """Write 5 and 3 rows of a table, or all 8 of them at once, and not row 0."""
    table = LabelTable((ROWS, CLASSES), 0, torch.float32)
    table.values[0] = 9
    index = torch.arange(8).flip(0) + 1
    shares = (slice(0, 8),) if world == 1 else (slice(0, 5), slice(5, 8))
    rows = torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(1))
    table.write(index[shares[rank]], rows[shares[rank]])
    return table.values


def store(rank: int, world: int) -> Tensor:
    """Fill in this process's share of some rows, and get the others'."""
    rows = torch.zeros(STORED, 5, dtype=torch.bfloat16)
    own = own_share(STORED)
    rows[own.start : own.stop] = torch.arange(own.start, own.stop)[:, None].bfloat16()
    exchange_shares(rows)
    return rows


def everything(rank: int, world: int) -> dict[str, Any]:
    return {
        "trained": {name: train(name, rank, world) for name in OPTIONS},
        "predicted": {rows: torch.from_numpy(look_at(rows)) for rows in SIZES},
        "table": write_a_table(rank, world),
        "stored": store(rank, world),
    }


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return everything(0, 1)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes says; they are this file, run as a script."""
    return reports_of_ranks(__file__, tmp_path_factory.mktemp("ranks"), PROCESSES)


@pytest.mark.parametrize("name", OPTIONS)
class TestIgnore:
    def test_both_thresholds_are_those_of_one_process_to_the_last_bit(
        self, name: str, alone: dict[str, Any], ranks: list[dict[str, Any]]
    ) -> None:
        whole = alone["trained"][name]
        assert len(whole["tau"]) == ROWS * EPOCHS // BATCH
        for half in (rank["trained"][name] for rank in ranks):
            for what in ("tau", "mu"):
                for found, expected in zip(half[what], whole[what], strict=True):
                    assert torch.equal(found, expected), what
        assert len({float(tau) for tau in whole["tau"]}) == len(whole["tau"])

    def test_the_same_cells_are_rejected(
        self, name: str, alone: dict[str, Any], ranks: list[dict[str, Any]]
    ) -> None:
        halves = [rank["trained"][name]["suspects"] for rank in ranks]
        whole = alone["trained"][name]["suspects"]
        for *shares, expected in zip(*halves, whole, strict=True):
            assert torch.equal(torch.cat(shares), expected)
        counts = [int(suspects.sum()) for suspects in whole]
        assert 0 < sum(counts) < labels().eq(0).sum() * EPOCHS

    def test_loss_and_what_is_learned_are_the_same(
        self, name: str, alone: dict[str, Any], ranks: list[dict[str, Any]]
    ) -> None:
        halves, whole = [rank["trained"][name] for rank in ranks], alone["trained"][name]
        losses = zip(*(half["loss"] for half in halves), whole["loss"], strict=True)
        for *shares, expected in losses:
            assert float((torch.stack(shares).mean() - expected).abs()) <= 8 * DIGIT  # of about 1
        for half in halves:
            for found, expected in zip(half["gradient"], whole["gradient"], strict=True):
                assert 1e-4 < float(expected.abs().max()) < 1
                assert float((found - expected).abs().max()) <= 8 * DIGIT * float(
                    expected.abs().max()
                )
            for found, expected in zip(half["learned"], whole["learned"], strict=True):
                assert torch.equal(found, expected)
        assert not torch.equal(*whole["learned"][:2])


@pytest.mark.parametrize("rows", SIZES)
def test_uneven_shares_are_scored_as_one_whole(
    rows: int, alone: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    expected = alone["predicted"][rows]
    assert expected.shape == (rows, CLASSES)
    truth = labels()[:rows].numpy()
    ranked = torch.cat([expected, torch.full((1, CLASSES), 0.5)]).sort(0).values
    nearest = ranked.diff(dim=0).min()
    assert nearest > 100 * DIGIT, "a last digit could change the scores"
    for rank in ranks:
        found = rank["predicted"][rows]
        assert torch.equal(found, ranks[0]["predicted"][rows])
        torch.testing.assert_close(found, expected, rtol=4 * DIGIT, atol=0)
        assert score(found.numpy(), truth, NAMES) == score(expected.numpy(), truth, NAMES)


def test_rows_that_only_fill_up_a_message_reach_no_table(
    alone: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    assert alone["table"][1:9].ne(0).all() and alone["table"][9:].eq(0).all()
    for rank in ranks:
        assert torch.equal(rank["table"], alone["table"])


def test_stored_features_arrive_whole(alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    assert torch.equal(alone["stored"][:, 0], torch.arange(STORED).bfloat16())
    for rank in ranks:
        assert torch.equal(rank["stored"], alone["stored"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    this_rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=this_rank, world_size=PROCESSES
    )
    torch.save(everything(this_rank, PROCESSES), folder / f"{this_rank}.pt")
    torch.distributed.destroy_process_group()
