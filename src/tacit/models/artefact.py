"""A trained model as two files: config.json and model.safetensors. Loading needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tacit.errors import DataError, TacitError, UsageError, unknown_name
from tacit.files import read_json, write_atomically, write_text
from tacit.models import build_model
from tacit.models.saved import FORMAT, find_fault
from tacit.ranges import checked
from tacit.registry import require_trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from tacit.models.base import Model


USUAL_THRESHOLD = 0.5
"""Of classes for which a model stores none."""

FILES = ("model.safetensors", "config.json")
"""What a saved model consists of. Weights come first, so that a config always has its weights."""


def check_loadable(model: Any, config: Mapping[str, Any] | None = None) -> None:
    """Refuse a model that could be saved but not loaded again.

    Args:
        model: The model.
        config: What is to be written of it; only how to build it if None.
    """
    recipe = getattr(model, "recipe", None)
    if not recipe:
        raise UsageError(
            f"A {type(model).__name__} cannot be saved so that it is loaded again: nobody knows "
            f"how to build it. Derive it from tacit.models.base.Model, and build it by "
            f"build_model(name='path/to/file.py:{type(model).__name__}', ...)."
        )
    fault = find_fault(config or {"format": FORMAT, "model": recipe})
    if fault is not None:
        raise UsageError(f"This {type(model).__name__} could not be loaded again: {fault}.")


@checked
def save_model(
    model: Model, folder: Path | str, state: Mapping[str, Tensor] | None = None, **extra: Any
) -> None:
    """Write a model to a folder.

    Args:
        model: The model.
        folder: Where to.
        state: Its ``state_dict``, if the model itself has only a share of it.
        extra: Further entries of the config.
    """
    from safetensors.torch import save

    folder = Path(folder)
    config = {"format": FORMAT, "model": getattr(model, "recipe", {}), **extra}
    check_loadable(model, config)
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict() if state is None else state
    state = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    weights = save(state)
    write_atomically(folder / "model.safetensors", lambda path: _write_bytes(path, weights))
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


@checked
def load_model(folder: Path | str) -> Model:
    """Read back a model that `save_model` wrote, ready for inference."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch.random import fork_rng

    folder = Path(folder)
    path = folder / "config.json"
    try:
        recipe = dict(read_config(folder)["model"])
        recipe.pop("weights")
        require_trust("model", str(recipe["name"]), path)
        with fork_rng(devices=[]):  # its first weights are drawn, and replaced at once
            model = build_model(**{**recipe, "classes": tuple(recipe["classes"])})
    except TacitError:
        raise
    except Exception as error:  # what networks say to options that make no sense
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataError(
            f"{path} describes no model that can be built ({reason}). If it was edited, undo that; "
            f"otherwise train the model again, or copy its folder anew."
        ) from error
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(line.strip() for line in str(error).split("\n")[:2])
        raise DataError(f"{folder / 'model.safetensors'} cannot be read: {reason}") from error
    return model.eval()


def read_config(folder: Path | str) -> dict[str, Any]:
    """Read the configuration of a saved model."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise DataError(
            f"{folder} holds no trained model (config.json is missing); "
            f"give the folder that `tacit train --out` wrote."
        )
    config: dict[str, Any] = read_json(path)
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT or "model" not in config:
        raise DataError(f"{path} has format {found}; this tacit reads {FORMAT}.")
    fault = find_fault(config)
    if fault is not None:
        raise DataError(f"{path} describes no model that can be built: {fault}.")
    return config


def write_decisions(
    folder: Path, thresholds: Mapping[str, float], decisions: Mapping[str, Any]
) -> None:
    """Store other thresholds, and what they rest on, beside a saved model."""
    config = {**read_config(folder), "thresholds": dict(thresholds), "decisions": dict(decisions)}
    fault = find_fault(config)
    if fault is not None:
        raise UsageError(f"These decisions could not be read again: {fault}.")
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


def read_thresholds(folder: Path, said: float | None = None) -> NDArray[np.float32]:
    """Return the probability from which on each class is decided, as the model stores it.

    Args:
        folder: Where the model is.
        said: The same for all classes, in place of what is stored.
    """
    config = read_config(folder)
    classes, stored = config["model"]["classes"], config.get("thresholds") or {}
    for name in stored:
        if name not in classes:
            raise unknown_name("class with a threshold", name, classes)
    chosen = [stored.get(name, USUAL_THRESHOLD) if said is None else said for name in classes]
    return np.array(chosen, dtype=np.float32)


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
