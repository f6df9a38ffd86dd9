"""`tacit train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tacit.cli.decide_options import AS_RECORDED, DecideOptions
from tacit.cli.evaluate import describe_decided, show_score
from tacit.cli.label_options import AS_FOUND, LabelOptions
from tacit.cli.output import print_json, print_table, stderr, tell
from tacit.cli.progress import ProgressReporter
from tacit.config import Config, resolve
from tacit.registry import short_name


def train(
    recipe: Path | None = None,
    /,
    *,
    out: Path | None = None,
    data: str | None = None,
    preset: str | None = None,
    method: str | None = None,
    model: str | None = None,
    trunk: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    batch: int | Literal["auto"] | None = None,
    lr: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    read: LabelOptions = AS_FOUND,
    decide: DecideOptions = AS_RECORDED,
    settings: Annotated[tuple[str, ...], Parameter(name=("--set", "-s"))] = (),
    resume: Annotated[bool, Parameter(negative=())] = False,
    track: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a model from incomplete labels.

    The best epoch on the validation images is kept and scored once on the test images.

    Parameters
    ----------
    recipe
        A TOML file. What it leaves out keeps its default; flags come after it. It may hold
        several methods and models, of which --method and --model choose.
    out
        The run folder, new or empty.
    data
        Data set, see `tacit datasets`, or the path of labels of your own.
    preset
        A recipe for photographs that comes with tacit: quick takes minutes of a processor, good
        longer, best wants a GPU. Where neither a recipe nor a trunk is named, images of your own
        are trained with quick.
    method
        Method, see `tacit methods`, the name of its table in the recipe, or of your own:
        file.py:Class or package.module:Class.
    model
        Model, see `tacit models`, or the name of its table in the recipe.
    trunk
        tiny, or any timm network with spatial maps.
    weights
        Weights the trunk begins with: none, hub, package, or a weights file.
    size
        Side of the images in pixels.
    epochs
        Passes over the training images, in every phase.
    batch
        Images per step, over all processes, in every phase; auto takes what is usual and fits.
    lr
        Learning rate, in every phase; the peak, under onecycle.
    seed
        Seed of weights, order and augmentation.
    device
        auto, cpu, cuda, cuda:0 or mps.
    settings
        Any other key of a recipe, e.g. --set method.reject=false --set phases.clip=1.
    resume
        Go on from the last checkpoint in --out; nothing else needs to be given. With a recipe or
        flags, a run starts where there is none yet, so that the same command starts and goes on.
    track
        Send the log to a tracker as well: tensorboard, mlflow, wandb, or your own,
        file.py:Class. May be given several times.
    dry_run
        Print the whole configuration and stop.
    json
        Print the result as JSON.
    """
    from tacit.runs.folder import Run

    flags = {
        "data.name": data,
        "method.name": method,
        "model.name": model,
        "model.trunk": trunk,
        "model.weights": weights,
        "model.size": size,
        "phases.epochs": epochs,
        "phases.batch": batch,
        "phases.lr": lr,
        "run.seed": seed,
        "run.device": device,
    }
    given = tuple(f"{key}={value}" for key, value in flags.items() if value is not None)
    given += (*read.as_settings(), *decide.as_settings(), *settings)
    config = _find_config(choose_recipe(recipe, preset, given), given, out, resume)
    folder = out or _name_folder(config)
    if resume:
        config = Run(folder).resume_config(config)
    if dry_run:
        return _print_config(config)
    return _run(config, folder, resume, json, track)


def _print_config(config: Config) -> int:
    from tacit.training.run import complete

    print_json(complete(config).model_dump(mode="json"))
    return 0


def choose_recipe(
    recipe: Path | None, preset: str | None, settings: tuple[str, ...]
) -> Path | None:
    """Return the recipe that is asked for, or the preset that is; of photographs alone, quick."""
    from tacit.errors import UsageError
    from tacit.presets import find_preset
    from tacit.training.checks import shows_photographs

    said = resolve(settings=settings)
    if recipe is None and preset is None and shows_photographs(said, said.data.name):
        preset = "quick"
        tell("No trunk was named: this is --preset quick, for photographs; see --preset.")
    if preset is None:
        return recipe
    if recipe is not None:
        raise UsageError(f"A preset is a recipe, and so is {recipe}; leave one of them out.")
    return find_preset(preset)


def _find_config(
    recipe: Path | None, settings: tuple[str, ...], out: Path | None, resume: bool
) -> Config:
    if not resume or recipe or settings:
        return resolve(recipe, settings)
    from tacit.errors import UsageError
    from tacit.runs.folder import Run

    if out is None:
        raise UsageError("Say which run to resume: --resume --out FOLDER.")
    if not Run(out).exists:
        raise UsageError(
            f"Nothing was recorded in {out} yet, so --resume alone cannot know what to train. Give "
            f"the whole command that began it, with --resume: it starts from the beginning."
        )
    return Run(out).config


def _name_folder(config: Config) -> Path:
    name = f"{Path(config.data.name).stem}-{short_name(config.method.name)}-{config.run.seed}"
    return Path("runs") / name


def _run(config: Config, folder: Path, resume: bool, json: bool, track: tuple[str, ...]) -> int:
    from tacit.runs.folder import Run
    from tacit.training.parallel import process_group

    with process_group(), Run(folder).lock(resume):
        return _train(config, folder, resume, json, track)


def _train(config: Config, folder: Path, resume: bool, json: bool, track: tuple[str, ...]) -> int:
    console = stderr()
    with console.status("reading the data and building the model"):
        from tacit.runs.build import read_splits
        from tacit.runs.folder import Run
        from tacit.training import run
        from tacit.training.interrupts import Interrupted
        from tacit.training.tracking import tracking

        splits = read_splits(config)
    described = splits.train.describe()
    tell(
        " · ".join(
            f"{value:,} {key}"
            for key, value in described.items()
            if key != "name" and not isinstance(value, str)
        )
    )
    if splits.train.notes:
        tell(f"How the labels were read: {'; '.join(splits.train.notes)}.")
    epochs = sum(phase.epochs for phase in config.phases)
    if resume and Run(folder).has_checkpoint:
        epochs -= len(Run(folder).log.read())
    try:
        with (
            ProgressReporter(console, epochs) as shown,
            tracking(track, config, Run(folder), shown) as reporter,
        ):
            record = run.train(config, folder, resume=resume, splits=splits, reporter=reporter)
    except Interrupted as stop:
        tell(f"Stopped; go on with: tacit train --resume --out {shlex.quote(str(folder))}")
        return stop.exit_code
    _print_result(record, folder, json)
    return 0


def _print_result(record: dict[str, Any], folder: Path, json: bool) -> None:
    result = record["result"]
    if json:
        print_json({**result, "folder": str(folder)})
        return
    best, known = result["best"], result["known"]
    print_table(
        (
            "method",
            "test mAP",
            "OF1",
            "CF1",
            "decided OF1",
            "decided CF1",
            "best epoch",
            "chosen on",
        ),
        [
            (
                short_name(record["config"]["method"]["name"]),
                f"{result['map']:.2f}",
                f"{result['of1']:.2f}",
                f"{result['cf1']:.2f}",
                show_score(known["of1_decided"]),
                show_score(known["cf1_decided"]),
                str(best["epoch"]),
                result["selection"],
            )
        ],
    )
    for line in describe_decided(result):
        tell(line)
    if result["test_labels"] == "observed":
        tell(
            f"The test labels are observed ones, with gaps: a random order reaches mAP "
            f"{result['test_chance']:.1f} on them, and a perfect one need not reach 100."
        )
    tell(
        f"The model is in {folder}; score it again with: tacit evaluate {shlex.quote(str(folder))}"
    )
