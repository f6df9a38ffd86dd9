"""Weights of a trunk from a file: whose names they carry, and what of them fits."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tacit.errors import DataError, UsageError
from tacit.models.trunks.tensor_names import from_torchvision, strip

State = Mapping[str, Tensor]

ENOUGH = 0.9
"""Share of a trunk's tensors that a file must hold; with fewer it is of another network."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher", "student")
"""Names under which checkpoints keep weights beside other things."""

# What modules of timm call the function that turns published names and shapes into timm's.
CONVERTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")


def load_weights(network: nn.Module, name: str, path: Path) -> dict[str, Any]:
    """Load a trunk's weights from a file, and say what did and what did not load.

    Names may have the prefixes of training code, may be torchvision's, or those under which the
    authors published their weights, as far as timm knows them. Embeddings of positions are
    resampled for the size the trunk is built for.

    Args:
        network: The network; it has no classifier.
        name: What timm calls it.
        path: A safetensors or pth file.
    """
    if not path.is_file():
        raise UsageError(
            f'There is no weights file at {path}; use "hub", "package", "none" or a file.'
        )
    return fit_weights(network, name, read_tensors(path), path.name)


def fit_weights(
    network: nn.Module, name: str, state: State, source: str, licence: str = "not stated"
) -> dict[str, Any]:
    """Load tensors into a trunk under whatever names they come, and record what fits."""
    state = translate(network, name, state)
    expected = drop_counters(network.state_dict())
    fitting = {k: v for k, v in state.items() if k in expected and v.shape == expected[k].shape}
    other_shape = sorted(k for k, v in state.items() if k in expected and k not in fitting)
    missing = [key for key in expected if key not in state]
    record = {
        "source": source,
        "licence": licence,
        "loaded": len(fitting),
        "missing": missing,
        "other_shape": other_shape,
        "unused": sorted(set(drop_counters(state)) - set(expected)),
    }
    said = (
        f"{len(fitting)} of {len(expected)} tensors fit, {len(missing)} are missing"
        f"{name_first(missing)}, {len(other_shape)} have another shape{name_first(other_shape)}"
    )
    if len(fitting) < ENOUGH * len(expected):
        raise UsageError(
            f"{source} does not hold the weights of '{name}': {said}. It seems to be of "
            f"another network; its names begin with {', '.join(sorted(state)[:3])}."
        )
    if missing or other_shape:
        warnings.warn(
            f"{source} does not hold all weights of '{name}': {said}; those begin random.",
            stacklevel=3,
        )
    own = network.state_dict()
    network.load_state_dict({k: v.to(own[k].dtype) for k, v in fitting.items()}, strict=False)
    return record


def name_first(names: Iterable[str], count: int = 3) -> str:
    """Name the first few in brackets, if there are any."""
    named = list(names)
    if not named:
        return ""
    return f" ({', '.join(named[:count])}{', …' if len(named) > count else ''})"


def drop_counters(state: State) -> dict[str, Tensor]:
    """Leave out counters of batches, which older files do not have and inference does not read."""
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def translate(network: nn.Module, name: str, state: State) -> State:
    """Rename tensors, and reshape them where timm knows how, until they fit a network best."""
    expected = network.state_dict()
    bare = strip(state, expected)
    renamed = from_torchvision(name, state)
    candidates = [
        bare,
        _convert(network, bare),
        _convert(network, state),
        renamed,
        _convert(network, renamed),
    ]
    return max(candidates, key=lambda each: _fitting(each, expected))


def _fitting(state: State, expected: State) -> int:
    return sum(k in expected and v.shape == expected[k].shape for k, v in state.items())


def _convert(network: nn.Module, state: State) -> State:
    """Let timm translate published weights for a network, if it has a way to."""
    module = sys.modules[type(network).__module__]
    converter: Any = next(filter(None, (getattr(module, n, None) for n in CONVERTERS)), None)
    if converter is None:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what timm uses inside; nobody here can change it
            try:
                found = converter(dict(state), network)
            except TypeError:  # some take no network
                found = converter(dict(state))
    except Exception:  # it was written for its own weights, and fails on others in any way
        return {}
    return {k: v for k, v in found.items() if isinstance(v, Tensor)}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name; code that a file may hold is never run."""
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both fail in as many ways as a file can be damaged
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path.name} cannot be read as weights: {reason}") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise DataError(f"{path.name} holds a {type(state).__name__}, not tensors by name.")
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise DataError(f"{path.name} holds no tensors by name.")
    return tensors
