"""Options that change how a run computes: parts, mixing, an early end, the model's own options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tacit.config import Config, Phase
from tacit.data.source import Splits
from tacit.errors import UsageError
from tacit.methods.base import Method
from tacit.methods.pointwise import AssumeNegative
from tacit.runs.folder import Log
from tacit.training import run
from tacit.training.trainer import Trainer

Configure = Callable[..., Config]


def test_a_batch_in_parts_and_mixed_trains(
    configure: Configure, splits: Splits, tmp_path: Path
) -> None:
    config = configure("method.name=an", "phases.accumulate=3", "data.mix=logicmix")
    record = run.train(config, tmp_path / "run", splits=splits)
    assert 0 < record["result"]["map"] <= 100
    # A mixture has no truth of its own, so nothing is said about suspects.
    assert "identification" not in Log(tmp_path / "run" / "metrics.jsonl").read()[0]


def test_mixing_is_refused_for_methods_that_remember_images(configure: Configure) -> None:
    with pytest.raises(UsageError, match="'role' remembers every single image"):
        run.complete(configure("method.name=role", "data.mix=logicmix"))


def test_a_view_that_nobody_makes_is_refused(
    configure: Configure, plug: Callable[[type[Method]], str]
) -> None:
    class Sideways(AssumeNegative):
        def __init__(self) -> None:
            super().__init__()
            self.views = ("stong",)

    name = plug(Sideways)
    with pytest.raises(UsageError, match="called 'stong'; did you mean 'strong'"):
        run.complete(configure(f"method.name={name}"))


@pytest.mark.parametrize("patience", [0, 1])
def test_a_phase_ends_when_nothing_gets_better(
    make_trainer: Callable[..., Any], patience: int
) -> None:
    trainer = make_trainer(f"phases.patience={patience}", "phases.epochs=9")
    maps = iter([10.0, 30.0, 20.0, 25.0, 40.0, 1.0, 1.0, 1.0, 1.0])
    scores = trainer._validate

    def validate() -> tuple[Any, ...]:
        found = scores()
        object.__setattr__(found[1], "map", next(maps))
        return found

    trainer._validate = validate
    assert trainer.fit()["map"] == 30.0
    # Patience 0 stops after epoch 3, patience 1 after epoch 4: both wait for a better second one.
    assert trainer.position.finished_epochs == 3 + patience


def test_what_a_method_asks_of_the_model_gives_way_to_the_recipe(configure: Configure) -> None:
    assert run.complete(configure("method.name=boostlu")).model.boost == 5.0
    assert run.complete(configure("method.name=boostlu", "model.boost=2.0")).model.boost == 2.0
    assert run.complete(configure("method.name=an")).model.boost == 1.0


def test_a_completed_configuration_stays_as_it_is(configure: Configure) -> None:
    once = run.complete(configure("method.name=plc_lac"))
    read_back = Config.model_validate(once.model_dump(mode="json"))
    assert run.complete(read_back).model.embedding_dim == 128


def test_patience_is_a_number_of_epochs() -> None:
    assert Phase().patience is None


def test_a_compiled_trunk_is_compiled_in_place(make_trainer: Callable[..., Trainer]) -> None:
    plain, compiled = make_trainer(), make_trainer("run.compile=true")
    assert plain.learner.model.get_submodule("trunk")._compiled_call_impl is None
    assert compiled.learner.model.get_submodule("trunk")._compiled_call_impl is not None
    assert compiled.learner.state_dict().keys() == plain.learner.state_dict().keys()


def test_strong_views_can_be_made_on_the_device(
    configure: Configure, splits: Splits, tmp_path: Path
) -> None:
    logs = []
    for place in ("host", "device"):
        config = configure("method.name=ignore", f"data.strong={place}")
        run.train(config, tmp_path / place, splits=splits)
        logs.append(Log(tmp_path / place / "metrics.jsonl").read()[0]["terms"])
    assert logs[0] != logs[1]
    assert logs[1]["ignore"] == pytest.approx(logs[0]["ignore"], rel=0.2)
