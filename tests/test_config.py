"""Configurations: defaults, then the recipe, then settings; mistakes named in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tacit.config import Config, MethodConfig, Phase, load_recipe, parse_setting, resolve
from tacit.errors import UsageError

RECIPE = """
[data]
options = {images = 64}

[method]
name = "an"
epsilon = 1e-5

[[phases]]
epochs = 3
freeze = ["trunk"]

[[phases]]
lr = 0.5
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def complaint(*settings: str, **options: Any) -> str:
    """Return the message of the error that the settings lead to."""
    with pytest.raises(UsageError) as caught:
        resolve(settings=settings, **options)
    return str(caught.value)


def test_without_anything_the_defaults_hold() -> None:
    assert resolve() == Config()
    assert len(resolve().phases) == 1


def test_a_recipe_replaces_defaults_and_settings_replace_both(recipe: Path) -> None:
    plain = resolve(recipe)
    assert (plain.method.name, plain.method.options) == ("an", {"epsilon": 1e-5})
    assert plain.data.options == {"images": 64}
    assert [phase.epochs for phase in plain.phases] == [3, Config().phases[0].epochs]
    assert [phase.lr for phase in plain.phases] == [Config().phases[0].lr, 0.5]
    assert plain.model == Config().model  # what a recipe leaves out keeps its default
    settings = ("method.epsilon=0", "data.options.test_images=8", "run.seed=7", "run.seed=8")
    changed = resolve(recipe, settings)
    assert changed.method.options == {"epsilon": 0}
    assert changed.data.options == {"images": 64, "test_images": 8}
    assert changed.run.seed == 8  # the last one counts


def test_phases_are_set_together_or_one_by_one(recipe: Path) -> None:
    together = resolve(recipe, ("phases.batch=8",))
    assert [phase.batch for phase in together.phases] == [8, 8]
    single = resolve(recipe, ("phases.1.batch=8", "phases.0.freeze=[]"))
    assert [phase.batch for phase in single.phases] == [32, 8]
    assert [phase.freeze for phase in single.phases] == [(), ()]
    assert resolve(settings=("phases.0.lr=0.25",)).phases[0].lr == 0.25
    assert resolve(settings=("phases=[{epochs=1}, {epochs=2}]",)).phases[1].epochs == 2


def test_a_base_stands_in_for_a_recipe_and_stays_as_it_is() -> None:
    base = {"method": {"name": "an"}, "phases": [{"epochs": 2}]}
    settings = ("method.epsilon=1e-5", "phases.epochs=5", "run.seed=3")
    config = resolve(base=base, settings=settings)
    assert (config.method.options, config.phases[0].epochs) == ({"epsilon": 1e-5}, 5)
    assert base == {"method": {"name": "an"}, "phases": [{"epochs": 2}]}


def test_a_configuration_survives_the_record_of_a_run(recipe: Path) -> None:
    config = resolve(recipe, ("model.mean=[0.5,0.5,0.5]", "run.average=0.9"))
    assert Config.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("setting", "keys", "value"),
    [
        ("run.seed=1", ["run", "seed"], 1),
        ("phases.lr=1e-4", ["phases", "lr"], 1e-4),
        ("method.reject=false", ["method", "reject"], False),
        ("phases.freeze=['trunk', \"head\"]", ["phases", "freeze"], ["trunk", "head"]),
        ("data.options={images=3}", ["data", "options"], {"images": 3}),
        ("method.name=ignore", ["method", "name"], "ignore"),
        ("method.name='ignore'", ["method", "name"], "ignore"),
        ("model.weights=C:\\a b\\w=1.pth", ["model", "weights"], "C:\\a b\\w=1.pth"),
        (" run.seed =1", ["run", "seed"], 1),
        ("model.weights=", ["model", "weights"], ""),
    ],
)
def test_a_setting_is_toml_or_a_plain_word(setting: str, keys: list[str], value: Any) -> None:
    parsed = parse_setting(setting)
    assert parsed == (keys, value)
    assert type(parsed[1]) is type(value)


@pytest.mark.parametrize("setting", ["run.seed", "", "=3", "  =3"])
def test_a_setting_needs_a_key_and_a_value(setting: str) -> None:
    assert "is no setting; write table.key=value" in complaint(setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.sed=1", "Unknown key 'run.sed' in the settings; did you mean 'seed'?"),
        ("dta.name=x", "Unknown key 'dta' in the settings; did you mean 'data'?"),
        ("phases.epoch=1", "Unknown key 'phases.0.epoch' in the settings; did you mean 'epochs'?"),
        ("phases.0.lrr=1", "Unknown key 'phases.0.lrr' in the settings; did you mean 'lr'?"),
        ("model.size.x=1", "'model.size' in the settings is {'x': 1}, but input should be a valid"),
        ("lr=1e-4", "Unknown key 'lr' in the settings; did you mean 'phases.lr'?"),
        (
            "name=an",
            "Unknown key 'name' in the settings; did you mean 'data.name' or 'model.name' or "
            "'method.name'?",
        ),
        ("run.lr=1", "Unknown key 'run.lr' in the settings; there is no such key."),
        ("run.qwxz=1", "Unknown key 'run.qwxz' in the settings; there is no such key."),
    ],
)
def test_an_unknown_key_is_named_beside_the_nearest(setting: str, message: str) -> None:
    assert complaint(setting).startswith(message)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.seed=many", "'run.seed' in the settings is 'many', but input should be a valid int"),
        ("run.seed=-1", "'run.seed' in the settings is -1, but input should be greater than or"),
        ("phases.epochs=0", "'phases.0.epochs' in the settings is 0, but input should be greater"),
        (
            "phases.lr=nan",
            "'phases.0.lr' in the settings is nan, but input should be a finite number",
        ),
        ("data.validation=1", "'data.validation' in the settings is 1, but input should be less"),
        ("run.precision=fp8", "'run.precision' in the settings is 'fp8', but input should be 'fp"),
        ("phases.freeze=trunk", "'phases.0.freeze' in the settings is 'trunk', but input should"),
        ("phases=[]", "'phases' in the settings is [], but tuple should have at least 1 item"),
        ("run=3", "'run' in the settings is 3, but input should be a valid dictionary"),
        ("model.mean=[1, 2]", "'model.mean.2' in the settings is [1, 2], but field required."),
    ],
)
def test_a_wrong_value_is_shown_with_what_is_wanted(setting: str, message: str) -> None:
    shown = complaint(setting)
    assert shown.startswith(message)
    assert "more problem" not in shown


def test_further_problems_are_counted() -> None:
    assert complaint("run.seed=x", "run.sed=1").endswith("(1 more problem after this one)")
    assert complaint("run.seed=x", "run.sed=1", "data.workers=-1").endswith(
        "(2 more problems after this one)"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("phases.1.lr=1",), "'phases.1.lr=1' names a phase that does not exist."),
        (("phases.first.lr=1",), "'phases.first.lr=1' names a phase that does not exist."),
        (("run.seed=1", "run.seed.x=1"), "'run.seed' is a value, not a table."),
        (("phases=3", "phases.lr=1"), "'phases' must be a list of tables"),
        (("phases=[1]", "phases.lr=1"), "'phases' must be a list of tables"),
        (("phases={lr=1}", "phases.lr=1"), "'phases' must be a list of tables"),
        (("data.options.x=[1]", "data.options.x.0=2"), "'data.options.x' is a value, not a table."),
    ],
)
def test_a_setting_must_fit_the_tables(settings: tuple[str, ...], message: str) -> None:
    assert complaint(*settings).startswith(message)


def test_a_method_keeps_its_own_keys_for_itself() -> None:
    config = MethodConfig(name="ignore", preset="paper", warmup_epochs=2, reject=False)
    assert config.options == {"warmup_epochs": 2, "reject": False}
    assert MethodConfig().options == {}


def test_sections_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().run.seed = 3  # type: ignore[misc]


def test_a_recipe_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert complaint(recipe=missing) == (
        f"The recipe {missing} cannot be read: No such file or directory."
    )
    assert complaint(recipe=tmp_path) == f"The recipe {tmp_path} cannot be read: Is a directory."


@pytest.mark.parametrize(
    "content", [b"[data\nname = 1", b"name = ignore", b"a = 1\na = 2", "n = 'ü'".encode("latin-1")]
)
def test_a_recipe_that_is_no_toml_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    assert complaint(recipe=path).startswith(f"The recipe {path} is not valid TOML: ")


def test_a_mistake_in_a_recipe_is_placed_there(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[data]\nnmae = 'scenes'\n", encoding="utf-8")
    assert complaint(recipe=path) == (
        f"Unknown key 'data.nmae' in the recipe {path}; did you mean 'name'?"
    )
    # A common slip: one pair of brackets.
    path.write_text("[phases]\nepochs = 3\n", encoding="utf-8")
    shown = complaint("phases.lr=1", recipe=path)
    assert shown.startswith(f"'phases' in the recipe {path} is {{'epochs': 3}}, but input should")


def test_a_mistake_in_a_setting_is_not_blamed_on_the_recipe(recipe: Path) -> None:
    assert complaint("run.sed=1", recipe=recipe).startswith("Unknown key 'run.sed' in the settings")
    assert "in the settings is 0" in complaint("phases.epochs=0", recipe=recipe)


SEVERAL = """
[data]
options = {images = 64, size = 32}

[[phases]]
epochs = 3
lr = 0.1

[[phases]]
epochs = 4
lr = 0.2

[methods.an]

[methods.ignore]
preset = "paper"
warmup_epochs = 2
data = {options = {images = 8}}
phases = {lr = 0.5}
run = {average = 0.9}

[methods.ignore_released]
name = "ignore"
preset = "released"

[[methods.role.phases]]
epochs = 5

[methods.plc]
model = {name = "query2label"}

[models.query2label]
options = {width = 16}
phases = {lr = 0.7}

[models.query2label.methods.ignore]
warmup_epochs = 9
phases = {batch = 8}

[models.small]
name = "cam"
size = 16
"""


@pytest.fixture
def several(tmp_path: Path) -> Path:
    path = tmp_path / "several.toml"
    path.write_text(SEVERAL)
    return path


def test_a_method_s_table_goes_over_what_holds_for_all(several: Path) -> None:
    config = resolve(several, ("method.name=ignore",))
    assert config.method == MethodConfig(name="ignore", preset="paper", warmup_epochs=2)
    assert config.data.options == {"images": 8, "size": 32}
    assert [(phase.epochs, phase.lr) for phase in config.phases] == [(3, 0.5), (4, 0.5)]
    assert config.run.average == 0.9
    bare = resolve(several, ("method.name=an",))
    assert [phase.lr for phase in bare.phases] == [0.1, 0.2] and bare.run.average is None
    assert resolve(several, ("method.name=wan",)).phases == bare.phases  # it has no table
    assert resolve(several, ("method.name=role",)).phases == (Phase(epochs=5),)


def test_a_table_may_be_of_a_method_or_model_that_is_called_otherwise(several: Path) -> None:
    config = resolve(several, ("method.name=ignore_released", "model.name=small"))
    assert config.method == MethodConfig(name="ignore", preset="released")
    assert (config.model.name, config.model.size) == ("cam", 16)


def test_the_model_s_table_goes_over_the_method_s_and_flags_over_both(several: Path) -> None:
    asked = ("method.name=ignore", "model.name=query2label")
    config = resolve(several, asked)
    assert config.method.options == {"warmup_epochs": 9} and config.method.preset == "paper"
    assert (config.model.name, config.model.options) == ("query2label", {"width": 16})
    assert [(phase.lr, phase.batch) for phase in config.phases] == [(0.7, 8), (0.7, 8)]
    flags = resolve(several, ("phases.0.lr=0.9", "method.warmup_epochs=1", *asked))
    assert [phase.lr for phase in flags.phases] == [0.9, 0.7]
    assert flags.method.options == {"warmup_epochs": 1}


def test_a_method_s_table_may_choose_the_model(several: Path) -> None:
    config = resolve(several, ("method.name=plc",))
    assert config.model.options == {"width": 16} and config.phases[0].lr == 0.7
    assert resolve(several, ("method.name=plc", "model.name=cam")).model.options == {}


def test_one_method_has_to_be_chosen(several: Path) -> None:
    assert complaint(recipe=several) == (
        f"Choose one of the methods of the recipe {several} with --method: "
        "an, ignore, ignore_released, role, plc."
    )
    several.write_text('[method]\nname = "an"\n[methods.an]\nepsilon = 0.1\n')
    assert resolve(several).method.options == {"epsilon": 0.1}


@pytest.mark.parametrize(
    ("table", "key", "near"),
    [
        ("[methods.an.phases]\nepoch = 1", "methods.an.phases.0.epoch", "epochs"),
        ("[[methods.an.phases]]\nlrr = 1", "methods.an.phases.0.lrr", "lr"),
        ("[methods.an.data]\nnmae = 'x'", "methods.an.data.nmae", "name"),
        ("[models.cam]\nsiez = 1", "models.cam.siez", "size"),
        ("[models.cam.methods.an.run]\nsede = 1", "models.cam.methods.an.run.sede", "seed"),
        ("[modles.cam]", "modles", "models"),
    ],
)
def test_a_mistake_in_any_table_is_placed_there(
    several: Path, table: str, key: str, near: str
) -> None:
    several.write_text(f'[method]\nname = "ignore"\n{table}\n')  # whichever is chosen
    shown = complaint(recipe=several)
    assert shown == f"Unknown key '{key}' in the recipe {several}; did you mean '{near}'?"


def test_tables_are_no_settings() -> None:
    shown = complaint("methods.an.epsilon=1")
    assert shown == "Unknown key 'methods' in the settings; did you mean 'method'?"


def test_a_recipe_is_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes('[model]\nweights = "Gewichte für Bögen.pth"\n'.encode())
    assert load_recipe(path) == {"model": {"weights": "Gewichte für Bögen.pth"}}
