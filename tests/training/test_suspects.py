"""What a run's method suspected is kept, counted here a second time, cell by cell."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from support.methods import active_options
from tacit.config import Config, resolve
from tacit.data.source import Source, Splits
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, method_class
from tacit.methods.base import Method
from tacit.models import build_model
from tacit.runs.build import read_splits
from tacit.runs.folder import SUSPECTS, Run
from tacit.training import suspects
from tacit.training.context import build_context
from tacit.training.interrupts import Interrupted
from tacit.training.report import Silent
from tacit.training.run import train
from tacit.training.suspects import SuspectLog
from tacit.training.trainer import Trainer
from tacit.types import Annotations, Batch, Clock, Step

Configure = Callable[..., Config]
Row = dict[str, Any]
ROUNDING = 2**-15
LEARNS_FROM_WHAT_IS_THERE = [name for name in METHODS if method_class(name).labels == "observed"]


def without_truth(splits: Splits) -> Splits:
    """Return the data as a user has it: nobody knows what is missing from the training images."""
    train_split = copy.copy(splits.train)
    train_split.truth = None
    return replace(splits, train=train_split)


def rows_of(folder: Path) -> list[Row]:
    rows: list[Row] = parquet.read_table(folder / SUSPECTS).to_pylist()
    return rows


class Recount:
    """Notes every suspect of every step, a cell at a time."""

    def __init__(self, method: Method, source: Source) -> None:
        self.method, self.source, self.names_any = method, source, False
        self.found: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
        self.take = method.step
        method.step = self.step  # type: ignore[method-assign]

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        step = self.take(model, batch, clock)
        if step.suspects is not None:
            self.names_any = True
            probability = step.evidence["logit"].sigmoid()
            for place, column in step.suspects.nonzero().tolist():
                seen = (clock.epoch, probability[place, column].item())
                self.found[int(batch.index[place]), column].append(seen)
        return step

    def rows(self) -> list[Row]:
        return [
            {
                "image": self.source.images[row],
                "class": self.source.classes[column],
                "times": len(seen),
                "first_epoch": min(epoch for epoch, _ in seen),
                "last_epoch": max(epoch for epoch, _ in seen),
                "score": pytest.approx(np.mean([p for _, p in seen]), abs=ROUNDING),
            }
            for (row, column), seen in sorted(self.found.items())
        ]


@pytest.fixture(scope="module")
def data(configure: Configure) -> Splits:
    """Return data without a truth; `iu` cannot do without known negatives."""
    return without_truth(read_splits(configure("data.negatives=1")))


@pytest.mark.parametrize("name", LEARNS_FROM_WHAT_IS_THERE)
def test_every_method_that_names_suspects_leaves_them_without_any_truth(
    name: str, configure: Configure, data: Splits, tmp_path: Path
) -> None:
    source = data.train
    options: dict[str, Any] = active_options(name)
    options.pop("cap", None)  # in so short a run nothing seems to be missing
    if name in ("vlpl", "aevlp"):
        generator = torch.Generator().manual_seed(9)
        shape = (len(source), len(source.classes))
        options["scores"] = torch.rand(shape, generator=generator)
    config = configure(method={"name": name}, phases=[{"epochs": 2, "batch": 32}])
    torch.manual_seed(0)
    method = build_method(name, **options)
    asked = {**config.model.model_dump(exclude={"head_bias"}), **method.model_options}
    model = build_model(classes=source.classes, **asked)
    method.setup(Annotations(source.labels, source.classes, source.images))
    recount = Recount(method, source)
    learner, device = Learner(model, method), torch.device("cpu")
    trainer = Trainer(build_context(learner, data, config, tmp_path, device), Silent())
    assert trainer.diagnostics is None
    trainer.fit()
    assert (tmp_path / SUSPECTS).exists() == recount.names_any
    if recount.names_any:
        rows = rows_of(tmp_path)
        assert rows == recount.rows()
        assert rows, "there was nothing to count"
        about = json.loads(parquet.read_schema(tmp_path / SUSPECTS).metadata[b"tacit"])
        assert about == {"format": 1, "method": name, "data": source.fingerprint()}


@pytest.fixture(scope="module")
def blind(splits: Splits) -> Splits:
    return without_truth(splits)


@pytest.mark.parametrize("after", [2, 3, 8])  # in the first epoch, at its end, in the last one
def test_a_resumed_run_has_what_an_uninterrupted_one_has(
    after: int, configure: Configure, blind: Splits, tmp_path: Path, stop_at: type
) -> None:
    phases = [{"epochs": 1, "batch": 32}, {"epochs": 2, "batch": 32}]
    config = configure(method={"name": "ll_r", "rate": 0.3}, phases=phases)
    train(config, tmp_path / "straight", splits=blind)
    with pytest.raises(Interrupted):
        train(config, tmp_path / "resumed", splits=blind, reporter=stop_at(after))
    train(Run(tmp_path / "resumed").config, tmp_path / "resumed", splits=blind, resume=True)
    straight, resumed = (
        (tmp_path / run / SUSPECTS).read_bytes() for run in ("straight", "resumed")
    )
    assert straight == resumed
    # Large losses are suspected in the second epoch of a phase only: the third of the run.
    rows = rows_of(tmp_path / "straight")
    assert rows and all(row["first_epoch"] == row["last_epoch"] == 3 for row in rows)


def test_mixtures_are_of_no_image(configure: Configure, blind: Splits, tmp_path: Path) -> None:
    settings = ("data.mix=logicmix", "phases.epochs=2", "phases.batch=32")
    train(configure(*settings, method={"name": "ll_r", "rate": 0.3}), tmp_path, splits=blind)
    assert not (tmp_path / SUSPECTS).exists()


# On numbers alone: 3 images and 2 classes.
NAMES, CLASSES = ["one.png", "two.png", "three.png"], ("cat", "dog")


def unopened(row: int) -> Any:
    raise AssertionError("no image is asked for")


def log_of(names: Any = NAMES, classes: Any = CLASSES) -> SuspectLog:
    labels = torch.zeros(len(names), len(classes), dtype=torch.int8).numpy()
    return SuspectLog(Source("toy", classes, names, labels, unopened), "print", resolve())


def take(
    log: SuspectLog, epoch: int, index: list[int], marked: Any, logits: Tensor | None = None
) -> None:
    cells = torch.as_tensor(marked).bool()
    evidence = {} if logits is None else {"logit": logits}
    batch = Batch(torch.tensor(index), torch.zeros_like(cells, dtype=torch.int8), {})
    log.update(batch, Step({}, cells, evidence), epoch)


def written(log: SuspectLog, folder: Path) -> list[list[Any]]:
    log.state_dict()
    log.write(folder / SUSPECTS)
    return [list(row.values()) for row in rows_of(folder)]


@pytest.fixture(params=[suspects.CELLS_AT_ONCE, 1], ids=["at the end", "at once"])
def looked_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "CELLS_AT_ONCE", request.param)


@pytest.mark.usefixtures("looked_at")
def test_cells_are_counted(tmp_path: Path) -> None:
    log = log_of()
    half, sure = torch.tensor([[0.0, 0.0]]), torch.tensor([[40.0, 40.0]])
    take(log, 1, [2], [[0, 1]], half)
    take(log, 1, [0], [[1, 1]], sure)
    take(log, 2, [2], [[0, 1]], sure)
    take(log, 2, [0], [[0, 0]], sure)
    take(log, 5, [2], [[1, 0]], half)
    expected = [
        ["one.png", "cat", 1, 1, 1, 1.0],
        ["one.png", "dog", 1, 1, 1, 1.0],
        ["three.png", "cat", 1, 5, 5, 0.5],
        ["three.png", "dog", 2, 1, 2, 0.75],
    ]
    assert written(log, tmp_path) == expected
    assert written(log, tmp_path) == expected, "what was written counts once"
    again = log_of()
    again.load_state_dict(log.state_dict())
    take(again, 6, [2], [[0, 1]], half)
    expected[3] = ["three.png", "dog", 3, 1, 6, pytest.approx(2 / 3, abs=ROUNDING)]
    assert written(again, tmp_path) == expected
    assert len(log.cells) == 4 and log.cells.counts[3, 0] == 2


def test_suspects_without_a_logit_have_no_score(tmp_path: Path) -> None:
    log = log_of()
    take(log, 1, [1], [[1, 0]])
    assert written(log, tmp_path) == [["two.png", "cat", 1, 1, 1, None]]


def test_no_suspects_and_no_say_in_them_are_not_the_same(tmp_path: Path) -> None:
    log = log_of()
    log.update(Batch(torch.tensor([0]), torch.zeros(1, 2), {}), Step({}), 1)
    log.state_dict()
    log.write(tmp_path / SUSPECTS)
    assert not (tmp_path / SUSPECTS).exists()
    take(log, 1, [0], [[0, 0]])
    assert written(log, tmp_path) == []


def test_memory_follows_the_suspects_and_not_the_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hundred thousand images in steps of 50, of which each suspects one cell, three times."""
    monkeypatch.setattr(suspects, "CELLS_AT_ONCE", 40_000)
    images, classes, batch = 100_000, 40, 50
    log = log_of([str(row) for row in range(images)], [f"class {n}" for n in range(classes)])
    marked = torch.zeros(batch, classes, dtype=torch.bool)
    marked[7, 3] = True
    for epoch in (1, 2, 3):
        for first in range(0, images, batch):
            take(log, epoch, list(range(first, first + batch)), marked)
            assert sum(scores.numel() for _, scores in log.waiting) <= 42_000
        state = log.state_dict()
        kept = state["places"].nbytes + state["counts"].nbytes
        assert kept == 24 * images // batch
        assert not log.fresh and not log.waiting
    rows = written(log, tmp_path)
    assert len(rows) == images // batch
    assert rows[1] == ["57", "class 3", 3, 1, 3, None]
