"""What there is to choose from, for people and for programs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tacit.benchmarks import BENCHMARKS
from tacit.cli import lists as handbook
from tacit.cli import output
from tacit.data import SOURCES
from tacit.data.formats import FORMATS
from tacit.methods import METHODS, build_method, hyperparameters, method_class
from tacit.methods.pointwise import AssumeNegative
from tacit.models import FAMILIES, MODELS, model_options

Call = Callable[..., Any]

# Programs rely on these; the list may only grow.
FIELDS = (
    "name",
    "title",
    "paper",
    "year",
    "venue",
    "views",
    "labels",
    "hyperparameters",
    "presets",
)


@pytest.mark.parametrize(
    ("command", "table"),
    [
        ("methods", METHODS),
        ("models", MODELS),
        ("datasets", {**SOURCES, **BENCHMARKS, **FORMATS}),
    ],
)
def test_programs_get_a_list_with_names_and_titles(
    call: Call, command: str, table: dict[str, Any]
) -> None:
    answer = call(command, "--json")
    assert (answer.status, answer.err) == (0, "")
    listed = answer.json()
    assert [each["name"] for each in listed] == list(table)
    assert all(isinstance(each["title"], str) and each["title"] for each in listed)


@pytest.mark.parametrize("command", ["methods", "models", "datasets"])
def test_people_get_every_name(call: Call, command: str) -> None:
    tables: dict[str, list[str]] = {
        "methods": list(METHODS),
        "models": [*MODELS, *FAMILIES],
        "datasets": [*SOURCES, *BENCHMARKS, *FORMATS],
    }
    answer = call(command)
    assert (answer.status, answer.err) == (0, "")
    first_words = [line.split()[0] for line in answer.out.splitlines() if line.strip()]
    assert set(tables[command]) <= set(first_words)
    assert "…" not in answer.out  # nothing is cut off in a pipe


def test_a_method_is_described_in_full(call: Call) -> None:
    for described in call("methods", "--json").json():
        cls = method_class(described["name"])
        assert set(FIELDS) <= set(described)
        assert isinstance(described["year"], int) and described["paper"] and described["venue"]
        assert described["views"] == list(build_method(described["name"]).views)
        assert described["labels"] == cls.labels
        values = json.loads(json.dumps(hyperparameters(described["name"])))
        assert described["hyperparameters"] == values
        assert set(described["ranges"]) == set(values)
        assert set(described["presets"]) == set(cls.presets)


def test_one_method_can_be_asked_for(call: Call) -> None:
    (described,) = call("methods", "ignore", "--json").json()
    assert (described["name"], described["venue"], described["year"]) == ("ignore", "ECCV", 2024)
    assert described["views"] == ["weak", "strong"]
    assert described["hyperparameters"]["cam_threshold"] == 0.4
    assert described["ranges"]["cam_threshold"] == {"type": "number", "minimum": -1, "maximum": 2}
    assert described["presets"]["released"]["cam_threshold"] == 0.8


def test_one_method_is_explained(call: Call) -> None:
    shown = call("methods", "ignore").out
    assert shown.startswith("ignore: IGNORE\n")
    assert "ECCV 2024" in shown and "released" in shown
    table = shown[shown.index("\nhyperparameter ") :].splitlines()
    for name, default in hyperparameters("ignore").items():
        line = next(line for line in table if line.startswith(f"{name} "))
        assert line.split()[1] == str(default)
    assert any(" 0.4 a number from -1 to 2 " in " ".join(line.split()) for line in table)
    assert any(line.split()[1:] == ["False", "true", "or", "false"] for line in table)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_explained_by_its_section_of_the_documentation(
    call: Call, name: str
) -> None:
    shown = call("methods", name).out
    assert f"\n## `{name}`\n" in shown
    assert shown.count("\n## ") == 1  # this section and no other
    headings = ("Paper", "Idea", "Equation", "Hyperparameters", "Where we differ")
    assert [h for h in headings if f"\n### {h}\n" in shown] == list(headings)


def test_the_sections_travel_with_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pages.md").write_text("## `one`\n\nFirst.\n\n## `two`\n\nSecond.\n")
    monkeypatch.setattr(handbook, "FOLDERS", (tmp_path, tmp_path / "absent"))
    assert handbook.section("one") == "## `one`\n\nFirst."
    assert handbook.section("two") == "## `two`\n\nSecond."
    assert handbook.section("tw") is None
    project = tomllib.loads((handbook.PACKAGE.parents[1] / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["docs/methods"] == "tacit/handbook"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_unknown_method_comes_with_the_nearest(call: Call, flags: tuple[str, ...]) -> None:
    answer = call("methods", "ignor", *flags)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == "tacit: There is no method called 'ignor'; did you mean 'ignore'?\n"


def test_a_method_from_outside_is_listed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(AssumeNegative):
        """My own."""

        def __init__(self, share: float = 0.5) -> None:
            super().__init__()

    monkeypatch.setitem(METHODS, "mine", Mine)
    described = call("methods", "--json").json()[-1]
    assert (described["name"], described["title"]) == ("mine", "Mine")
    assert described["paper"] is None
    assert described["hyperparameters"] == {"share": 0.5}
    assert described["ranges"] == {"share": {"type": "number"}}
    assert "My own." in call("methods", "mine").out
    assert call("methods").status == 0


def test_trunks_are_listed_with_the_models(call: Call) -> None:
    trunks = {name: family._asdict() for name, family in FAMILIES.items()}
    assert [each["trunks"] for each in call("models", "--json").json()] == [trunks] * len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_explained_with_its_options(call: Call, name: str) -> None:
    (described,) = call("models", name, "--json").json()
    assert described["options"] == json.loads(json.dumps(model_options(name)))
    shown = call("models", name).out
    assert described["title"] in shown
    assert set(described["options"]) <= {line.split()[0] for line in shown.splitlines() if line}


def test_an_unknown_model_brings_up_the_nearest(call: Call) -> None:
    answer = call("models", "query2lable")
    assert answer.status == 2
    assert "did you mean 'query2label'?" in answer.err


def test_information_is_there_for_both(call: Call) -> None:
    facts = call("info", "--json").json()
    assert {"tacit", "python", "torch", "device", "threads", "processors"} <= set(facts)
    shown = call("info").out
    assert all(str(value) in shown for value in facts.values())


def test_names_are_printed_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    """Class names come from other people's data; rich must not read them as instructions."""
    names = ["[red]", "[/]", ":car:", "[link=x]y[/link]", "1"]
    output.print_table(("class", "AP"), [(name, "12.50") for name in names])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == ["class", *names]
    output.tell("a [red]path[/red] of :car: " + "x" * 300)
    assert capsys.readouterr().err == "a [red]path[/red] of :car: " + "x" * 300 + "\n"


def test_numbers_are_set_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "value", "± and %"), [("a", "1.0", "5%"), ("bb", "100.0", "± 12%")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == [
        "name  value  ± and %",
        "a       1.0       5%",
        "bb    100.0    ± 12%",
    ]
