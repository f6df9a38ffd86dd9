"""From labels to a trained model in one call, and what one does with it afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.config import Config, resolve
from tacit.data import IN_MEMORY
from tacit.data.load import load, read_official_splits
from tacit.data.source import OfficialSplits, Source, Splits
from tacit.errors import DataError, UsageError, unknown_name
from tacit.experiments.report_page import write_report
from tacit.export.hub import find_pretrained
from tacit.models.artefact import load_model, read_config
from tacit.prediction.in_memory import AnyImage, Precision, Predictions, predict
from tacit.presets import find_preset
from tacit.processes import find_process
from tacit.ranges import check
from tacit.registry import short_name
from tacit.runs.folder import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from tacit.models.base import Model
    from tacit.training.report import Reporter

SPLITS = ("test", "validation")


def fit(
    labels: str | Path | Source | Any,
    *,
    images: str | Path | int | None = None,
    method: str | None = None,
    preset: str | None = None,
    recipe: str | Path | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> TrainedModel:
    """Train a model from incomplete labels, as `tacit train` does, and return it.

    It is the model of the best epoch on images set aside for validation. Progress goes to Python's
    logging, under the name ``tacit``; nothing is printed. The caller's random numbers, threads,
    warnings and environment are left as they are.

    Args:
        labels: A file or folder of labels, a table of pandas, polars or Arrow, what `tacit.load`
            returned, or the name of a data set.
        images: The folder of the images; looked for beside the file if None.
        method: How to learn, see `tacit methods`.
        preset: A recipe that comes with tacit; photographs get "quick" where no trunk is named.
        recipe: A TOML file.
        epochs: Passes over the training images, in every phase.
        seed: Seed of weights, order and augmentation.
        device: auto, cpu, cuda, cuda:0 or mps.
        settings: Any other key of a recipe, such as ``{"phases.lr": 1e-3}``.
        out: The run folder, new or empty; if None, one that is deleted together with the model.
        resume: Go on from the last checkpoint in ``out``.
        reporter: Receives the progress in place of the log.
        options: Further options of the reader, as `tacit.load` takes them.

    Example:
        Generated images, so that nothing has to be downloaded:

        >>> import tacit
        >>> model = tacit.fit(
        ...     "scenes", images=60, test_images=20, method="an", epochs=1, device="cpu"
        ... )
        >>> len(model.classes), sorted(model.evaluate())[:3]
        (12, ['cf1', 'classes_scored', 'decided'])
    """
    _check_said(images=images, preset=preset, recipe=recipe, out=out, resume=resume)
    _check_reporter(reporter)
    official = _read(labels, {"images": images, **options})
    config = _configure(
        labels,
        recipe=recipe,
        preset=preset,
        settings=[
            ("data.name", IN_MEMORY if official else str(labels)),
            *_list_options({} if official else {"images": images, **options}),
            *_list_settings(settings),
            *_list_given({"method.name": method, "phases.epochs": epochs}),
            *_list_given({"run.seed": seed, "run.device": device}),
        ],
    )
    if out is not None:
        return _train(config, Path(out), resume, official, reporter)
    if find_process()[1] > 1:
        raise UsageError("Several processes train one model in one folder: say where, as out=.")
    folder = Path(tempfile.mkdtemp(prefix="tacit-"))
    try:
        model = _train(config, folder, False, official, reporter)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    return model


def _train(
    config: Config,
    folder: Path,
    resume: bool,
    official: OfficialSplits | None,
    reporter: Reporter | None,
) -> TrainedModel:
    from tacit.runs.build import read_splits
    from tacit.training.interrupts import Interrupted
    from tacit.training.parallel import process_group
    from tacit.training.report import LogReporter
    from tacit.training.run import train

    try:
        with process_group():
            splits = read_splits(config, official)
            reporter = LogReporter() if reporter is None else reporter
            train(config, folder, resume=resume, splits=splits, reporter=reporter)
    except Interrupted as stop:
        # As Python itself would end: its state is saved, and who called decides.
        if stop.exit_code == 128 + signal.SIGINT:
            raise KeyboardInterrupt from stop
        raise SystemExit(stop.exit_code) from stop
    return TrainedModel(folder, splits=splits)


def from_pretrained(name: str | Path, *, revision: str | None = None) -> TrainedModel:
    """Load a trained model from a folder, or from the Hugging Face hub.

    Args:
        name: A folder that `TrainedModel.save` or a training wrote, or the name of a repository
            such as ``someone/birds``.
        revision: A branch, tag or commit of the repository; its main branch if None.

    Example:
        >>> import tempfile, tacit
        >>> small = {"images": 40, "test_images": 10, "epochs": 1, "device": "cpu"}
        >>> folder = tempfile.TemporaryDirectory()
        >>> tacit.fit("scenes", method="an", **small).save(f"{folder.name}/model")
        >>> len(tacit.from_pretrained(f"{folder.name}/model").classes)
        12
        >>> folder.cleanup()
    """
    name = check("name", str | Path, name)
    if not str(name).strip():
        raise UsageError("name is a folder, or a repository such as someone/birds, and is blank.")
    model = TrainedModel(find_pretrained(name, check("revision", str | None, revision)))
    load_model(model.folder)  # what is damaged is said now
    return model


class TrainedModel:
    """A trained model in its folder: that of a run, or one with nothing but the model.

    Args:
        folder: Where it is.
        splits: The data of the run, if they are already in memory.
    """

    def __init__(self, folder: str | Path, *, splits: Splits | None = None) -> None:
        self.folder = Path(check("folder", str | Path, folder))
        self.run = Run(self.folder)
        self.classes: tuple[str, ...] = tuple(read_config(self.folder)["model"]["classes"])
        """Class names, in the order of all columns."""
        self._splits = splits

    def __repr__(self) -> str:
        return f"TrainedModel({str(self.folder)!r}, {len(self.classes)} classes)"

    @property
    def model(self) -> Model:
        """The network, an ordinary PyTorch module, loaded anew each time."""
        return load_model(self.folder)

    @property
    def splits(self) -> Splits:
        """The data that it was trained and scored on, read again if they are not in memory."""
        if self._splits is None:
            self._splits = self._require_run().splits()
        return self._splits

    def predict(
        self,
        images: AnyImage | Iterable[AnyImage],
        *,
        threshold: float | None = None,
        goal: str | None = None,
        batch: int = 32,
        device: str = "auto",
        precision: Precision = "fp32",
    ) -> Predictions:
        """Predict the classes of images, see `tacit.predict`.

        Args:
            images: Paths, PIL images or arrays, (H, W, 3) of 8 bits; or only one; or a folder, for
                all images in it.
            threshold: Probability from which on a class is predicted; its own ones if None.
            goal: What labels are decided for, such as "precision=0.9", see `tacit predict`.
            batch: Images that go through the model together.
            device: auto, cpu, cuda, cuda:0 or mps.
            precision: fp32 or bf16.
        """
        return predict(
            self.folder,
            images,
            threshold=threshold,
            goal=goal,
            batch=batch,
            device=device,
            precision=precision,
        )

    def evaluate(
        self, labels: Any = None, *, split: str = "test", **options: Any
    ) -> dict[str, Any]:
        """Score the model on a split of its data, or on other labels, as `tacit evaluate` does.

        Args:
            labels: Other labels, as `tacit.load` takes or returns them; classes are matched by
                their names.
            split: "test" or "validation", of its own data.
            options: Of other labels, as `tacit.load` takes them, such as ``images``.
        """
        from tacit.runs.score import evaluate, evaluate_on

        if labels is not None:
            source = labels if isinstance(labels, Source) else load(labels, **options)
            return evaluate_on(self.folder, source, self._find_config())
        if options:
            raise UsageError(f"{', '.join(options)} belong to other labels: say which, as labels.")
        if split not in SPLITS:
            raise unknown_name("split to score on", str(split), SPLITS)
        return evaluate(self.folder, self.splits, self._require_run().config, split)

    def suspects(self) -> pa.Table:
        """Return the labels that were probably missed, a row for each, as the run kept them."""
        return self._require_run().suspects()

    def report(self, page: str | Path | None = None) -> str:
        """Say in a few lines what was trained, on what, and how well it scores.

        Args:
            page: Where to write the page of `tacit report` as well, such as "report.html".
        """
        page = check("page", str | Path | None, page)
        record = self._require_run().record
        config, data, result = record["config"], record["data"], record.get("result")
        if result is None:
            raise DataError(f"The run in {self.folder} has not ended; go on with `resume=True`.")
        if page is not None:
            write_report(Path(page), [self.folder])
        best, scored = result["best"], sorted(_list_scored(result), key=lambda each: each[1])
        weakest = ", ".join(f"{name} {precision:.1f}" for name, precision in scored[:5])
        epochs = sum(phase["epochs"] for phase in config["phases"])
        return "\n".join(
            [
                f"{short_name(config['method']['name'])}, {config['model']['name']} on "
                f"{config['model']['trunk']} at {config['model']['size']} pixels",
                f"trained on {data['images']:,} images, {len(self.classes)} classes: "
                f"{data['known positives']:,} known positives, {data['known negatives']:,} known "
                f"negatives, {data['unknown']:,} unknown",
                f"epoch {best['finished_epochs']} of {epochs}, chosen on {result['selection']}",
                f"mAP {result['map']:.2f} on {result['n_images']:,} test images"
                f"{self._say_gaps()}; {result['classes_scored']} of {len(self.classes)} classes "
                f"have positives",
                f"OF1 {result['of1']:.2f}, CF1 {result['cf1']:.2f}",
                f"weakest classes: {weakest}",
            ]
        )

    def save(self, folder: str | Path) -> None:
        """Write the model and what is known of its run, without checkpoints, to a folder.

        Args:
            folder: A new or empty folder; `tacit.from_pretrained` reads it.
        """
        self.run.copy_to(Path(check("folder", str | Path, folder)))

    def _say_gaps(self) -> str:
        known = self._splits
        gaps = known is not None and known.test.truth is None and known.test.labels.count(0) > 0
        return ", scored against labels with gaps" if gaps else ""

    def _find_config(self) -> Config:
        return self.run.config if self.run.exists else Config()

    def _require_run(self) -> Run:
        if not self.run.exists:
            raise DataError(
                f"{self.folder} holds a model and nothing of the run that trained it, so that "
                f"there is nothing to score it on or to report."
            )
        return self.run


def _list_scored(result: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return classes with their average precision; those without positives have none."""
    return [(name, value) for name, value in result["per_class"].items() if value == value]


def _check_said(**said: Any) -> None:
    kinds: dict[str, Any] = {"resume": bool, "preset": str | None}
    for name, value in said.items():
        if name != "images" or not isinstance(value, int):  # a number of images to generate
            check(name, kinds.get(name, str | Path | None), value)
    if said["preset"] is not None and said["recipe"] is not None:
        raise UsageError(
            f"A preset is a recipe, and so is {said['recipe']}; leave one of them out."
        )
    if said["resume"] and said["out"] is None:
        raise UsageError("Say which run to resume: out=FOLDER.")


def _check_reporter(reporter: Any) -> None:
    from tacit.training.report import LogReporter

    wanted = [name for name in vars(LogReporter) if not name.startswith("_")]
    missing = [name for name in wanted if not hasattr(reporter, name)]
    if reporter is not None and missing:
        raise UsageError(
            f"reporter is an object with the methods {', '.join(wanted)}, and a "
            f"{type(reporter).__name__} has no {missing[0]}."
        )


def _read(labels: Any, options: dict[str, Any]) -> OfficialSplits | None:
    """Return what is in memory already; None where a run can read the labels by itself."""
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(labels, Source):
        if given:
            raise UsageError(
                f"A source is read already, so that there is no use for {', '.join(given)}; give "
                f"this to `tacit.load`."
            )
        return OfficialSplits(labels)
    if isinstance(labels, str | Path):
        if str(labels) == IN_MEMORY or not str(labels).strip():
            raise UsageError(f"labels are a path or the name of a data set, not {str(labels)!r}.")
        return None
    return read_official_splits(labels, given)


def _configure(
    labels: Any, recipe: str | Path | None, preset: str | None, settings: list[tuple[str, Any]]
) -> Config:
    from tacit.training.checks import shows_photographs

    name = labels.name if isinstance(labels, Source) else str(labels)
    if recipe is preset is None and shows_photographs(resolve(None, settings), name):
        preset = "quick"
    recipe = recipe if preset is None else find_preset(preset)
    return resolve(None if recipe is None else Path(recipe), settings)


def _list_options(options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the options of a reader as settings, which a run writes down."""
    listed = []
    for name, value in options.items():
        if value is None:
            continue
        value = str(value) if isinstance(value, Path) else value
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The option {name} is text, a number or a list of them, not a "
                f"{type(value).__name__}."
            ) from error
        listed.append((f"data.options.{name}", value))
    return listed


def _list_settings(settings: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if settings is None:
        return []
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise UsageError(
            f"settings are keys of a recipe and their values, such as {{'phases.lr': 1e-3}}, not "
            f"{settings!r:.80}."
        )
    return list(settings.items())


def _list_given(given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in given.items() if value is not None]
