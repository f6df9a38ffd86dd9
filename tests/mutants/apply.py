"""Importing a changed file in place of the real one, also in processes that a test starts."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from mutants.changes import build_mutant

SOURCE = Path(__file__).parents[2] / "src" / "tacit"
VARIABLE = "TACIT_MUTANT"


def install(key: str) -> None:
    """Import the changed file from now on, and tell processes to come to do so."""
    os.environ[VARIABLE] = key
    here = Path(__file__).parent
    found = [str(here / "site"), str(here.parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, found))
    name = key.split("::")[0]
    path = SOURCE / name
    changed = build_mutant(key, name, path.read_text(encoding="utf-8"))
    code = compile(changed, str(path), "exec")
    usual = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, module: str) -> CodeType | None:
        return code if Path(loader.path) == path else usual(loader, module)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
