"""Rows of tables: what a name stands for, imported when it is asked for.

A place is written ``package.module:Name``, or ``path/to/file.py:Name`` for code in a file of its
own. Rows of our tables name their places like this, and so may a user instead of a name in a table.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tacit.errors import UsageError, nearest_name, unknown_name

TRUST = "TACIT_TRUST_CODE"

# Places outside that somebody asked for in this process, rather than a file that was read.
_asked_for: set[str] = set()


@dataclass(frozen=True)
class Row:
    """One row of a table; where no title is needed, the thing itself may stand in its stead.

    Attributes:
        target: The thing, or the place it is imported from; without ``:Name``, a whole module.
        title: What it is, in a line.
    """

    target: Any
    title: str

    def load(self) -> Any:
        """Return the thing, imported if need be."""
        if not isinstance(self.target, str):
            return self.target
        module, _, name = self.target.partition(":")
        imported = importlib.import_module(module)
        return getattr(imported, name) if name else imported


def title_of(entry: Any) -> str:
    """Return the title of an entry of a table, which may be a row or the thing itself."""
    return entry.title if isinstance(entry, Row) else getattr(entry, "__name__", repr(entry))


def find(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """Return what a name in a table stands for, or what lies at a place outside."""
    if not isinstance(name, str):
        raise UsageError(f"A {kind} is asked for by its name, not by {name!r:.80}.")
    if name in table:
        entry = table[name]
        return entry.load() if isinstance(entry, Row) else entry
    if not is_place(name):
        raise unknown_name(kind, name, table)
    found = _load_place(kind, name)
    _asked_for.add(full_name(name))
    return found


def check_class(kind: str, name: str, found: Any, base: type) -> None:
    """Refuse what is not derived from the class that all of its kind are derived from."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(
            f"'{name}' is no {kind}: derive a class from {base.__module__}.{base.__name__}."
        )


def check_options(
    whose: str, options: Iterable[str], function: Callable[..., Any], more: Iterable[str] = ()
) -> None:
    """Refuse options that a function does not take; they come from a recipe and may be misspelt."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for option in options:
        if option not in parameters:
            raise unknown_name(f"option of {whose}", option, [*parameters, *more])


def is_place(name: str) -> bool:
    """Whether a name is written as a place outside our tables."""
    return ":" in name or name.endswith(".py")


def full_name(name: str) -> str:
    """Write a place so that it is found again from any folder; other names stay as they are."""
    where, colon, what = name.rpartition(":")
    return f"{Path(where).expanduser().absolute()}:{what}" if colon and _is_file(where) else name


def short_name(name: str) -> str:
    """Return what to call a place in titles and folders; other names stay as they are."""
    return name.rpartition(":")[2] if is_place(name) else name


def require_trust(kind: str, name: str, where: Path) -> None:
    """Refuse to run code only because a file from somebody may name it."""
    if not is_place(name) or full_name(name) in _asked_for:
        return
    if os.environ.get(TRUST) != "1":
        raise UsageError(
            f"{where} asks for the {kind} {name}, which is code outside of tacit that would be "
            f"run. If you know it, say so by setting {TRUST}=1."
        )


def _is_file(where: str) -> bool:
    return where.endswith(".py") or "/" in where or "\\" in where


def _load_place(kind: str, name: str) -> Any:
    where, colon, what = name.rpartition(":")
    if not colon or not where or not what:
        raise UsageError(
            f"'{name}' does not say which {kind} is meant; write path/to/file.py:Name or "
            f"package.module:Name."
        )
    module = _load_file(kind, Path(where).expanduser()) if _is_file(where) else _load_module(where)
    if hasattr(module, what):
        return getattr(module, what)
    near = nearest_name(what, vars(module))
    hint = f" did you mean '{near}'?" if near else " what is it called there?"
    raise UsageError(f"There is no '{what}' in {where};{hint}")


def _load_module(where: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:  # whatever others write
        if isinstance(error, ModuleNotFoundError) and error.name and where.startswith(error.name):
            raise UsageError(
                f"There is no module '{error.name}' to import; install it, put its folder on "
                f"PYTHONPATH, or name a file: path/to/file.py:Name."
            ) from error
        raise UsageError(f"{where} cannot be imported: {_say(error)}.") from error


def _load_file(kind: str, file: Path) -> ModuleType:
    path = file.absolute()
    if not path.is_file():
        raise UsageError(
            f"There is no file {file} for the {kind} to come from. If it was moved, put it back, "
            f"or correct the path where it is written; for a run that is its run.json."
        )
    # Its own name, so that it hides no module; known by it, so that it is run once.
    name = f"tacit_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file; its name must end in .py.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever others write
        del sys.modules[name]
        raise UsageError(f"{file} cannot be imported: {_say(error, path)}.") from error
    return module


def _say(error: BaseException, path: Path | None = None) -> str:
    """Say what went wrong in somebody's code and, where it is one file, in which line."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path and frame.filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {str(error).rstrip('.')}{place}"
