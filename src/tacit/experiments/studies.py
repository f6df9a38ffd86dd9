"""Grids that come with tacit: the tables and figures of the papers, by name."""

from __future__ import annotations

from pathlib import Path

from tacit.config import load_recipe
from tacit.errors import UsageError, unknown_name

PACKAGE = Path(__file__).parent.parent

# In an installed package the grids lie inside it, in a checkout where they are written.
FOLDERS = (PACKAGE / "studies", PACKAGE.parents[1] / "studies" / "grids")


def list_studies() -> dict[str, Path]:
    """Return the grids by name; what has no table [compare] is a recipe that lies under them."""
    files = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.toml"))}
    return {name: path for name, path in files.items() if "compare" in load_recipe(path)}


def find_study(grid: Path) -> Path:
    """Return a grid that is a file, or the study of that name."""
    if grid.exists() or grid.suffix or len(grid.parts) > 1:
        return grid
    studies = list_studies()
    if grid.name not in studies:
        raise unknown_name("study", grid.name, list(studies))
    return studies[grid.name]


def find_ablation(method: str) -> Path:
    """Return the study that switches off the parts of a method one by one."""
    found = {
        str(ablated): path
        for path in list_studies().values()
        if (ablated := load_recipe(path)["compare"].get("ablates"))
    }
    if method not in found:
        listed = ", ".join(found)
        raise UsageError(
            f"There is no study of the parts of '{method}'; there is one of: {listed}. Write your "
            f"own as a grid with a table of [rows] for each part."
        )
    return found[method]
