"""Hyperparameters are lines of a class: they make its constructor, are inherited and recorded."""

from __future__ import annotations

import copy
import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from support.methods import method_section
from tacit.cli.lists import methods
from tacit.config import resolve
from tacit.errors import UsageError
from tacit.methods import METHODS, build_method, hyperparameters, method_class
from tacit.methods.base import Method, annotations_of
from tacit.methods.gap_rejection import Ignore
from tacit.methods.large_loss import LargeLossRejection
from tacit.ranges import Share, schema
from tacit.training.run import train
from tacit.types import Batch, Clock, Step

PRESETS = [
    (method, preset) for method in METHODS for preset in (None, *method_class(method).presets)
]


class Mild(Ignore):
    """IGNORE, with a part of the loss left to the suspects.

    Args:
        left: The part.
    """

    left: Share = 0.25

    def step(self, model: Any, batch: Batch, clock: Clock) -> Step:
        step = super().step(model, batch, clock)
        return Step({**step.terms, "left": self.left * step.terms["ignore"]}, step.suspects)


class Written(Method):
    """A method with a constructor of its own."""

    def __init__(
        self,
        weight: Share = 0.5,
        *,
        often: int = 3,
        loud: bool = False,
        pair: tuple[float, float] = (1.0, 2.0),
        free: Any = None,
    ) -> None:
        super().__init__()
        self.weight, self.pair, self.free = weight, pair, free
        self.layer = nn.Linear(often, 1)


class Doubled(Written):
    """Hands on another value than it was given."""

    def __init__(self, weight: Share = 0.25) -> None:
        super().__init__(2 * weight)


class Bolder(LargeLossRejection):
    """Another default, for which the range need not be repeated."""

    rate = 0.5


@pytest.fixture
def mild(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "mild", Mild)


def state_of(method: Method) -> dict[str, Any]:
    """Return all that a method is before it has seen anything."""
    tensors = {name: tensor.tolist() for name, tensor in method.state_dict().items()}
    plain = {key: value for key, value in vars(method).items() if not key.startswith("_")}
    return {**plain, **tensors, "hyperparameters": method.hyperparameters()}


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_method_says_all_it_was_built_with_and_can_be_built_again(
    name: str, preset: str | None
) -> None:
    method = build_method(name, preset=preset)
    values = method.hyperparameters()
    chosen = method_class(name).presets[preset] if preset else {}
    defaults = {
        key: each.default for key, each in inspect.signature(method_class(name)).parameters.items()
    }
    assert values == ({**defaults, **chosen} if preset else hyperparameters(name))
    recorded = json.loads(json.dumps(values))
    for again in (build_method(name, **values), build_method(name, **recorded)):
        assert type(again) is type(method)
        assert state_of(again) == state_of(method)


@pytest.mark.parametrize(("name", "preset"), [each for each in PRESETS if each[1]])
def test_a_preset_states_all_that_results_hang_on(name: str, preset: str) -> None:
    """Otherwise a new default would change it; one that states nothing means the defaults."""
    stated = method_class(name).presets[preset]
    places = {
        key
        for key, kind in annotations_of(method_class(name)).items()
        if schema(kind).get("type") == "string" and "enum" not in schema(kind)
    }
    assert places <= {"keep", "scores"}
    if stated:
        assert (
            hyperparameters(name).keys() - places <= stated.keys() <= hyperparameters(name).keys()
        )
    else:
        assert preset == "robust"


def test_every_release_that_differs_from_the_defaults_is_a_preset() -> None:
    """GR, PLC, LAC, CALD and MIME differ in nothing that is a hyperparameter.

    CRISP and SCL have no released code, and `drawn` is our own.
    """
    without = {name for name in METHODS if "released" not in method_class(name).presets}
    assert without == {"gr", "plc", "plc_lac", "crisp", "cald", "mime", "scl", "drawn"}
    for name in METHODS.keys() - without:
        cls = method_class(name)
        defaults = {key: each.default for key, each in inspect.signature(cls).parameters.items()}
        assert any(value != defaults[key] for key, value in cls.presets["released"].items()), name


TABLED = {"ignore", "calr"}  # their presets have a table of their own


@pytest.mark.parametrize(
    "name", [n for n in METHODS if n not in TABLED and "released" in method_class(n).presets]
)
def test_a_release_differs_from_the_defaults_where_its_section_says_so(name: str) -> None:
    said = re.search(r"^The preset `released` sets (.+?)\.(?: |$)", method_section(name), re.M)
    assert said, f"the section of {name} does not say what its release sets"
    told = dict(re.findall(r"`(\w+)` to `?([\w.+-]+)`?", said[1]))
    defaults = hyperparameters(name)
    stated = method_class(name).presets["released"]
    differing = {key: value for key, value in stated.items() if value != defaults[key]}
    assert {key: _as_written(text) for key, text in told.items()} == differing


def _as_written(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_a_method_is_extended_without_repeating_its_hyperparameters() -> None:
    kinds = {name: schema(kind) for name, kind in annotations_of(Ignore).items()}
    extended = {name: schema(kind) for name, kind in annotations_of(Mild).items()}
    assert extended == {**kinds, "left": schema(Share)}
    method = Mild(left=0.5, cam_threshold=0.75, strong_view=False)
    assert method.views == ("weak",)
    assert method.hyperparameters() == {
        **Ignore().hyperparameters(),
        "left": 0.5,
        "cam_threshold": 0.75,
        "strong_view": False,
    }
    for wrong in ({"left": 1.5}, {"cam_threshold": 3}, {"cap": 1}):
        with pytest.raises(UsageError, match=f"^{next(iter(wrong))} must be "):
            Mild(**wrong)
    with pytest.raises(TypeError, match="lfet"):
        Mild(**{"lfet": 0.5})


@pytest.mark.usefixtures("mild")
def test_an_extended_method_builds_prints_and_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_method("mild", preset="paper", left=0.5).hyperparameters()["epsilon"] == 0
    methods("mild")
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "left 0.25 a number from 0 to 1" in shown
    settings = ("data.options.images=40", "data.options.test_images=16", "phases.epochs=1")
    config = resolve(settings=("method.name=mild", "method.left=0.5", "model.size=24", *settings))
    train(config, tmp_path / "run")
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert "left" in json.loads(line)["terms"]


def test_a_new_default_keeps_the_range() -> None:
    assert Bolder().rate == 0.5 and hyperparameters("ll_r")["rate"] == 0.002
    assert inspect.signature(Bolder).parameters["rate"].default == 0.5
    assert build_method("boostlu").hyperparameters()["rate"] == 0.005
    with pytest.raises(UsageError, match="^rate must be a number from 0 to 1, not 2"):
        Bolder(rate=2)


def test_a_default_out_of_its_own_range_is_found() -> None:
    class Odd(Method):
        share: Share = 2

    with pytest.raises(UsageError, match="^share must be a number from 0 to 1, not 2"):
        Odd()


def test_a_written_constructor_is_checked_as_far_as_it_is_annotated() -> None:
    assert Written().hyperparameters() == {
        "weight": 0.5,
        "often": 3,
        "loud": False,
        "pair": (1.0, 2.0),
        "free": None,
    }
    given: Any = [3, 4]
    method = Written(1, pair=given, free=given)
    assert (method.weight, method.pair, method.free) == (1.0, (3.0, 4.0), [3, 4])
    wrong: list[dict[str, Any]] = [
        *({"often": often} for often in (2.5, True, "2")),
        *({"loud": loud} for loud in (1, "yes", None)),
        *({"weight": weight} for weight in (2, "0.5", float("nan"))),
        {"pair": [1.0]},
    ]
    for options in wrong:
        with pytest.raises(UsageError, match=f"^{next(iter(options))} must be "):
            Written(**options)


def test_what_a_base_class_is_given_is_not_what_the_method_was_given() -> None:
    method = Doubled(0.125)
    assert method.weight == 0.25
    assert method.hyperparameters() == {"weight": 0.125}


def test_a_class_without_lines_inherits_a_written_constructor() -> None:
    class Further(Written):
        pass

    assert Further(0.75).hyperparameters()["weight"] == 0.75


def test_what_is_set_later_is_no_hyperparameter() -> None:
    with pytest.raises(TypeError, match=r"Early.table has no default.* `self.table: Tensor`"):

        class Early(Method):
            table: Tensor

    with pytest.raises(TypeError, match=r"Viewing.views is no hyperparameter; write it without"):

        class Viewing(Method):
            views: tuple[str, ...] = ("strong",)

    class Fine(Method):
        lr_scale: ClassVar[float] = 2.0
        views = ("strong",)
        share: Annotated[float, Field(ge=0, le=1)] = 0.5

        def __post_init__(self) -> None:
            super().__post_init__()
            self.table: Tensor
            self.register_buffer("table", torch.zeros(3))

    assert inspect.signature(Fine).parameters.keys() == {"share"}
    assert Fine().table.tolist() == [0, 0, 0]


def test_copies_and_parameters_are_those_of_a_module() -> None:
    method = Mild(left=0.5)
    twin = copy.deepcopy(method)
    assert twin.hyperparameters() == method.hyperparameters() and twin is not method
    twin.gap_average.update(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    assert state_of(twin) != state_of(method)
    method.hyperparameters()["left"] = 0.0
    assert method.hyperparameters()["left"] == 0.5
