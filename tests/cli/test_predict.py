"""`tacit predict`: what it says, how it ends, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow import parquet

from things_to_predict import CLASSES
from things_to_predict import images as images
from things_to_predict import model_folder as model_folder

Call = Callable[..., Any]
QUICK = ("--device=cpu", "--workers=0", "--threads=1")


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_people_get_a_summary_and_the_first_problems(
    call: Call, model_folder: Path, images: Path
) -> None:
    answer = call("predict", model_folder, images, "--out=out.parquet", *QUICK)
    assert answer.status == 0
    assert answer.out.startswith("30 images · 2 without a prediction (column error) · ")
    assert answer.out.endswith(" s · out.parquet\n")
    first, second = answer.err.splitlines()
    assert first.startswith(f"no prediction for {images.as_posix()}/05b.jpg: ")
    assert "17b.png is damaged" in second
    assert parquet.read_table("out.parquet").column_names == ["image", "labels", "scores", "error"]
    assert not Path("out.parquet.parts").exists()


def test_programs_get_the_promised_keys(call: Call, model_folder: Path, images: Path) -> None:
    answer = call("predict", model_folder, images, "--out=out.csv", "--json", *QUICK)
    assert (answer.status, answer.err) == (0, "")
    found = answer.json()
    assert {"images": 30, "failed": 2, "out": "out.csv"}.items() <= found.items()
    assert [Path(image).name for image, _ in found["examples"]] == ["05b.jpg", "17b.png"]


def test_strict_ends_with_1_where_an_image_is_broken(
    call: Call, model_folder: Path, images: Path
) -> None:
    inputs = (model_folder, images / "00.png", images / "01.png")
    assert call("predict", *inputs, "--out=fine.csv", "--strict", *QUICK).status == 0
    inputs = (*inputs, images / "05b.jpg")
    answer = call("predict", *inputs, "--out=broken.csv", "--strict", *QUICK)
    assert (answer.status, Path("broken.csv").exists()) == (1, True)


def test_the_format_follows_the_suffix_or_what_is_said(
    call: Call, model_folder: Path, images: Path
) -> None:
    image = images / "00.png"
    for out, flags in (("a.jsonl", ()), ("b.txt", ("--format=jsonl",))):
        assert call("predict", model_folder, image, "--out", out, *flags, *QUICK).status == 0
        row = json.loads(Path(out).read_text())
        assert row["image"] == image.as_posix() and list(row["scores"]) == list(CLASSES)
    assert call("predict", model_folder, image, "--out=c", *QUICK).status == 0
    assert Path("c/part-000000.parquet").exists()


def test_fewer_scores_are_written_where_fewer_are_wanted(
    call: Call, model_folder: Path, images: Path
) -> None:
    flags = ("--scores=top2", "--half", "--threshold=0")
    assert call("predict", model_folder, images, "--out=a.jsonl", *flags, *QUICK).status == 0
    row = json.loads(Path("a.jsonl").read_text().splitlines()[0])
    assert row["labels"] == list(CLASSES)
    assert len(row["top"]) == len(row["top_scores"]) == 2
    assert all(len(str(number)) <= 9 for number in row["top_scores"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "Say what to predict"),
        (("IN", "--scores=best"), "'best' are no scores"),
        (("IN", "--scores=top0"), "'top0' are no scores"),
        (("IN", "--threshold=2"), "a probability from 0 to 1, not 2.0"),
        (("IN", "--batch=0"), "--batch is 1 or more, not 0"),
        (("IN", "--workers=-1"), "--workers is 0 or more, not -1"),
        (("IN", "--out=a.txt"), "says no format"),
        (("IN", "--device=tpu"), "'tpu' is no device"),
        (("IN", "--device=cuda"), "no CUDA device"),
        (("IN", "--format=xml"), "xml"),
    ],
)
def test_a_wrong_request_ends_with_2(
    call: Call,
    model_folder: Path,
    images: Path,
    flags: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = [images / "00.png" if flag == "IN" else flag for flag in flags]
    out = () if any(flag.startswith("--out") for flag in flags) else ("--out=a.csv",)
    answer = call("predict", model_folder, *words, *out)
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.err
    assert not list(Path().glob("a.csv*"))


def test_inputs_that_cannot_be_used_end_with_3(
    call: Call, model_folder: Path, images: Path
) -> None:
    for words, message in (
        ((model_folder, "none.png"), "There is nothing at none.png"),
        ((images, images), "holds no trained model"),
        ((model_folder, "empty"), "holds no images"),
    ):
        Path("empty").mkdir(exist_ok=True)
        answer = call("predict", *words, "--out=a.csv", *QUICK)
        assert (answer.status, answer.out) == (3, "")
        assert message in answer.err
        assert not list(Path().glob("a.csv*"))


def test_labels_that_a_csv_file_could_not_tell_apart_are_refused(
    call: Call, model_folder: Path, images: Path, tmp_path: Path
) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    config["model"]["classes"][0] = "cat|kitten"
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    (tmp_path / "model/model.safetensors").symlink_to(model_folder / "model.safetensors")
    words = ("predict", tmp_path / "model", images / "00.png", *QUICK)
    answer = call(*words, "--out=a.csv")
    assert answer.status == 2 and "'cat|kitten' has a | in its name" in answer.err
    assert call(*words, "--out=a.jsonl").status == 0


def test_images_are_found_where_training_finds_them(
    call: Call, model_folder: Path, images: Path
) -> None:
    Path("photos").symlink_to(images)
    Path("new.csv").write_text("file,labels\n00.png,cat\n01.png,\n")
    assert call("predict", model_folder, "new.csv", "--out=a.jsonl", *QUICK).status == 0
    rows = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [(row["image"], row["error"]) for row in rows] == [("00.png", None), ("01.png", None)]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_nothing_predicted_is_a_failure(
    call: Call, model_folder: Path, flags: tuple[str, ...]
) -> None:
    Path("new.csv").write_text("file\n" + "".join(f"{row}.png\n" for row in range(7)))
    answer = call("predict", model_folder, "new.csv", "--out=a.csv", *QUICK, *flags)
    assert answer.status == 3
    assert "None of the 7 images could be predicted. Say with --images where they" in answer.err
    if not flags:
        assert answer.err.count("no prediction for") == 5
        assert "and 2 more: the rows of a.csv whose column error" in answer.err


def test_lines_say_how_far_it_is_where_nobody_watches_a_bar(
    call: Call, model_folder: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.cli.progress.PAUSE", 0.0)
    flags = ("--out=a.csv", "--batch=10", *QUICK)
    lines = call("predict", model_folder, images, *flags).err.splitlines()
    lines = [line for line in lines if line.startswith("predicting")]
    told = [line.partition(" images")[0] for line in lines]
    assert told == ["predicting · 10 of 30", "predicting · 20 of 30"]
    # The first portion says nothing of the speed, since the model was read before it.
    assert lines[0].endswith(" images") and lines[1].endswith(" left")
