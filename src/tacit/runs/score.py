"""Scoring the model of a run folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tacit.config import Config
from tacit.data.source import Splits
from tacit.devices import choose_device
from tacit.distributed import own_share
from tacit.errors import DataError
from tacit.evaluation.evaluate import predict, score
from tacit.images.loader import EVALUATION_BATCH, evaluation_loader
from tacit.models.artefact import load_model, read_config
from tacit.runs.folder import Run


def evaluate(folder: Path, splits: Splits, config: Config, split: str = "test") -> dict[str, Any]:
    """Score the model of a run folder on one part of its data."""
    device = choose_device(config.run.device)
    saved = read_config(folder)
    source = getattr(splits, split)
    if tuple(saved["model"]["classes"]) != source.classes:
        raise DataError(
            f"The model in {folder} knows {len(saved['model']['classes'])} classes, but "
            f"'{source.name}' has {len(source.classes)} or others in another order."
        )
    Run(folder).check_same_data(splits)
    model = load_model(folder).to(device)
    own = own_share(len(source))
    loader = evaluation_loader(source, model.size, EVALUATION_BATCH, config.data.workers, rows=own)
    probabilities = predict(model, loader, device, config.run.precision)
    labels = source.labels if source.truth is None else source.truth
    scores = score(probabilities, labels.dense(), source.classes)
    return {
        **asdict(scores),
        "split": split,
        "selection": saved.get("best", {}).get("selection", "unknown"),
    }
