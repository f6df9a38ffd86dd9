"""From a configuration to data and a learner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from tacit.config import Config, MethodConfig
from tacit.data.source import OfficialSplits, Source, Splits
from tacit.data.splits import load_splits
from tacit.devices import seed_generators
from tacit.distributed import first_process_first
from tacit.images.scaled import open_cache
from tacit.learner import Learner
from tacit.methods import build_method, method_class
from tacit.models import build_model, model_options
from tacit.types import Annotations


def read_splits(config: Config, official: OfficialSplits | None = None) -> Splits:
    """Read the data of a run, with the labels its method is meant for.

    Args:
        config: The run.
        official: The splits as they were read, if they are already in memory.
    """
    data = config.data
    labels = data.labels or method_class(config.method.name).labels
    prepare = partial(_scale_once, config=config) if data.cache else None
    with first_process_first():  # of several processes, one fills a cache that all of them read
        return load_splits(data, labels, prepare, official)


def _scale_once(source: Source, config: Config) -> Source:
    assert config.data.cache
    return open_cache(source, config.model.size, Path(config.data.cache))


def build_learner(config: Config, splits: Splits) -> Learner:
    """Build model and method, ready for the first step.

    Their first weights depend on ``run.seed`` alone. The random numbers of whoever calls go on as
    if nothing had happened; a training wants them to follow from its seed, see `seed_and_build`.
    """
    # Weights are drawn on the host, wherever they go afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.run.seed)
        return _build(config, splits)


def seed_and_build(config: Config, splits: Splits, device: torch.device) -> Learner:
    """Build the same, and let all random numbers that follow depend on ``run.seed``, too."""
    seed_generators(config.run.seed, device)
    return _build(config, splits)


def _build(config: Config, splits: Splits) -> Learner:
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    asked = config.model.model_dump(exclude={"head_bias"})
    model = build_model(classes=splits.train.classes, **asked)
    train_split = splits.train
    annotations = Annotations(train_split.labels, train_split.classes, train_split.images)
    method.setup(annotations)
    if _choose_head_bias(config) == "frequency":
        model.begin_at(method.expect(annotations))
    return Learner(model, method)


def _choose_head_bias(config: Config) -> Literal["random", "frequency"]:
    """A trunk that knows something needs few steps; no head should spend them on frequencies."""
    wanted = method_class(config.method.name).begins_at_frequency
    known = config.model.weights != "none"
    return config.model.head_bias or ("frequency" if wanted and known else "random")


def record_defaults(config: Config) -> Config:
    """Write every default of method and model into a configuration.

    A run keeps them when it is resumed or scored, whatever they are by then. With the labels that
    the method is meant for, who scores the run needs no method.
    """
    labels = config.data.labels or method_class(config.method.name).labels
    options = {**_recordable(model_options(config.model.name)), **config.model.options}
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"labels": labels}),
            "model": config.model.model_copy(
                update={"options": options, "head_bias": _choose_head_bias(config)}
            ),
            "method": resolve_hyperparameters(config.method),
        }
    )


def resolve_hyperparameters(method: MethodConfig) -> MethodConfig:
    """Return the same method with all its hyperparameters: defaults, under a preset, under options.

    What the preset means today is written out, so that it builds the same method ever after.
    """
    built = build_method(method.name, preset=method.preset, **method.options)
    resolved = {**_recordable(built.hyperparameters()), **method.options}
    return MethodConfig(name=method.name, preset=method.preset, **resolved)


def _recordable(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what no recipe could say, such as a function."""
    known = {}
    for name, value in defaults.items():
        with suppress(TypeError, ValueError):
            known[name] = json.loads(json.dumps(value))
    return known
