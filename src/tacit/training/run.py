"""A run: one training and its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tacit.config import Config
from tacit.data import IN_MEMORY, check_data_name
from tacit.data.source import Splits
from tacit.devices import choose_device, keeping_generators
from tacit.distributed import is_first, wait_for_all
from tacit.errors import UsageError, unknown_name
from tacit.evaluation.chance import compute_chance
from tacit.images.views import VIEWS
from tacit.methods import build_method
from tacit.models import check_model_name
from tacit.registry import full_name, is_place, short_name
from tacit.runs.build import read_splits, record_defaults, seed_and_build
from tacit.runs.decide import check_decide
from tacit.runs.folder import FORMAT, Run, versions
from tacit.runs.score import evaluate
from tacit.training.automatic import choose_automatic
from tacit.training.checks import check_settings, check_trunk, find_blind_spot, find_slow_precision
from tacit.training.context import build_context
from tacit.training.parallel import join_batch_norm, process_group, seed_apart
from tacit.training.report import Reporter, Silent
from tacit.training.trainer import Trainer


def complete(config: Config) -> Config:
    """Check every name in a configuration, and write down whatever decides the outcome.

    What the recipe says of the model comes before what the method asks, and that before defaults.
    """
    method = build_method(config.method.name, preset=config.method.preset, **config.method.options)
    if config.data.name != IN_MEMORY:
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
    return record_defaults(_with_full_names(completed))


def _with_full_names(config: Config) -> Config:
    """Write places of a user's own code so that they are found again from any folder."""
    data: dict[str, Any] = {}
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


def _describe_test(splits: Splits) -> dict[str, Any]:
    """Say what the test score rests on, and what a random order would reach on the same labels."""
    source = splits.test
    labels = source.labels if source.truth is None else source.truth
    kind = "observed" if labels.count(0) else "clean"
    chance = compute_chance(labels.per_class(1), len(source))
    return {"test_labels": kind, "test_chance": round(chance, 3)}


def train(
    config: Config,
    folder: Path,
    *,
    resume: bool = False,
    splits: Splits | None = None,
    reporter: Reporter | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Train, keep the best model, score it once on the test split, and return the record.

    Started by `torchrun`, all its processes train one model together, and all return the record.

    Args:
        config: What to do.
        folder: The run folder. It must be new or empty unless a run is resumed.
        resume: Go on from the last checkpoint, or begin where there is none. A run that was begun
            keeps the configuration it recorded; what ``config`` says must agree with it.
        splits: The data, if it is already in memory.
        reporter: Receives the progress.
        title: What the reporter calls the run; the method's name if None.
    """
    with process_group():
        run = Run(folder)
        with run.lock(resume):
            return _train(config, run, resume, splits, reporter or Silent(), title)


def _train(
    config: Config,
    run: Run,
    resume: bool,
    splits: Splits | None,
    reporter: Reporter,
    title: str | None,
) -> dict[str, Any]:
    config = complete(run.resume_config(config) if resume else config)
    device = choose_device(config.run.device)
    splits = splits or read_splits(config)
    check_trunk(config, splits.train)
    check_decide(config.decide, splits.validation)
    reporter.start_run(title or short_name(config.method.name))
    with keeping_generators(device):
        return _train_on(device, config, run, resume, splits, reporter)


def _train_on(
    device: torch.device,
    config: Config,
    run: Run,
    resume: bool,
    splits: Splits,
    reporter: Reporter,
) -> dict[str, Any]:
    learner = seed_and_build(config, splits, device)
    config = choose_automatic(config, learner, len(splits.train), device)
    if config.run.sync_batch_norm:
        join_batch_norm(learner.model, device)
    seed_apart(config.run.seed, device)
    for said in (find_blind_spot(learner, config.model.size), find_slow_precision(config, device)):
        if said is not None:
            reporter.note(said)
    context = build_context(learner, splits, config, run.folder, device)
    trainer = Trainer(context, reporter)
    begun, go_on = resume and run.exists, resume and run.has_checkpoint
    wait_for_all()  # nobody writes before everybody has looked
    record: dict[str, Any] = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "device": str(device),
        "data": splits.train.describe(),
        "fingerprint": trainer.identity.data,
        "weights": learner.model.recipe["weights"],  # type: ignore[index]
    }
    if is_first() and not begun:
        run.write(record)
    if is_first() and not go_on:
        run.log.keep(0)  # of an epoch whose checkpoint was never written
    best = trainer.fit(go_on)
    wait_for_all()  # the best model is written
    scored = evaluate(run.folder, splits, config)
    record["result"] = {**scored, "best": best, **_describe_test(splits)}
    if is_first():
        run.write(record)
    return record
