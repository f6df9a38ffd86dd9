"""From a name to a trunk: built for a size, with its weights, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tacit.errors import UsageError, nearest_name
from tacit.models.trunks.layouts import NoMapError, find_working, list_neighbours
from tacit.models.trunks.networks import REFUSALS, TimmTrunk, TinyTrunk, join, read_stride
from tacit.models.trunks.packaged import check_packaged, load_packaged
from tacit.models.trunks.weights import load_weights

Colour = tuple[float, ...]


@dataclass(frozen=True)
class Built:
    """A trunk, and what is known of its weights.

    Attributes:
        trunk: Images in, a feature map out.
        record: Source and licence of the weights, and what did and did not load.
        colours: Mean and deviation that the weights were trained with, where timm notes them.
    """

    trunk: nn.Module
    record: dict[str, Any]
    colours: tuple[Colour, Colour] | None = None


def build_trunk(name: str, weights: str, options: Mapping[str, Any], size: int) -> Built:
    """Build a trunk for images of a size.

    Args:
        name: ``tiny`` or any timm name, with or without the tag of its weights.
        weights: ``none``, ``hub``, ``package``, or the path of a safetensors or pth file.
        options: Passed on to timm.
        size: Side of the images in pixels.
    """
    if name == "tiny":
        if weights != "none":
            raise UsageError('The tiny trunk has no published weights; set model.weights = "none".')
        if options:
            raise UsageError(f"The tiny trunk has no options; remove {', '.join(options)}.")
        return Built(TinyTrunk(), {"source": "none"})
    card = _card_of(name)
    if weights == "hub" and not card.has_weights:
        raise UsageError(
            f"timm has no published weights of '{name}'; give model.weights a file, or choose a "
            f"trunk from `timm.list_models(pretrained=True)`."
        )
    if weights == "package":
        check_packaged(name)
    with torch.inference_mode(False):  # what it is shown tells which parameters it reads
        trunk = _build(name, weights == "hub", options, size)
    if weights == "none":
        return Built(trunk, {"source": "none"})
    colours = (tuple(card.mean), tuple(card.std))
    if weights == "hub":
        record = {
            "source": card.hf_hub_id or card.url,
            "tag": card.tag,
            "licence": card.license or "not stated",
        }
        return Built(trunk, record, colours)
    if weights == "package":
        return Built(trunk, load_packaged(trunk.network, name), colours)
    return Built(trunk, load_weights(trunk.network, name, Path(weights)), colours)


def _card_of(name: str) -> Any:
    """Return what timm notes on a name's weights, or refuse a name that it does not know."""
    import timm
    from timm.models import get_pretrained_cfg

    bare, _, tag = name.partition(".")
    if not timm.is_model(bare):
        near = nearest_name(bare, ["tiny", *timm.list_models()])
        hint = f"did you mean '{near}'?" if near else "see `timm.list_models()`."
        raise UsageError(f"There is no trunk called '{name}'; {hint}")
    try:
        card = get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{bare}.*")]
        near = nearest_name(tag, tags) or ", ".join(tags)
        raise UsageError(
            f"There are no weights called '{tag}' of the trunk '{bare}'; did you mean "
            f"'{bare}.{near}'?"
        ) from error
    assert card is not None, "every model of timm has a card"
    return card


def _build(name: str, pretrained: bool, options: Mapping[str, Any], size: int) -> TimmTrunk:
    network = _create(name, pretrained, options, size)
    try:
        return TimmTrunk(name, network, size)
    except NoMapError as error:
        raise UsageError(
            f"The trunk '{name}' {error}, which every model here reads; choose one of those that "
            f"`tacit models` lists, such as 'resnet50'."
        ) from error
    except REFUSALS as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        found = _working_sizes(name, network, options, size)
        raise UsageError(
            f"The trunk '{name}' does not take images of {size} pixels"
            + (f" ({reason})" if reason else "")
            + (
                f"; set model.size to one that it takes: it takes {join(found)}, for example."
                if found
                else ", nor of any size near that was tried; choose another trunk."
            )
        ) from error


def _working_sizes(name: str, network: Any, options: Mapping[str, Any], size: int) -> list[int]:
    """Try sizes near one that does not work, and in the end the one timm notes."""

    def works(side: int) -> bool:
        try:
            TimmTrunk(name, _create(name, False, options, side), side)
        except (NoMapError, UsageError, *REFUSALS):
            return False
        return True

    native = int(network.pretrained_cfg["input_size"][-1])
    return find_working([*list_neighbours(size, read_stride(network)), native], works)


def _create(name: str, pretrained: bool, options: Mapping[str, Any], size: int) -> Any:
    """Let timm build a network, as free in the size of images as it can be."""
    import timm

    problem: Exception | None = None
    for extra in _ways(bool(_card_of(name).fixed_input_size), size):
        told = {"num_classes": 0, **extra, **options}
        try:
            return timm.create_model(name, pretrained=pretrained, **told)
        except TypeError as error:  # an option that this network does not have
            problem = error
        except AssertionError as error:  # one that it has, but not like this
            problem = problem if isinstance(problem, AssertionError) else error
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise UsageError(_cannot(name, error)) from error
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"The weights of '{name}' cannot be had from the hub: {reason}; give "
                f"model.weights a file that is on this machine, or none."
            ) from error
    assert problem is not None
    raise UsageError(_cannot(name, problem)) from problem


def _ways(fixed: bool, size: int) -> Iterator[dict[str, Any]]:
    """Say what to try: any size while running, then any size when built, then timm's own."""
    free = {"img_size": size, "dynamic_img_size": True}
    ways: list[dict[str, Any]] = [free, {"img_size": size, "strict_img_size": False}]
    # No pooling: heads decide how a map becomes logits. But some cannot be built without.
    for pooling in ({"global_pool": ""}, {}):
        for way in [*ways, {"img_size": size}, {}] if fixed else [{}]:
            yield {**pooling, **way}


def _cannot(name: str, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    return f"The trunk '{name}' cannot be built like this: {reason}."
