"""What the documentation names exists, and what it counts has been counted.

Of a page, code spans are looked at: options, keys of recipes, files, modules and verbs. The
changelog also names what is gone, so only its counts are held against the code.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tacit import cli
from tacit.check import KINDS
from tacit.config import Config, Phase
from tacit.data.formats import FORMATS
from tacit.methods import METHODS, hyperparameters
from tacit.methods.base import Method
from test_architecture import EDGES
from test_docs import EXAMPLES, FENCE, PAGES, RECIPES, ROOT, commands, name_of, read_blocks

# What was measured is about the files of that day.
TODAY = [page for page in PAGES if page.name not in ("CHANGELOG.md", "mutants.md")]
PACKAGE = ROOT / "src" / "tacit"
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILES = re.compile(r"[\w./-]+\.(?:py|toml|md|css|lock)")
# What is no part: the package's own `__init__` and `__main__`, which look up what they need.
NO_PARTS = {"tacit", "__main__"}

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
COUNTED = {
    r"(\d\d)(?: methods| in all\. Bounds)": len(METHODS),
    r"([\w-]+) formats": len(FORMATS),
    r"([\w-]+) kinds": len(KINDS),
    r"papers print, for ([\w-]+) data sets": len(RECIPES),
}


def read_spans(page: Path) -> set[str]:
    """Return what stands in code spans, outside of blocks."""
    return set(SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8"))))


def find_options(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))


@cache
def options_of(verb: str) -> frozenset[str]:
    """Return the options that the help of a verb names."""
    with contextlib.redirect_stdout(io.StringIO()) as help_text:
        assert cli.run([verb, "--help"]) == 0
    return find_options(help_text.getvalue()) | {"--help"}


@cache
def options_of_scripts() -> dict[str, frozenset[str]]:
    """Return the options that stand in the text of each script beside the package."""
    places = ("bench/*.py", "studies/*.py", "tests/mutants/*.py")
    scripts = [*(path for place in places for path in ROOT.glob(place)), *EXAMPLES]
    return {name_of(path): find_options(path.read_text(encoding="utf-8")) for path in scripts}


def tacit_commands(page: Path) -> Iterator[list[str]]:
    """Return the commands of a page, the words after ``tacit``, in its spans and blocks."""
    for span in read_spans(page):
        if span.startswith("tacit "):
            yield span.split()[1:]
    for block in read_blocks(page):
        if block.language == "console":
            yield from (words for words, _ in commands(block))


@pytest.mark.parametrize("page", TODAY, ids=name_of)
def test_verbs_and_options_exist(page: Path) -> None:
    for words in tacit_commands(page):
        verb, *others = words
        if verb.startswith("-"):
            continue
        assert verb in cli.COMMANDS, f"{name_of(page)} names a verb that is not there: {verb}"
        given = {word.partition("=")[0] for word in others if re.match(r"--?[a-z]", word)}
        assert given <= options_of(verb), f"{name_of(page)}: tacit {' '.join(words)}"
    scripts = options_of_scripts()
    every = frozenset[str]().union(*map(options_of, cli.COMMANDS), *scripts.values())
    alone = {span.split()[0].partition("=")[0] for span in read_spans(page) if span[:2] == "--"}
    assert alone <= every, f"{name_of(page)} names options of no verb and no script"
    for span in read_spans(page):
        if script := re.match(r"python (\S+\.py)", span):
            assert find_options(span) <= scripts[script[1]], f"{name_of(page)}: {span}"


def test_verbs_and_options_in_messages_and_docstrings_exist() -> None:
    for path in PACKAGE.rglob("*.py"):
        for span in re.findall(r"`tacit ([a-z][^`{]*)`", path.read_text(encoding="utf-8")):
            verb, *others = span.split()
            assert verb in cli.COMMANDS, f"{path.name} names a verb that is not there: {verb}"
            assert find_options(" ".join(others)) <= options_of(verb), f"{path.name}: {span}"


def config_keys() -> set[str]:
    keys = {f"phases.{key}" for key in Phase.model_fields}
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and hasattr(model, "model_fields"):
            keys |= {f"{section}.{key}" for key in model.model_fields}
    return keys | {f"method.{key}" for name in METHODS for key in hyperparameters(name)}


@pytest.mark.parametrize("page", TODAY, ids=name_of)
def test_keys_of_recipes_exist(page: Path) -> None:
    keys = config_keys()
    for span in read_spans(page):
        for word in re.findall(r"(?<![\w./-])(?:data|model|method|phases|run)\.[\w.]+\(?", span):
            section, first, *others = word.split(".")
            if first.isdecimal():  # one phase of several
                first = others[0]
            if word.endswith("(") or first in {"json", "onnx", "yaml", "safetensors", "pt"}:
                continue  # a call, or the name of a file
            if section == "method" and hasattr(Method, first):
                continue  # in Python
            assert f"{section}.{first}" in keys, f"{name_of(page)} names a key: {word}"


@pytest.mark.parametrize("page", TODAY, ids=name_of)
def test_files_and_modules_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for span in read_spans(page):
        for path in FILES.findall(span) if " " not in span or "python " in span else ():
            there = any((base / path).exists() for base in (ROOT, PACKAGE, ROOT / "recipes"))
            # Or an example, which a block of the page writes or which stands for files of yours.
            theirs = f"# {path}\n" in text or path.startswith(("path/", "my_", "file."))
            assert there or theirs, f"{name_of(page)} names a file that is not there: {path}"
        if re.fullmatch(r"tacit(\.\w+)+", span):
            assert find_name(span), f"{name_of(page)} names what is not there: {span}"


def find_name(dotted: str) -> bool:
    """Say whether a dotted name is a module, a thing in one, or a name that files bear."""
    if any(f'"{dotted}"' in path.read_text("utf-8") for path in PACKAGE.rglob("*.py")):
        return True
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        try:
            thing = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            thing = getattr(thing, word, None)
        return thing is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_counted_has_been_counted(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for pattern, number in COUNTED.items():
        for word in re.findall(pattern, text):
            if word.isdecimal() or word.lower() in NUMBERS:
                said = int(word) if word.isdecimal() else NUMBERS.index(word.lower())
                assert said == number, f"{name_of(page)}: {pattern} with {said}, not {number}"


def test_no_two_pages_have_the_same_title() -> None:
    titles = [page.read_text(encoding="utf-8").split("\n")[0] for page in PAGES[1:]]
    titles = [title for title in titles if title != "# tacit"]  # of the first page and README
    assert all(title.startswith("# ") for title in titles)
    assert len(set(titles)) == len(titles)


def test_the_readme_is_short_and_begins_with_an_image() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160
    below = [line for line in lines[1:] if line]
    assert below[1].startswith("!["), "what comes after the title is a sentence and an image"


def test_the_idea_shows_the_folders_as_they_are() -> None:
    page = ROOT / "docs" / "the-idea.md"
    tree = next(block.text for block in read_blocks(page) if block.text.startswith("src/tacit/"))
    folders, shown = [""], set()
    for line in tree.splitlines()[1:]:
        depth, (name, *words) = (len(line) - len(line.lstrip())) // 2, line.split()
        assert name.endswith("/") and words, f"{line} is no folder with a description"
        folders = [*folders[:depth], folders[depth - 1] + name]
        shown.add(folders[depth].rstrip("/"))
    there = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*/*.py")}
    assert shown == there - {"."}


def test_the_idea_says_who_may_know_whom() -> None:
    text = (ROOT / "docs" / "the-idea.md").read_text(encoding="utf-8")
    section = text.split("\n## Who may know whom\n")[1].split("\n## ")[0]
    rows = [[SPAN.findall(cell) for cell in line.split("|")] for line in section.splitlines()]
    floors = [(cells[2], cells[3]) for cells in rows if len(cells) > 4 and cells[2]]
    order = [part for parts, _ in floors for part in parts]
    assert sorted(order) == sorted(EDGES.keys() - NO_PARTS), "each part stands in the list once"
    for parts, unknown in floors:
        for part in parts:
            known = EDGES[part] - NO_PARTS
            assert known <= set(order[: order.index(part)]), f"{part} knows what comes after it"
            assert not known & set(unknown), f"{part} is said not to know {unknown}"
