"""Recipes that come with the package: what to train with when nobody has said."""

from __future__ import annotations

from pathlib import Path

from tacit.errors import unknown_name

FOLDER = Path(__file__).parent


def list_presets() -> list[str]:
    """Return the names of the presets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_preset(name: str) -> Path:
    """Return the recipe of a preset."""
    if name not in list_presets():
        raise unknown_name("preset", name, list_presets())
    return FOLDER / f"{name}.toml"
