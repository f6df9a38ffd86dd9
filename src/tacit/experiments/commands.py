"""The command that a finished run would be trained with again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tacit.config import ModelConfig, resolve
from tacit.experiments.finished import FinishedRun, flatten
from tacit.methods import METHODS
from tacit.models import MODELS
from tacit.training.run import complete


def write_command(run: FinishedRun) -> str:
    """Return the `tacit train` that says all in which a run differs from the defaults.

    What cannot be said in a flag, such as no value where the default has one, is left out.
    """
    told = run.record["config"]
    usual = _find_usual(told)
    words = ["tacit", "train", "--method", str(told["method"]["name"])]
    if (preset := told["method"].get("preset")) is not None:
        words += ["--set", f"method.preset={_write(preset)}"]
    if (model := usual["model"]["name"]) != ModelConfig().name:
        words += ["--set", f"model.name={_write(model)}"]
    phases = told["phases"]
    if len(phases) != len(usual["phases"]):
        words += ["--set", f"phases={_write(phases)}"]
        told = {**told, "phases": usual["phases"]}
    default = dict(flatten(usual))
    for key, value in flatten(told):
        if value != default.get(key) and value is not None and key != "method.name":
            words += ["--set", f"{key}={_write(value)}"]
    return shlex.join(words)


def _find_usual(told: dict[str, Any]) -> dict[str, Any]:
    """Return what a run of the same method and model does by default."""
    kept = ("method.name", "method.preset", "model.name")
    flat = dict(flatten({key: told.get(key) for key in ("method", "model")}))
    usual = resolve(settings=[(key, flat[key]) for key in kept if flat.get(key) is not None])
    # Only a class says what its options are by default, and somebody's own file is not run here.
    if usual.method.name in METHODS and usual.model.name in MODELS:
        usual = complete(usual)
    return usual.model_dump(mode="json")


def _write(value: Any) -> str:
    """Write a value as TOML, which has no word for none."""
    if isinstance(value, dict):
        pairs = (f"{key} = {_write(each)}" for key, each in value.items() if each is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
