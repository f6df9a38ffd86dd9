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
from tacit.models.artefact import read_config
from tacit.runs.folder import Log
from tacit.training import run
from tacit.training.interrupts import Interrupted
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


def script(trainer: Any, *maps: float) -> Any:
    """Give the validations of a trainer prescribed results, one after the other."""
    left, scores = iter(maps), trainer._validate

    def validate() -> tuple[Any, ...]:
        found: tuple[Any, ...] = scores()
        object.__setattr__(found[1], "map", next(left))
        return found

    trainer._validate = validate
    return trainer


@pytest.mark.parametrize("patience", [0, 1])
def test_a_phase_ends_when_nothing_gets_better(
    make_trainer: Callable[..., Any], patience: int
) -> None:
    trainer = make_trainer(f"phases.patience={patience}", "phases.epochs=9")
    script(trainer, 10.0, 30.0, 20.0, 25.0, 40.0, 1.0, 1.0, 1.0, 1.0)
    assert trainer.fit()["map"] == 30.0
    # Patience 0 stops after epoch 3, patience 1 after epoch 4: both wait for a better second one.
    assert trainer.position.finished_epochs == 3 + patience


@pytest.mark.parametrize(("drop", "epochs"), [(1.5, 3), (2.0, 5), (10.0, 6)])
def test_a_phase_ends_so_many_points_below_the_best(
    make_trainer: Callable[..., Any], drop: float, epochs: int
) -> None:
    trainer = make_trainer(f"phases.max_drop={drop}", "phases.epochs=6")
    script(trainer, 10.0, 30.0, 28.0, 31.0, 28.5, 1.0)  # 2.0 below is not more than 2.0
    trainer.fit()
    assert trainer.position.finished_epochs == epochs
    again = script(make_trainer(f"phases.max_drop={drop}", "phases.epochs=6"))
    again.fit(resume=True)  # no further epoch: it ended here
    assert again.position.finished_epochs == epochs


TWO = [{"epochs": 2, "batch": 32}, {"epochs": 3, "batch": 32, "patience": 0, "max_drop": 5.0}]


@pytest.mark.parametrize("own", [False, True])
def test_a_phase_may_be_judged_by_its_own_best(make_trainer: Callable[..., Any], own: bool) -> None:
    trainer = make_trainer(phases=[TWO[0], {**TWO[1], "own_best": own}])
    script(trainer, 50.0, 60.0, 40.0, 42.0, 41.0)
    best = trainer.fit()
    kept = (42.0, 1, 2) if own else (60.0, 0, 2)
    assert (best["map"], best["phase"], best["epoch"]) == kept
    assert read_config(trainer.folder)["best"] == best  # the model of that epoch is in the folder
    # Against the best of both, the second phase has failed after its first epoch.
    assert trainer.position.finished_epochs == (5 if own else 3)


@pytest.mark.parametrize("after", [3, 6, 7, 9])
def test_an_interrupted_phase_ends_where_it_would_have(
    configure: Configure, splits: Splits, tmp_path: Path, stop_at: Any, after: int
) -> None:
    """In the first phase, at its end, in the second one and at the end of an epoch of it."""
    config = configure(phases=[TWO[0], {**TWO[1], "own_best": True, "patience": 9}])
    straight = run.train(config, tmp_path / "straight", splits=splits)["result"]["best"]
    assert straight["phase"] == 1
    with pytest.raises(Interrupted):
        run.train(config, tmp_path / "run", splits=splits, reporter=stop_at(after))
    assert run.train(config, tmp_path / "run", splits=splits, resume=True)["result"]["best"] == (
        straight
    )


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
