"""The table of methods: names, presets and hyperparameters, and methods from outside."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from torch import nn

from support.methods import method_section
from tacit.errors import UsageError
from tacit.learner import Learner
from tacit.methods import METHODS, Entry, build_method, hyperparameters, method_class
from tacit.methods.base import Method
from tacit.types import Batch, Clock, Step
from toys import ScriptedModel, make_batch


class Plugged(Method):
    """A method from outside, with a constructor of its own."""

    presets = {"heavy": {"weight": 7.0}}

    def __init__(self, weight: float = 2.0) -> None:
        super().__init__()
        self.weight = weight

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        return Step({"sum": self.weight * model(batch["weak"]).sum()})


class WithoutConstructor(Method):
    """A method without hyperparameters."""

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        return Step({"sum": model(batch["weak"]).sum()})


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "plugged", Plugged)
    monkeypatch.setitem(METHODS, "bare", WithoutConstructor)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_row_leads_to_a_documented_method(name: str) -> None:
    entry = METHODS[name]
    assert isinstance(entry, Entry)
    assert entry.title and entry.paper.title and entry.paper.venue
    assert 2000 <= entry.paper.year <= 2100
    cls = method_class(name)
    assert issubclass(cls, Method)
    assert cls.__doc__ and cls.__doc__ != Method.__doc__
    assert name == name.lower()


@pytest.mark.parametrize("paper", sorted({entry.paper.title for entry in METHODS.values()}))
def test_a_paper_is_cited_with_its_year_where_a_method_of_it_is_described(paper: str) -> None:
    names = [name for name in METHODS if METHODS[name].paper.title == paper]
    years = {METHODS[name].paper.year for name in names}
    cited = "".join(method_section(name).split("### Idea")[0] for name in names)
    assert len(years) == 1 and str(years.pop()) in cited


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_hyperparameter_has_a_default_and_a_line_of_documentation(name: str) -> None:
    cls = method_class(name)
    bases = [base for base in cls.__mro__ if issubclass(base, Method)]
    documented = "\n".join(inspect.cleandoc(base.__doc__ or "") for base in bases)
    for option, default in hyperparameters(name).items():
        assert isinstance(default, bool | int | float | str | None | tuple), option
        assert f"\n    {option}: " in documented, f"{option} is not documented"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_preset_builds(name: str) -> None:
    cls = method_class(name)
    for preset in (None, *cls.presets):
        assert type(build_method(name, preset=preset)) is cls


def test_an_unknown_method_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no method called 'ignroe'; did you mean 'ignore'"):
        build_method("ignroe")
    with pytest.raises(UsageError, match="known: .*'?ignore"):
        build_method("xyzzy")


def test_an_unknown_hyperparameter_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="called 'cam_treshold'; did you mean 'cam_threshold'"):
        build_method("ignore", cam_treshold=0.5)
    with pytest.raises(UsageError, match="called 'xyzzy'; known: epsilon, strong_view"):
        build_method("an", xyzzy=1)


def test_an_unknown_preset_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="preset of 'ignore' called 'relased'; .* 'released'"):
        build_method("ignore", preset="relased")
    with pytest.raises(UsageError, match="preset of 'an' called 'paper'"):
        build_method("an", preset="paper")


def test_options_go_over_a_preset_and_a_preset_over_defaults() -> None:
    method: Any = build_method("ignore", preset="released", epsilon=1e-3)
    assert (method.cam_threshold, method.epsilon, method.warmup_epochs) == (0.8, 1e-3, 3)


@pytest.mark.usefixtures("plugged")
def test_a_class_from_outside_works() -> None:
    assert method_class("plugged") is Plugged
    assert hyperparameters("plugged") == {"weight": 2.0}
    assert build_method("plugged", weight=3.0).weight == 3.0
    method = build_method("plugged", preset="heavy")
    model = ScriptedModel([[1.0, 2.0]], [[1.0, 2.0]], [[0.0, 0.0]])
    step = Learner(model, method)(make_batch([[1, 0]]), Clock(1, 1))
    assert step.loss.item() == 7.0 * 3.0
    with pytest.raises(UsageError, match="did you mean 'weight'"):
        build_method("plugged", wieght=1.0)


@pytest.mark.usefixtures("plugged")
def test_a_class_without_a_constructor_has_no_hyperparameters() -> None:
    assert hyperparameters("bare") == {}
    assert isinstance(build_method("bare"), WithoutConstructor)
    with pytest.raises(UsageError, match="hyperparameter of .* called 'arg'; there are none"):
        build_method("bare", arg=1)


def test_a_method_without_a_step_says_so() -> None:
    class Forgotten(Method):
        pass

    with pytest.raises(TypeError, match="Forgotten does not say .* define `step`"):
        Forgotten().step(nn.Identity(), make_batch([[1, 0]]), Clock(1, 1))


def test_a_learner_is_one_module() -> None:
    method = build_method("ignore")
    learner = Learner(ScriptedModel([[1.0]], None, [[1.0]]), method)
    assert {name.split(".")[0] for name in learner.state_dict()} == {"model", "method"}


def test_reading_the_table_imports_nothing_heavy() -> None:
    code = (
        "import sys, tacit.methods; assert tacit.methods.METHODS; "
        "assert not {'torch', 'numpy', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
