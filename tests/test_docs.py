"""Whatever the documentation says can be run, and runs; whatever it names exists.

The blocks of a page are run in order, in one empty folder and one namespace. ``python`` blocks are
executed; one that begins with a comment like ``# mine.py`` is written to that file as well. Of
``console`` blocks the lines beginning with ``$ tacit`` are run, and output shown below
them must come, with ``…`` standing for anything. ``toml`` blocks must be recipes; one that begins
with a comment like ``# mine.toml`` is written to that file for the blocks after it.

A comment before a block changes this: ``<!-- test: skip because … -->`` leaves the block out, and
``<!-- test: exit 2 -->`` says how its commands end.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from support.methods import (
    labels_for,
    method_page,
    method_section,
    names_suspects,
    needed_options,
    summary,
)
from tacit import cli
from tacit.config import Config, MethodConfig, Phase, load_recipe, parse_setting, resolve
from tacit.data.scenes.drawing import CLASSES, compose
from tacit.experiments.grid import read_grid
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, hyperparameters, method_class
from tacit.models import MODELS, build_model
from tacit.training.run import complete
from tacit.types import Annotations, Batch, Clock

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

FENCE = re.compile(
    r"^(?P<ticks>```+)(?P<language>[\w{}-]*)[^\n]*\n(?P<body>.*?)^(?P=ticks)$", re.M | re.S
)
DIRECTIVE = re.compile(
    r"<!-- test: (?P<what>skip because (?P<reason>.+)|exit (?P<status>\d+)) -->\s*$"
)
LINK = re.compile(r"\[[^\]\n]*\]\(<?(?P<target>[^)\s>]+)>?\)")
HEADINGS = ("Paper", "Idea", "Equation", "Hyperparameters", "Where we differ")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    skip: bool
    status: int

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read_blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        directive = DIRECTIVE.search(text, 0, fence.start())
        found = directive if directive and directive.end() == fence.start() else None
        yield Block(
            page,
            text.count("\n", 0, fence.start()) + 2,
            fence["language"],
            fence["body"],
            bool(found and found["reason"]),
            int(found["status"] or 0) if found else 0,
        )


def commands(block: Block) -> Iterator[tuple[list[str], str]]:
    """Split a console block into ``tacit`` commands and the output shown below each."""
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        line, _, shown = part.replace("\\\n", " ").partition("\n")
        words = shlex.split(line, comments=True)
        if words[0] == "tacit":
            yield words[1:], shown.strip("\n")


def check_output(shown: str, printed: str, place: str) -> None:
    """Every line shown must be printed, in this order; ``…`` stands for anything on its line."""
    position = 0
    squeezed = re.sub(r" +", " ", printed)
    for line in filter(str.strip, shown.splitlines()):
        if line.strip() == "…":
            continue
        parts = [re.escape(part) for part in re.sub(r" +", " ", line.strip()).split("…")]
        found = re.compile(r"[^\n]*".join(parts)).search(squeezed, position)
        assert found, f"{place} shows a line that is not printed:\n  {line}\nprinted:\n{printed}"
        position = found.end()


def check_recipe(path: Path) -> None:
    names = load_recipe(path).get("methods", {})
    for settings in [(f"method.name={name}",) for name in names] or [()]:
        method = resolve(path, settings).method
        build_method(method.name, preset=method.preset, **method.options)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to run things in; what they change outside of it is put back."""
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TACIT_TRACEBACK", raising=False)
    threads, tables = torch.get_num_threads(), [(table, dict(table)) for table in (METHODS, MODELS)]
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        yield tmp_path
    torch.set_num_threads(threads)
    for table, rows in tables:
        table.clear()
        table.update(rows)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_run(page: Path, workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A real module name, so that classes defined on the page know where they live.
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in read_blocks(page):
        if block.skip:
            continue
        if block.language == "python":
            if named := re.match(r"# (\S+\.py)\n", block.text):
                (workshop / named[1]).write_text(block.text, encoding="utf-8")
            # Empty lines before it make line numbers in tracebacks those of the page.
            code = compile(
                "\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True
            )
            exec(code, namespace)
        elif block.language == "console":
            for arguments, shown in commands(block):
                capsys.readouterr()
                status = cli.run(arguments)
                printed = capsys.readouterr()
                assert status == block.status, f"{block.place}: {arguments}\n{printed.err}"
                check_output(shown, printed.out + printed.err, block.place)
        elif block.language == "toml":
            named = re.match(r"# (\S+\.toml)\n", block.text)
            path = workshop / (named[1] if named else "unnamed.toml")
            path.write_text(block.text, encoding="utf-8")
            if re.search(r"^\[(compare|rows\.)", block.text, flags=re.M):
                assert read_grid(path)
            else:
                check_recipe(path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_directives_are_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for comment in re.findall(r"^<!-- test:.*$", text, flags=re.M):
        assert DIRECTIVE.match(comment), comment
    languages = {block.language for block in read_blocks(page)}
    known = {"python", "console", "toml", "text", "json", "bibtex", "{toctree}", "{eval-rst}"}
    assert languages <= known, "a block in another language would not be looked at"


def slugs(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#{1,6} (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target = link["target"]
        if re.match(r"(https?|mailto|doi):", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in slugs(file), f"{name_of(page)} links to {target}: no such heading"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed: set[Path] = set()
    reached = [ROOT / "docs" / "index.md"]
    while reached:
        page = reached.pop()
        trees = page.read_text(encoding="utf-8").split("```{toctree}")[1:]
        entries = [
            entry
            for tree in trees
            for entry in re.findall(r"^[\w/*.-]+$", tree.split("```")[0], re.M)
        ]
        found = {path for entry in entries for path in page.parent.glob(f"{entry}.md")}
        assert not found & listed, f"{name_of(page)} lists a page for the second time"
        listed |= found
        reached.extend(found)
    written = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert written - listed == {ROOT / "docs" / "index.md"}


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_examples_run(example: Path, workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) < 80
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the rows of tables by the code in their first cell."""
    rows = {}
    for line in text.splitlines():
        # A bar inside code is written as \| in tables.
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and re.fullmatch(r"`[^`]+`", cells[0]):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_every_configuration_key_is_explained() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = table_rows(text.split("\n## Keys")[1].split("\n## ")[0])
    sections: dict[str, type[BaseModel]] = {
        name: field.annotation if isinstance(field.annotation, type) else Phase
        for name, field in Config.model_fields.items()
    }
    assert sections["phases"] is Phase and sections["method"] is MethodConfig
    expected = {
        f"{section}.{key}": field
        for section, model in sections.items()
        for key, field in model.model_fields.items()
    }
    assert set(rows) == set(expected)
    for key, field in expected.items():
        meaning = rows[key][0].lower()
        assert (field.description or "").lower() in meaning, f"{key} means: {field.description}"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_section(name: str) -> None:
    section = method_section(name)
    assert tuple(re.findall(r"^### (.+)$", section, flags=re.M)) == HEADINGS
    assert set(summary(name)) == {"Suspects", "State"}
    assert len(re.findall(r"^\$\$$", section, flags=re.M)) >= 2 or "That of [" in section


def test_every_section_is_of_a_method() -> None:
    for page in (ROOT / "docs" / "methods").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"^## `(\w+)`$", text, flags=re.M)) <= set(METHODS), page


def rows_of_methods() -> dict[str, tuple[str, str]]:
    """Return the rows of the table of methods: where each leads, and what its cells say."""
    index = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+)`\]\(([^)]+)\) \| (.+) \|$", index, flags=re.M)
    assert len({name for name, *_ in rows}) == len(rows), "a method has two rows"
    return {name: (link, cells) for name, link, cells in rows}


def test_the_table_of_methods_has_no_row_too_many() -> None:
    assert not rows_of_methods().keys() - METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_the_row_of_a_method_is_true(name: str) -> None:
    rows = rows_of_methods()
    assert name in rows, f"docs/methods.md has no row for {name}"
    link, cells = rows[name]
    assert link == f"methods/{method_page(name).name}#{name}"
    _, _, labels, views, suspects, state = (cell.strip() for cell in cells.split(" |"))
    cls, told = method_class(name), summary(name)
    assert labels.replace(" ", "_") == cls.labels
    assert tuple(views.split(", ")) == build_method(name).views
    assert bool(suspects) == names_suspects(name)
    assert bool(state) == (not told["State"].startswith("none"))
    assert ("table" in state) == told["State"].startswith("a table") == cls.keeps_table


@pytest.mark.parametrize("name", METHODS)
def test_what_sections_say_of_suspects_is_true(name: str) -> None:
    cls, classes = method_class(name), ("a", "b", "c", "d")
    labels = torch.tensor([[1, 0, 0, 0], [0, 1, -1, 0]], dtype=torch.int8)
    labels = labels_for(name, labels)
    method = build_method(name, **needed_options(name, *labels.shape))
    method.setup(Annotations(labels, classes))
    model = build_model(classes=classes, size=24, trunk="tiny", **cls.model_options)
    views = {view: torch.rand(2, 3, 24, 24) for view in method.views}
    step = Learner(model, method)(Batch(torch.arange(2), labels, views), Clock(1, 5))
    assert (step.suspects is not None) == names_suspects(name)


def written(value: object) -> str:
    """Write a value as a recipe would."""
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", METHODS)
def test_hyperparameters_are_documented_with_their_defaults(name: str) -> None:
    rows, defaults = table_rows(method_section(name)), hyperparameters(name)
    shown = {key: rows[key][0].strip("`") for key in defaults if key in rows}
    assert shown == {key: written(value) for key, value in defaults.items()}


@pytest.mark.parametrize("name", METHODS)
def test_presets_are_documented(name: str) -> None:
    section, presets = method_section(name), method_class(name).presets
    assert all(f"`{preset}`" in section for preset in presets)
    if "#### Presets" in section:
        check_preset_table(name, section.split("#### Presets")[1].split("\n#")[0])
        return
    told = re.findall(r"^The preset `(\w+)` sets (.+?)\.(?: Published.*)?$", section, flags=re.M)
    assert {preset for preset, _ in told} == set(presets)
    for preset, sentence in told:
        pairs = re.findall(r"`(\w+)` to `?([\w.-]+)`?", sentence)
        read = {key: parse_setting(f"{key}={value}")[1] for key, value in pairs}
        assert read == departures(name)[preset]


def departures(name: str) -> dict[str, dict[str, Any]]:
    """Return what each preset of a method changes of the defaults of its class."""
    cls = method_class(name)
    defaults = {key: p.default for key, p in signature(cls).parameters.items()}
    return {
        preset: {key: value for key, value in values.items() if value != defaults[key]}
        for preset, values in cls.presets.items()
    }


def check_preset_table(name: str, text: str) -> None:
    header = next(line for line in text.splitlines() if line.startswith("| hyperparameter"))
    columns = re.findall(r"`(\w+)`", header)
    presets, rows = method_class(name).presets, table_rows(text)
    assert set(rows) == {key for column in columns for key in departures(name)[column]}
    defaults = {key: p.default for key, p in signature(method_class(name)).parameters.items()}
    for key, cells in rows.items():
        expected = [written(presets[column].get(key, defaults[key])) for column in columns]
        assert [cell.strip("`") for cell in cells] == expected


def test_frequencies_of_scenes_are_true() -> None:
    rows = table_rows((ROOT / "docs" / "scenes.md").read_text(encoding="utf-8"))
    count = 3000
    present = np.zeros((count, len(CLASSES)), dtype=bool)
    for index in range(count):
        present[index, [placement.label for placement in compose(0, index)]] = True
    for name, share in zip(CLASSES, present.mean(0), strict=True):
        assert rows[name][0].endswith(" %")
        assert abs(float(rows[name][0].split()[0]) - 100 * share) < 3, name


def test_the_method_of_add_a_method_is_short() -> None:
    page = ROOT / "docs" / "add-a-method.md"
    texts = [block.text for block in read_blocks(page) if "(Method):" in block.text]
    assert texts and all(len(text.splitlines()) < 40 for text in texts)


def test_no_page_names_a_place_on_a_machine() -> None:
    for page in [*PAGES, *RECIPES, *EXAMPLES, ROOT / "CITATION.cff"]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.:/])/(work|home|root|tmp|Users)/", text), page


def test_the_recipe_of_scenes_trains_what_the_study_of_scenes_trains() -> None:
    _, cells = read_grid(ROOT / "studies" / "scenes.toml", said={"seeds": [0]})
    planned = {
        cell.config.method.name: cell for cell in cells if cell.config and "off" not in cell.row
    }
    assert set(planned) == {"bce", "an", "ignore"}
    for name, cell in planned.items():
        chosen = resolve(ROOT / "recipes" / "scenes.toml", (f"method.name={name}",))
        assert complete(chosen) == cell.config


@pytest.mark.parametrize("verb", ["methods", "models", "datasets"])
def test_the_keys_of_lists_are_documented(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([verb, "--json"]) == 0
    keys = set(json.loads(capsys.readouterr().out)[0])
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    documented = table_rows(text)[f"tacit {verb} --json"][0]
    assert set(re.findall(r"`(\w+)`", documented)) == keys


def test_programs_that_read_find_every_page() -> None:
    """A page for programs names all that the index names, but for single results."""
    text = (ROOT / "docs" / "llms.txt").read_text(encoding="utf-8")
    named = re.findall(r"^- \[(.+)\]\((\S+)\.md\): .", text, flags=re.MULTILINE)
    toctrees = re.findall(
        r"```{toctree}(.*?)```", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.DOTALL
    )
    lines = [line for tree in toctrees for line in tree.split("\n")[1:]]
    pages = [line for line in lines if line and not line.startswith(":")]
    wanted = [page for page in pages if not page.startswith("results/") or "index" in page]
    assert [page for _, page in named] == wanted
    for title, page in named:
        first = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").partition("\n")[0]
        assert first == f"# {title}"
