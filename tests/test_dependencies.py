"""What is installed for everybody is what the package imports, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

from tacit.models.trunks.packaged import PACKAGES

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Projects whose modules are called otherwise.
MODULES = {
    "mlflow-skinny": "mlflow",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "open-clip-torch": "open_clip",
    "scikit-learn": "sklearn",
}


def read_imports() -> set[str]:
    """Return the outermost packages that the sources import, the standard library left out."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"tacit"}


def name_modules(requirements: list[str]) -> set[str]:
    """Return the modules that requirements such as ``ray[data]>=2.60`` bring."""
    projects = [re.split(r"[^\w.-]", line)[0] for line in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in projects}


def test_the_package_imports_what_it_asks_for_and_asks_for_what_it_imports() -> None:
    always = name_modules(PROJECT["dependencies"])
    optional = dict(PROJECT["optional-dependencies"])
    weights = [re.split(">=", line)[0] for line in optional.pop("weights")]
    assert weights == list(PACKAGES.values())  # read as files; their code is never imported
    extras = [name_modules(lines) for lines in optional.values()]
    assert always | set[str]().union(*extras) == read_imports()
    assert all(always.isdisjoint(extra) for extra in extras)


def test_every_dependency_says_from_which_version_on() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for lines in extras for line in lines)]:
        assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+", line), line
