"""From a configuration to data and a learner."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.data.splits import load_splits
from tacit.distributed import first_alone
from tacit.images.scaled import cached
from tacit.learner import Learner
from tacit.methods import build_method, method_class
from tacit.models import build_model
from tacit.types import Annotations


def read_splits(config: Config) -> Splits:
    """Read the data of a run, with the labels its method is meant for."""
    with first_alone():  # of several processes, one fills a cache that all of them read
        return _read_splits(config)


def _read_splits(config: Config) -> Splits:
    data = config.data
    labels = data.labels or method_class(config.method.name).labels
    return load_splits(
        data.name,
        options=data.options,
        positives=data.positives,
        negatives=data.negatives,
        draw_seed=data.draw_seed,
        split_seed=data.split_seed,
        validation=data.validation,
        test=data.test,
        validation_labels=data.validation_labels,
        labels=labels,
        prepare=partial(_scale_once, config=config) if data.cache else None,
    )


def _scale_once(source: Source, config: Config) -> Source:
    assert config.data.cache
    return cached(source, config.model.size, Path(config.data.cache))


def build_learner(config: Config, splits: Splits) -> Learner:
    """Build model and method, ready for the first step."""
    torch.manual_seed(config.run.seed)
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    model = build_model(classes=splits.train.classes, **config.model.model_dump())
    train_part = splits.train
    method.setup(Annotations(train_part.labels, train_part.classes, train_part.images))
    return Learner(model, method)
