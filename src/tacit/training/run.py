"""A run: one training and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacit.config import Config
from tacit.data import check_data_name
from tacit.data.source import Splits
from tacit.devices import choose_device
from tacit.distributed import wait_for_all
from tacit.errors import UsageError, unknown_name
from tacit.images.views import VIEWS
from tacit.methods import build_method
from tacit.methods.base import Labels
from tacit.models import check_model_name
from tacit.registry import full_name, is_place, short_name
from tacit.runs.build import build_learner, read_splits
from tacit.runs.folder import check_folder, versions, write_record
from tacit.runs.score import evaluate
from tacit.training.checks import check_settings
from tacit.training.context import build_context
from tacit.training.parallel import join_batch_norm, process_group, seed_apart
from tacit.training.report import Reporter, Silent
from tacit.training.trainer import Trainer


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
    check_settings(config, method)
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
    with process_group():
        return _train(config, folder, resume, splits, reporter or Silent(), title)


def _train(
    config: Config,
    folder: Path,
    resume: bool,
    splits: Splits | None,
    reporter: Reporter,
    title: str | None,
) -> dict[str, Any]:
    check_folder(folder, resume)
    config = complete(config)
    device = choose_device(config.run.device)
    splits = splits or read_splits(config)
    learner = build_learner(config, splits)
    if config.run.sync_batch_norm:
        join_batch_norm(learner.model, device)
    seed_apart(config.run.seed)
    reporter.start_run(title or short_name(config.method.name))
    context = build_context(learner, splits, config, folder, device)
    trainer = Trainer(context, reporter)
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
        write_record(folder, record)
    best = trainer.fit(resume)
    wait_for_all()  # the best model is written
    record["result"] = evaluate(folder, splits, config) | {"best": best}
    write_record(folder, record)
    return record
