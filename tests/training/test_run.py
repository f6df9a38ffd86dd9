"""A run and its folder: what is written, what is refused, what can be read back."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from concurrent import futures as pool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tacit
from tacit.config import Config
from tacit.data.source import Source, Splits
from tacit.devices import choose_device
from tacit.errors import DataError, UsageError
from tacit.methods.base import Method
from tacit.methods.pointwise import AssumeNegative
from tacit.runs.build import build_learner, read_splits
from tacit.runs.folder import Log, Run
from tacit.runs.score import evaluate
from tacit.training import run
from tacit.training.report import Silent

Configure = Callable[..., Config]


@pytest.fixture(scope="module")
def finished(
    configure: Configure, splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the record of a run of two epochs."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run.train(configure("phases.epochs=2"), folder, splits=splits)


def test_the_folder_holds_what_is_promised(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, record = finished
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        "checkpoints/last.pt",
        "checkpoints/previous.pt",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "run.json",
    ]
    assert json.loads((folder / "run.json").read_text()) == record


def test_the_record_says_what_a_number_depends_on(
    finished: tuple[Path, dict[str, Any]], splits: Splits
) -> None:
    folder, record = finished
    assert record["versions"]["tacit"] == tacit.__version__
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["device"] == "cpu"
    assert record["fingerprint"] == splits.train.fingerprint()
    assert record["data"] == splits.train.describe()
    assert record["weights"] == {"source": "none"}
    assert record["config"]["run"]["seed"] == 0
    assert record["result"]["best"]["epoch"] in (1, 2)
    assert Run(folder).config.model_dump(mode="json") == record["config"]


def test_a_finished_run_scores_the_same_again(
    finished: tuple[Path, dict[str, Any]], splits: Splits
) -> None:
    folder, record = finished
    config = Run(folder).config
    again = evaluate(folder, splits, config)
    asides = {key: record["result"][key] for key in ("best", "test_chance", "test_labels")}
    assert again | asides == record["result"]
    assert (again["split"], again["n_images"]) == ("test", 40)
    assert again["selection"] == "validation, clean labels"
    validated = evaluate(folder, splits, config, "validation")
    assert (validated["split"], validated["n_images"]) == ("validation", 24)
    assert validated["map"] == pytest.approx(record["result"]["best"]["map"], abs=1e-9)


def test_resuming_a_finished_run_trains_nothing(
    finished: tuple[Path, dict[str, Any]], splits: Splits
) -> None:
    class Forbidding(Silent):
        def start_epoch(self, *arguments: int) -> None:
            raise AssertionError("an epoch was started")

    folder, record = finished
    log = (folder / "metrics.jsonl").read_bytes()
    config = Run(folder).config
    again = run.train(config, folder, resume=True, splits=splits, reporter=Forbidding())
    assert again["result"] == record["result"]
    assert (folder / "metrics.jsonl").read_bytes() == log


def test_a_run_is_repeatable(
    finished: tuple[Path, dict[str, Any]],
    configure: Configure,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    run.train(configure("phases.epochs=2"), tmp_path)  # into an empty folder, data read again
    assert_same_runs(finished[0], tmp_path)


def test_another_seed_is_another_run(
    finished: tuple[Path, dict[str, Any]], configure: Configure, splits: Splits, tmp_path: Path
) -> None:
    run.train(configure("phases.epochs=2", "run.seed=1"), tmp_path, splits=splits)
    losses = [Log(path / "metrics.jsonl").read()[0]["terms"] for path in (finished[0], tmp_path)]
    assert losses[0] != losses[1]


def test_a_folder_in_use_is_refused(configure: Configure, splits: Splits, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(UsageError, match=r"is not empty; choose another --out\."):
            run.train(configure(), tmp_path, splits=splits, resume=resume)
    with pytest.raises(UsageError, match="is a file, not a folder"):
        run.train(configure(), tmp_path / "notes.txt", splits=splits)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("phase", "kind", "message"),
    [
        ({"batch": 97}, DataError, "There are 96 training images but a batch has 97"),
        ({"batch": 16, "freeze": ["trunc"]}, UsageError, "no module 'trunc'"),
        ({"batch": 16, "freeze": ["trunk", "head"]}, UsageError, "Nothing is left to learn"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_phase_that_cannot_work_is_refused_before_anything_is_written(
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
    phase: dict[str, Any],
    kind: type[Exception],
    message: str,
    first: bool,
) -> None:
    phases = [phase] if first else [{"epochs": 1, "batch": 16}, phase]
    with pytest.raises(kind, match=message):
        run.train(configure(phases=phases), tmp_path / "run", splits=splits)
    assert not (tmp_path / "run").exists()  # so that the next try can have it


def test_a_folder_in_which_somebody_trains_is_refused_before_data_are_read(
    configure: Configure, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(config: Config) -> Splits:
        raise AssertionError("data were read")

    class Second(Silent):
        def step(self, images: int) -> None:
            with pool.ThreadPoolExecutor(1) as other:
                for resume in (False, True):
                    again = other.submit(run.train, config, tmp_path / "run", resume=resume)
                    assert isinstance(again.exception(), UsageError)
                    refused.append(str(again.exception()))

    refused: list[str] = []
    config = configure()
    monkeypatch.setattr(run, "read_splits", read)
    run.train(config, tmp_path / "run", splits=splits, reporter=Second())
    assert f"Process {os.getpid()} on {socket.gethostname()} is at work on the run" in refused[1]
    assert "is not empty; choose another --out, or --resume the run in it" in refused[0]
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"device": "cpu"}', b"\xff\xfe", b'{"config": {"dta": {}}}', b"null"],
)
def test_a_damaged_record_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(
        DataError, match=r"run\.json (does not hold the configuration|is not (readable|UTF-8))"
    ):
        _ = Run(tmp_path).config
    with pytest.raises(DataError, match=r"no run in .*run\.json is missing"):
        _ = Run(tmp_path / "elsewhere").config


def test_a_model_of_other_classes_is_not_scored(
    finished: tuple[Path, dict[str, Any]], splits: Splits
) -> None:
    folder, _ = finished
    test = splits.test
    turned = Source(
        test.name, test.classes[::-1], test.images, test.labels, test.open, test.truth, test.boxes
    )
    labels = test.labels.dense()[:, :5].copy()
    fewer = Source(test.name, test.classes[:5], test.images, labels, test.open)
    for other, message in ((turned, "12 or others in another order"), (fewer, "12 .* has 5")):
        with pytest.raises(DataError, match=message):
            evaluate(folder, replace(splits, test=other), Run(folder).config)


def test_a_method_gets_the_labels_it_is_meant_for(configure: Configure) -> None:
    def known(*settings: str) -> float:
        return float((read_splits(configure(*settings)).train.labels.dense() != 0).mean())

    assert known("method.name=bce") == 1
    assert known("method.name=an") == pytest.approx(1 / 12)
    assert known("method.name=an", "data.labels=full") == 1
    assert known("method.name=bce", "data.labels=observed") == pytest.approx(1 / 12)
    assert known("data.positives=0", "data.negatives=2") == pytest.approx(2 / 12)


def test_the_seed_decides_the_weights(configure: Configure, splits: Splits) -> None:
    def weights(seed: int) -> torch.Tensor:
        learner = build_learner(configure(f"run.seed={seed}"), splits)
        return learner.get_parameter("model.trunk.layers.0.0.weight").detach()

    torch.manual_seed(99)
    first = weights(3)
    torch.manual_seed(100)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))


def test_a_method_is_set_up_and_given_its_options(
    configure: Configure, splits: Splits, plug: Callable[[type[Method]], str]
) -> None:
    class Curious(AssumeNegative):
        def __init__(self, share: float = 0.5) -> None:
            super().__init__()
            self.share = share

        def setup(self, annotations: Any) -> None:
            self.known = annotations

    config = configure(f"method.name={plug(Curious)}", "method.share=0.25")
    method = build_learner(config, splits).method
    assert method.share == 0.25
    assert method.known.classes == splits.train.classes
    assert torch.equal(method.known.labels, torch.from_numpy(splits.train.labels.dense()))


def test_a_device_is_found_or_its_absence_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for name, message in (
        ("cuda", "no CUDA device"),
        ("cuda:1", "no CUDA device"),
        ("mps", "this machine has none"),
        ("gpu", "'gpu' is no device"),
        ("xpu", "'xpu' is no device"),
        ("meta", "'meta' is no device"),
    ):
        with pytest.raises(UsageError, match=message):
            choose_device(name)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match=r"last of this machine's 2 CUDA devices is cuda:1"):
        choose_device("cuda:2")


class Noting(Silent):
    """Remembers notes, and the steps that came before them."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps = 0

    def note(self, text: str) -> None:
        assert not self.steps
        self.notes.append(text)

    def step(self, images: int) -> None:
        self.steps += images


@pytest.mark.parametrize(
    ("method", "size", "options", "told"),
    [
        ("ignore", 8, (), True),
        ("ignore", 8, ("method.reject=false",), False),
        ("ignore", 16, (), False),
        ("an", 8, (), False),
    ],
)
def test_a_map_of_one_place_is_told_before_the_first_step(
    method: str,
    size: int,
    options: tuple[str, ...],
    told: bool,
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
) -> None:
    """Hiding all of an image or nothing says nothing about where a class is."""
    settings = (f"method.name={method}", f"model.size={size}", "phases.epochs=1", *options)
    reporter = Noting()
    run.train(configure(*settings), tmp_path / "run", splits=splits, reporter=reporter)
    assert reporter.steps
    assert len(reporter.notes) == told
    if told:
        assert "At 8 pixels the map of this model is 1 x 1" in reporter.notes[0]
