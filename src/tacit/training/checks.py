"""What settings of a run do not go together, said before anything is read or built."""

from __future__ import annotations

from typing import Any

import torch

from tacit.config import Config
from tacit.errors import UsageError
from tacit.evaluation.goals import parse_goal
from tacit.learner import Learner
from tacit.methods.base import Method
from tacit.modes import evaluating


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
        if "trunk" not in phase.freeze:
            raise UsageError(
                f"{asked} computes the trunk's features once, but there the trunk goes on "
                f'learning; add "trunk" to phases.{number}.freeze.'
            )
        if method.makes_images:
            raise UsageError(
                f"Method '{config.method.name}' shows the model images of its own making, of "
                f'which no features can be stored; set phases.{number}.features = "fresh".'
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


def find_toy_trunk(config: Config) -> str | None:
    """Say that photographs are about to be read by the trunk of generated images."""
    model, data = config.model, config.data
    if model.trunk != "tiny" or data.name == "scenes" or "trunk" in model.model_fields_set:
        return None
    return (
        f"The trunk 'tiny' is made for generated images, and sees {data.name} at {model.size} "
        f"pixels with weights that know nothing. For photographs use --preset quick, or name a "
        f"trunk with --trunk and its weights with --weights."
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
