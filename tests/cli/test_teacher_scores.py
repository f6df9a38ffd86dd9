"""`tacit teacher-scores` as a user calls it, and a training with what it writes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tacit.config import resolve
from tacit.runs.build import read_splits
from tacit.teachers import compute_class_shares, scoring

Call = Callable[..., Any]
DATA = ("data.options.images=50", "data.options.test_images=10", "data.options.size=24")
FLAGS = tuple(f"--set={setting}" for setting in DATA)


@pytest.fixture(scope="module")
def train() -> Any:
    return read_splits(resolve(settings=DATA)).train


class Towers(torch.nn.Module):
    """Embeds an image by its mean colour, and a text by its first letters."""

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.float()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a stand-in in the place of open_clip, and collect what it is asked for."""
    wanted: list[Any] = []

    def prepare(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255

    def create(name: str, pretrained: str, image_resize_mode: str) -> tuple[Any, None, Any]:
        wanted.append((name, pretrained, image_resize_mode))
        return Towers(), None, prepare

    def tokenise(texts: list[str]) -> torch.Tensor:
        wanted.append(texts)
        return torch.tensor([[ord(letter) - 96 for letter in text[-3:]] for text in texts])

    fake = SimpleNamespace(create_model_and_transforms=create, get_tokenizer=lambda name: tokenise)
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    return wanted


def test_a_model_scores_the_training_images(
    call: Call, train: Any, asked: list[Any], tmp_path: Path
) -> None:
    model = ("--model=small", "--weights=mine", "--template=see {}", "--temperature=0.5")
    answer = call("teacher-scores", "scenes", "--out=new/t.npz", "--device=cpu", *model, *FLAGS)
    assert answer.status == 0, answer.err
    assert asked == [("small", "mine", "squash"), [f"see {name}" for name in train.classes]]
    stored = np.load(tmp_path / "new" / "t.npz")
    assert stored["names"].tolist() == list(train.images)
    assert stored["classes"].tolist() == list(train.classes)
    texts = torch.tensor(
        [[ord(letter) - 96 for letter in name[-3:]] for name in train.classes], dtype=torch.float32
    )
    colours = [np.asarray(train.open(row)).mean((0, 1)) / 255 for row in range(len(train))]
    expected = compute_class_shares(torch.from_numpy(np.array(colours)).float(), texts, 0.5)
    np.testing.assert_allclose(stored["scores"], expected, atol=1e-5)
    assert re.search(r"images +classes .*\n +40 +12 ", answer.out)
    assert "tacit train --method vlpl --data scenes --set data.options.images=50" in answer.err


def test_what_is_not_said_is_as_the_literature_has_it(call: Call, train: Any, asked: Any) -> None:
    """The whole image, squeezed as for training, and a sentence with its full stop."""
    assert call("teacher-scores", "scenes", "--out=t.npz", "--device=cpu", *FLAGS).status == 0
    sentences = [f"a photo of a {name}." for name in train.classes]
    assert asked == [("ViT-B-16", "openai", "squash"), sentences]
    same = ("teacher-scores", "scenes", "--device=cpu", "--template={}", *FLAGS)
    assert call(*same, "--out=u.npz", "--resize=shortest").status == 0
    assert asked[2:] == [("ViT-B-16", "openai", "shortest"), list(train.classes)]
    refused = call(*same, "--out=v.npz", "--resize=crop")
    assert refused.status == 2 and "squash" in refused.err


def test_crops_change_what_it_says(call: Call, asked: list[Any], tmp_path: Path) -> None:
    same = (
        "teacher-scores",
        "scenes",
        "--device=cpu",
        "--temperature=0.5",
        "--template={}",
        *FLAGS,
    )
    whole = call(*same, "--out=whole.npz", "--json").json()
    assert whole["written"] == "whole.npz" and whole["images"] == 40
    assert 0 <= whole["known in first place"] <= whole["known in first three"] <= 1
    assert call(*same, "--out=crops.npz", "--crops=2").status == 0
    found = [np.load(tmp_path / f"{name}.npz")["scores"] for name in ("whole", "crops")]
    assert not np.allclose(*found)


def test_ctrl_c_keeps_what_is_finished(
    call: Call, asked: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scoring, "PART", 16)
    same = ("teacher-scores", "scenes", "--out=t.npz", "--device=cpu", "--batch=8", *FLAGS)
    usual, seen = Towers.encode_image, list[int]()

    def encode(towers: Towers, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return usual(towers, images)

    monkeypatch.setattr(Towers, "encode_image", encode)
    answer = call(*same)
    assert answer.status == 130 and "the same command goes on" in answer.err
    assert not (tmp_path / "t.npz").exists()
    assert call(*same).status == 0
    assert sum(seen[4:]) == 40 - 16
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


@pytest.mark.parametrize("method", ["vlpl", "aevlp"])
def test_stored_embeddings_do_as_well(call: Call, train: Any, method: str, tmp_path: Path) -> None:
    """A teacher that knows the truth of every image, and names rows in an order of its own."""
    texts = np.eye(len(train.classes), dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(train))
    images = (train.truth.dense() == 1).astype(np.float64)[order]
    np.save(tmp_path / "images.npy", np.concatenate([images, images[:1]]))
    np.save(tmp_path / "texts.npy", texts)
    names = "".join(f"{train.images[row]}\n" for row in order) + "another\n"
    (tmp_path / "names.txt").write_text(names)
    tables = ("--embeddings=images.npy", "--texts=texts.npy", "--names=names.txt")
    answer = call("teacher-scores", "scenes", "--out=t.npz", *tables, *FLAGS, "--json")
    assert answer.status == 0, answer.err
    assert answer.json()["known in first three"] > 0.5
    scores = np.load(tmp_path / "t.npz")["scores"]
    assert ((scores > 1e-3) == (train.truth.dense() == 1)).all()
    trained = call(
        "train",
        f"--method={method}",
        "--out=run",
        "--epochs=1",
        *FLAGS,
        "--set=method.scores=t.npz",
        "--set=method.threshold=0.2",
        "--set=model.size=24",
        "--set=phases.batch=8",
        "--set=run.device=cpu",
    )
    assert trained.status == 0, trained.err
    assert "suspects P 1.00" in trained.err


def test_rows_without_names_are_the_training_images(call: Call, train: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(size=(len(train), 5)).astype(np.float32)
    texts = np.random.default_rng(2).normal(size=(len(train.classes), 5)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "texts.npy", texts)
    tables = ("--embeddings=images.npy", "--texts=texts.npy")
    assert call("teacher-scores", "scenes", "--out=t.npz", *tables, *FLAGS).status == 0
    expected = compute_class_shares(torch.from_numpy(images), torch.from_numpy(texts))
    stored = np.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(stored["scores"], expected)
    assert stored["names"].tolist() == list(train.images)


def test_without_open_clip_the_extra_is_named(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    answer = call("teacher-scores", "scenes", "--out=t.npz", *FLAGS)
    assert answer.status == 2 and "pip install 'tacit[clip]'" in answer.err
    assert not list(tmp_path.iterdir())


def test_a_method_without_a_teacher_says_how_to_get_one(call: Call, tmp_path: Path) -> None:
    answer = call("train", "--method=vlpl", "--out=run", *FLAGS)
    assert answer.status == 2 and not (tmp_path / "run").exists()
    assert "tacit teacher-scores DATA --out FILE" in answer.err


def test_a_wrong_request_is_answered_by_a_sentence(call: Call, train: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    np.save(tmp_path / "t.npy", np.ones((len(train.classes), 4)))
    np.save(tmp_path / "flat.npy", np.ones(4))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "there.npz").touch()
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    (tmp_path / "others.txt").write_text("a\nb\nc\n")
    both = ("--embeddings=a.npy", "--texts=t.npy")
    wrong: dict[tuple[str, ...], tuple[int, str]] = {
        ("--embeddings=a.npy",): (2, "belong together"),
        ("--names=two.txt",): (2, "give them as well"),
        ("--out=there.npz",): (2, "There is a file at there.npz already"),
        ("--set=method.name=an",): (2, "A teacher has no 'method.name=an'"),
        ("--template=photo",): (2, "has {} once"),
        ("--embeddings=a.npy", "--texts=a.npy"): (3, "has 3 rows, but the data has 12 classes"),
        both: (3, "has 3 rows, but there are training images: 40"),
        (*both, "--names=two.txt"): (3, "has 3 rows, but two.txt has lines: 2"),
        (*both, "--names=twice.txt"): (3, "has 3 lines but 2 different names"),
        (*both, "--names=others.txt"): (3, "lacks 40 of 40 training images, beginning with"),
        (*both, "--names=none.txt"): (3, "none.txt cannot be read"),
        ("--embeddings=none.npy", "--texts=t.npy"): (3, "none.npy cannot be read"),
        ("--embeddings=text.npy", "--texts=t.npy"): (3, "text.npy is no file of numpy arrays"),
        ("--embeddings=flat.npy", "--texts=t.npy"): (3, "flat.npy holds no table of numbers"),
    }
    for given, (status, sentence) in wrong.items():
        out = () if any(flag.startswith("--out") for flag in given) else ("--out=t.npz",)
        answer = call("teacher-scores", "scenes", *given, *out, *FLAGS)
        assert sentence in answer.err, (given, answer.err)
        assert answer.status == status
        assert not (tmp_path / "t.npz").exists()
