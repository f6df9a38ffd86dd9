"""Scoring the model of a run folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.devices import choose_device
from tacit.distributed import exchange_shares, own_share
from tacit.errors import DataError, nearest_name
from tacit.evaluation.evaluate import predict, score
from tacit.evaluation.known import score_known
from tacit.features.compute import build_reading, compute_features, empty_features
from tacit.images.loader import EVALUATION_BATCH, build_evaluation_loader
from tacit.losses import full_precision
from tacit.models.artefact import load_model, read_config, read_thresholds
from tacit.runs.folder import Run


def predict_split(
    model: Any, source: Source, config: Config, device: torch.device
) -> NDArray[np.float32]:
    """Return what a model says of a split, (N, C) probabilities, by stored features if it can."""
    own = own_share(len(source))
    exact = config.data.reading == "exact"  # scores are of exactly scaled images, in any case
    if config.data.store and exact and config.phases[-1].features == "pooled":
        return predict_from_features(model, source, config, device)
    loader = build_evaluation_loader(
        source, model.size, EVALUATION_BATCH, config.data.workers, rows=own
    )
    return predict(model, loader, device, config.run.precision)


def predict_from_features(
    model: Any, source: Source, config: Config, device: torch.device
) -> NDArray[np.float32]:
    """Return the same from pooled features, which are read from the store or added to it."""
    model.eval()
    reading = build_reading(model, config, device, pooled=True)
    features = compute_features(reading, source, own_share(len(source)), empty_features)
    exchange_shares(features)
    with torch.inference_mode():
        logits = full_precision(model.logits_from(features.to(device)))
        probabilities: NDArray[np.float32] = logits.sigmoid().float().cpu().numpy()
    return probabilities


def evaluate(folder: Path, splits: Splits, config: Config, split: str = "test") -> dict[str, Any]:
    """Score the model of a run folder on one split of its data."""
    source = getattr(splits, split)
    classes = read_config(folder)["model"]["classes"]
    if tuple(classes) != source.classes:
        raise DataError(
            f"The model in {folder} knows {len(classes)} classes, but "
            f"'{source.name}' has {len(source.classes)} or others in another order."
        )
    Run(folder).check_same_data(splits)
    return {**_evaluate(folder, source, config), "split": split}


def evaluate_on(folder: Path, source: Source, config: Config) -> dict[str, Any]:
    """Score the model of a run folder on other images; classes are matched by their names.

    Classes that only the model or only the source knows are named, and are in no score.
    """
    classes = tuple(read_config(folder)["model"]["classes"])
    missing = [name for name in classes if name not in source.classes]
    extra = [name for name in source.classes if name not in classes]
    if len(missing) == len(classes):
        near = nearest_name(extra[0], classes)
        hint = f" (is '{extra[0]}' its '{near}'?)" if near else ""
        raise DataError(
            f"'{source.name}' has none of the {len(classes)} classes that the model in {folder} "
            f"knows{hint}; there is nothing to score."
        )
    found = _evaluate(folder, source, config)
    return {**found, "data": source.name, "missing_classes": missing, "extra_classes": extra}


def _evaluate(folder: Path, source: Source, config: Config) -> dict[str, Any]:
    device = choose_device(config.run.device)
    saved = read_config(folder)
    model = load_model(folder).to(device)
    probabilities = predict_split(model, source, config, device)
    shared = [name for name in model.classes if name in source.classes]
    columns = [model.classes.index(name) for name in shared]
    labels = source.labels if source.truth is None else source.truth
    truth = labels.dense()[:, [source.classes.index(name) for name in shared]]
    said, thresholds = probabilities[:, columns], read_thresholds(folder)[columns]
    decisions = saved.get("decisions") or {}
    return {
        **asdict(score(said, truth, tuple(shared))),
        "selection": (saved.get("best") or {}).get("selection", "unknown"),
        "known": asdict(score_known(said, truth, shared, thresholds)),
        "decided": {
            "labels_per_image": float((probabilities >= read_thresholds(folder)).sum(1).mean()),
            "goal": decisions.get("goal"),
            "rests_on": decisions.get("rests_on"),
            "expected": decisions.get("expected"),
        },
    }
