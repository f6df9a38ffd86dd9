"""A run: one training and its folder."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import tacit
from tacit.config import Config
from tacit.data import Splits, check_data_name, load_splits
from tacit.data.loader import evaluation_loader
from tacit.data.transforms import VIEWS
from tacit.devices import choose_device
from tacit.errors import DataError, UsageError, unknown_name
from tacit.evaluation.evaluate import predict, score
from tacit.files import write_text
from tacit.methods import build_method, method_class
from tacit.methods.base import Labels, Learner
from tacit.models import build_model, check_model_name
from tacit.models.artefact import load_model, read_config
from tacit.ops import own_share
from tacit.registry import full_name, is_place, require_trust, short_name
from tacit.training.computing import check_computing
from tacit.training.features import check_features
from tacit.training.feeds import EVALUATION_BATCH
from tacit.training.holding import check_hold
from tacit.training.processes import (
    first_alone,
    is_first,
    join_batch_norm,
    part_randomly,
    together,
    wait_for_all,
)
from tacit.training.report import Reporter, Silent
from tacit.training.sharding import check_shard
from tacit.training.trainer import Trainer
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
        cache=(Path(data.cache), config.model.size) if data.cache else None,
    )


def complete(config: Config) -> Config:
    """Check every name in a configuration, and give the model what the method asks of it.

    What the recipe says of the model comes before what the method asks.
    """
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    check_data_name(config.data.name)
    check_model_name(config.model.name)
    for view in method.views:
        if view not in VIEWS:
            raise unknown_name(f"view for method '{config.method.name}'", view, VIEWS)
    if config.data.mix != "none" and method.keeps_table:
        raise UsageError(
            f"Method '{config.method.name}' remembers every single image, and a mixture of two is "
            f'neither; set data.mix = "none".'
        )
    check_features(config, method)
    check_hold(config, method)
    check_shard(config)
    check_computing(config, method)
    said = config.model.model_fields_set
    asked = {key: value for key, value in method.model_options.items() if key not in said}
    completed = config.model_copy(update={"model": config.model.model_copy(update=asked)})
    return _with_full_names(completed, method.labels)


def _with_full_names(config: Config, labels: Labels) -> Config:
    """Write places of a user's own code so that they are found again from any folder.

    With the labels that such a method is meant for, who scores the run later needs no method.
    """
    data: dict[str, Any] = {}
    if is_place(config.method.name):
        data["labels"] = config.data.labels or labels
    if is_place(str(config.data.options.get("format", ""))):
        reader = full_name(str(config.data.options["format"]))
        data["options"] = {**config.data.options, "format": reader}
    changes = {
        "data": data,
        "model": {"name": full_name(config.model.name)} if is_place(config.model.name) else {},
        "method": {"name": full_name(config.method.name)} if is_place(config.method.name) else {},
    }
    return config.model_copy(
        update={
            table: getattr(config, table).model_copy(update=changed)
            for table, changed in changes.items()
            if changed
        }
    )


def build_learner(config: Config, splits: Splits) -> Learner:
    """Build model and method, ready for the first step."""
    torch.manual_seed(config.run.seed)
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    model = build_model(classes=splits.train.classes, **config.model.model_dump())
    train_part = splits.train
    method.setup(Annotations(train_part.labels, train_part.classes, train_part.images))
    return Learner(model, method)


def train(
    config: Config,
    folder: Path,
    *,
    resume: bool = False,
    splits: Splits | None = None,
    reporter: Reporter | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Train, keep the best model, score it once on the test part, and return the record.

    Started by `torchrun`, all its processes train one model together, and all return the record.

    Args:
        config: What to do.
        folder: The run folder. It must be new or empty unless a run is resumed.
        resume: Go on from the last checkpoint.
        splits: The data, if it is already in memory.
        reporter: Told about progress.
        title: What the reporter calls the run; the method's name if None.
    """
    with together():
        return _train(config, folder, resume, splits, reporter or Silent(), title)


def _check_folder(folder: Path, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder; choose another --out.")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"The folder {folder} is not empty; choose another --out, or --resume the run in it."
        )
    if resume and not (folder / "run.json").exists():
        raise DataError(f"There is no run in {folder} to resume.")


def _train(
    config: Config,
    folder: Path,
    resume: bool,
    splits: Splits | None,
    reporter: Reporter,
    title: str | None,
) -> dict[str, Any]:
    _check_folder(folder, resume)
    config = complete(config)
    device = choose_device(config.run.device)
    splits = splits or read_splits(config)
    learner = build_learner(config, splits)
    if config.run.sync_batch_norm:
        join_batch_norm(learner.model, device)
    part_randomly(config.run.seed)
    reporter.start_run(title or short_name(config.method.name))
    trainer = Trainer(learner, splits, config, folder, device, reporter)
    wait_for_all()  # nobody writes before everybody has looked
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "device": str(device),
        "data": splits.train.describe(),
        "fingerprint": trainer.identity.data,
        "weights": learner.model.recipe["weights"],  # type: ignore[index]
    }
    if not resume:
        _write(folder, record)
    best = trainer.fit(resume)
    wait_for_all()  # the best model is written
    record["result"] = evaluate(folder, splits, config) | {"best": best}
    _write(folder, record)
    return record


def _write(folder: Path, record: dict[str, Any]) -> None:
    if is_first():
        write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")


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
    _same_data(folder, splits)
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


def _same_data(folder: Path, splits: Splits) -> None:
    """Refuse to score a run on data that it was not trained beside."""
    path = folder / "run.json"
    if not path.is_file():
        return
    trained = json.loads(path.read_text(encoding="utf-8")).get("fingerprint")
    found = splits.train.fingerprint()
    if trained and trained != found:
        raise DataError(
            f"The run in {folder} was trained on other data than '{splits.train.name}' as it is "
            f"now (fingerprint {trained}, not {found}); a score would mean nothing."
        )


def open_run(folder: Path, resume: bool = False) -> Config:
    """Read the configuration of a run folder.

    Args:
        folder: The run folder.
        resume: Whether it is to be trained on, with its method. Who only scores a run does not
            mean to run code that it names, such as a reader of one's own.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise DataError(f"There is no run in {folder} (run.json is missing).")
    try:
        config = Config.model_validate(json.loads(path.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:  # no JSON, or no configuration of ours
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not hold the configuration of a run: {reason}.") from error
    if not resume:
        require_trust("format", str(config.data.options.get("format", "")), path)
        if config.data.labels is None:  # which then only the method's class can say
            require_trust("method", config.method.name, path)
    return config


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    return {
        "tacit": tacit.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
