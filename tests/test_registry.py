"""Tables and their rows, and code from outside that is named by its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tacit.benchmarks import BENCHMARKS
from tacit.cli import COMMANDS
from tacit.data import SOURCES
from tacit.data.formats import FORMATS
from tacit.errors import UsageError
from tacit.methods import METHODS
from tacit.models import MODELS
from tacit.registry import (
    Row,
    check_class,
    check_options,
    find,
    full_name,
    is_place,
    require_trust,
    short_name,
    title_of,
)

TABLES: dict[str, Any] = {
    "benchmarks": BENCHMARKS,
    "commands": COMMANDS,
    "data sets": SOURCES,
    "formats": FORMATS,
    "methods": METHODS,
    "models": MODELS,
}
ROWS = [(table, name) for table, rows in TABLES.items() for name in rows]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TACIT_TRUST_CODE", raising=False)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_every_row_leads_somewhere(table: str, name: str) -> None:
    row = TABLES[table][name]
    assert isinstance(row, Row) and row.title
    found = row.load()
    assert callable(found) or callable(found.read)


def test_a_row_may_hold_the_thing_itself_and_a_table_too() -> None:
    thing = object()
    table = {"row": Row(thing, "A thing"), "plain": thing, "type": Path}
    assert find("thing", "row", table) is find("thing", "plain", table) is thing
    assert title_of(table["row"]) == "A thing" and title_of(Path) == "Path"


def test_a_name_in_no_table_brings_up_the_nearest() -> None:
    with pytest.raises(UsageError, match="no thing called 'rwo'; did you mean 'row'"):
        find("thing", "rwo", {"row": 1})


def test_a_file_is_run_once_and_found_from_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(folder / "code" / "own.py", "class Own:\n    pass\n")
    found = find("thing", "code/own.py:Own", {})
    assert found.__name__ == "Own"
    assert find("thing", f"{file}:Own", {}) is found
    monkeypatch.chdir(folder / "code")
    assert find("thing", "own.py:Own", {}) is found
    assert find("thing", "../code/own.py:Own", {}).__name__ == "Own"


def test_a_package_is_named_by_its_dots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "a_package" / "__init__.py", "")
    write(folder / "a_package" / "inside.py", "def own(): return 3\n")
    monkeypatch.syspath_prepend(folder)
    assert find("thing", "a_package.inside:own", {})() == 3


def test_places_are_written_in_full_and_called_by_what_is_there(folder: Path) -> None:
    assert full_name("own.py:Own") == f"{folder / 'own.py'}:Own"
    assert full_name(f"{folder / 'own.py'}:Own") == f"{folder / 'own.py'}:Own"
    assert full_name("~/own.py:Own") == f"{Path.home() / 'own.py'}:Own"
    for same in ("ignore", "package.module:Own", "own.py"):
        assert full_name(same) == same
    assert [short_name(name) for name in ("ignore", "a.b:Own", "d/own.py:Own")] == [
        "ignore",
        "Own",
        "Own",
    ]
    assert [is_place(name) for name in ("ignore", "a.b:Own", "own.py")] == [False, True, True]


BROKEN = {
    "def f(:\n": r"own.py cannot be imported: SyntaxError: .*line 1",
    "x = 1\nraise ValueError('no luck.')\n": r"imported: ValueError: no luck \(line 2\)\.",
    "import there_is_no_such\n": r"ModuleNotFoundError: No module .* \(line 1",
    "raise SystemExit(3)\n": r"cannot be imported: SystemExit: 3 \(line 1\)\.",
    "Other = 1\nOwns = 2\n": r"There is no 'Own' in own\.py; did you mean 'Owns'\?",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(folder: Path, text: str) -> None:
    write(folder / "own.py", text)
    with pytest.raises(UsageError, match=BROKEN[text]):
        find("thing", "own.py:Own", {})


def test_a_file_may_be_mended_and_asked_for_again(folder: Path) -> None:
    write(folder / "own.py", "raise ValueError")
    with pytest.raises(UsageError):
        find("thing", "own.py:Own", {})
    write(folder / "own.py", "class Own:\n    pass  # mended\n")
    assert find("thing", "own.py:Own", {}).__name__ == "Own"


def test_what_is_not_there_is_said_in_a_sentence(folder: Path) -> None:
    write(folder / "own.txt", "class Own: pass")
    for name, message in {
        "gone.py:Own": r"no file gone.py for the thing to come from.*put it back, or correct",
        "code/gone:Own": r"no file code/gone for the thing",
        "./own.txt:Own": r"own.txt is no Python file; its name must end in .py",
        "there_is_no.such:Own": r"no module 'there_is_no' to import; install it.*file.py:Name",
        "own.py": r"'own.py' does not say which thing is meant; write path/to/file.py:Name",
        "own.py:": r"does not say which thing",
        ":Own": r"does not say which thing",
    }.items():
        with pytest.raises(UsageError, match=message):
            find("thing", name, {})


def test_a_class_of_another_kind_is_refused() -> None:
    check_class("path", "p:Path", Path, os.PathLike)
    for other in (int, 3, Path()):
        with pytest.raises(UsageError, match=r"'p:X' is no path: derive a class from os\.PathLike"):
            check_class("path", "p:X", other, os.PathLike)


def test_options_that_a_function_does_not_take_are_refused() -> None:
    def read(path: Path, *, images: str = "") -> None: ...

    def anything(**options: Any) -> None: ...

    check_options("it", ["images"], read)
    check_options("it", ["whatever"], anything)
    with pytest.raises(UsageError, match="no option of it called 'imags'; did you mean 'images'"):
        check_options("it", ["imags"], read)
    with pytest.raises(UsageError, match="did you mean 'groups'"):
        check_options("it", ["group"], read, ["groups"])


def test_code_that_only_a_file_names_is_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "own.py", "Own = 1\n")
    for harmless in ("", "ignore", "table"):
        require_trust("thing", harmless, folder)
    for name in ("own.py:Own", "os:system"):
        with pytest.raises(UsageError, match="asks for the thing .* outside .*TACIT_TRUST_CODE=1"):
            require_trust("thing", name, folder)
    find("thing", "own.py:Own", {})  # somebody asked for it by name
    require_trust("thing", str(folder / "own.py") + ":Own", folder)
    monkeypatch.setenv("TACIT_TRUST_CODE", "1")
    require_trust("thing", "os:system", folder)
