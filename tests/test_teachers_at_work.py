"""Teachers at work: any callable, and pairs of towers."""

from __future__ import annotations

import builtins
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tacit.errors import DataError, UsageError
from tacit.teachers import (
    TowerTeacher,
    compute_class_shares,
    cut_into_crops,
    fill_template,
    measure_agreement,
    open_clip_towers,
    score,
    scoring,
)

CLASSES = ("boat", "car")


class Scene:
    """Images whose only content is their number; a teacher can but say it again."""

    classes, images = CLASSES, tuple(f"{number}.png" for number in range(25))
    labels = np.eye(2, dtype=np.int8)[np.arange(25) % 2]

    def __init__(self, mark: str = "mine") -> None:
        self.mark, self.opened = mark, list[int]()

    def open(self, row: int) -> int:
        self.opened.append(row)
        return row

    def fingerprint(self) -> str:
        return self.mark


def says(images: list[int], known: torch.Tensor) -> torch.Tensor:
    assert torch.equal(known, torch.from_numpy(Scene.labels[images] == 1))
    return torch.tensor([[number / 100, 0.5] for number in images], dtype=torch.float64)


class TestScoring:
    @pytest.fixture(autouse=True)
    def parts_of_ten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scoring, "PART", 10)

    def stopping(self, after: int) -> Any:
        left = [after]

        def teacher(images: list[int], known: torch.Tensor) -> torch.Tensor:
            left[0] -= len(images)
            if left[0] < 0:
                raise KeyboardInterrupt
            return says(images, known)

        return teacher

    def test_any_callable_is_a_teacher(self, tmp_path: Path) -> None:
        file, heard = tmp_path / "new" / "t.npz", list[tuple[int, int]]()
        found = score(Scene(), says, file, batch=4, watch=lambda *counts: heard.append(counts))
        stored = np.load(file)
        assert stored["names"].tolist() == list(Scene.images)
        assert stored["classes"].tolist() == list(CLASSES)
        assert np.array_equal(stored["scores"], found) and found.dtype == np.float32
        assert found[:, 0].tolist() == pytest.approx([number / 100 for number in range(25)])
        assert [path.name for path in file.parent.iterdir()] == ["t.npz"]
        assert heard == sorted(heard) and heard[0] == (4, 25) and heard[-1] == (25, 25)

    def test_the_file_says_whose_labels_a_teacher_may_have_looked_at(self, tmp_path: Path) -> None:
        def blind(images: list[int], known: torch.Tensor) -> torch.Tensor:
            return says(images, known)

        blind.uses_known = False  # type: ignore[attr-defined]
        score(Scene(), says, tmp_path / "looks.npz")
        score(Scene(), blind, tmp_path / "blind.npz")
        assert str(np.load(tmp_path / "looks.npz")["fingerprint"]) == Scene().fingerprint()
        assert "fingerprint" not in np.load(tmp_path / "blind.npz")

    def test_after_a_stop_it_goes_on(self, tmp_path: Path) -> None:
        file, scene = tmp_path / "t.npz", Scene()
        with pytest.raises(KeyboardInterrupt):
            score(scene, self.stopping(after=15), file, batch=5)
        assert not file.exists()
        scene.opened.clear()
        found = score(scene, says, file, batch=5)
        assert sorted(scene.opened) == list(range(10, 25))
        assert np.array_equal(found, score(Scene(), says, tmp_path / "straight.npz"))

    @pytest.mark.parametrize("other", ["images", "teacher"])
    def test_what_something_else_left_is_not_used(self, other: str, tmp_path: Path) -> None:
        file, scene = tmp_path / "t.npz", Scene("other" if other == "images" else "mine")
        with pytest.raises(KeyboardInterrupt):
            score(Scene(), self.stopping(after=15), file, batch=5)
        score(scene, says, file, about="another" if other == "teacher" else "")
        assert sorted(scene.opened) == list(range(25))

    @pytest.mark.parametrize(
        ("teacher", "sentence"),
        [
            (lambda images, known: torch.ones(len(images), 3), r"shape \(10, 3\) for the 10"),
            (lambda images, known: np.full(known.shape, np.nan), "no numbers for some of the 10"),
        ],
    )
    def test_a_teacher_that_says_something_else_is_refused(
        self, teacher: Any, sentence: str, tmp_path: Path
    ) -> None:
        with pytest.raises(DataError, match=sentence):
            score(Scene(), teacher, tmp_path / "t.npz")
        assert not (tmp_path / "t.npz").exists()

    def test_agreement_shows_columns_that_are_mixed_up(self) -> None:
        scores = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]], dtype=np.float32)
        known = np.array([[True, False, False], [False, True, False], [False, True, False]])
        assert measure_agreement(scores, known, 1) == pytest.approx(2 / 3)
        assert measure_agreement(scores, known, 2) == 1
        assert measure_agreement(scores[:, ::-1], known, 1) == pytest.approx(1 / 3)
        assert measure_agreement(scores, np.zeros_like(known), 1) == 0


class TestTowerTeacher:
    """Towers whose embedding of an image is its mean colour, and whose texts are colours."""

    texts = torch.eye(3)

    @staticmethod
    def teacher(**options: Any) -> TowerTeacher:
        def prepare(image: Image.Image) -> torch.Tensor:
            pixels = np.asarray(image, dtype=np.float32) / 255
            return torch.from_numpy(pixels.mean((0, 1)))

        return TowerTeacher(lambda colours: colours, TestTowerTeacher.texts, prepare, **options)

    @staticmethod
    def quarters() -> Image.Image:
        image = Image.new("RGB", (8, 6), (255, 0, 0))
        image.paste((0, 255, 0), (4, 3, 8, 6))
        return image

    def test_only_crops_are_weighed_by_known_labels(self) -> None:
        assert [self.teacher(grid=grid).uses_known for grid in (0, 2)] == [False, True]

    def test_it_looks_at_whole_images(self) -> None:
        known = torch.zeros(1, 3, dtype=torch.bool)
        found = self.teacher(temperature=0.5)([self.quarters()], known)
        length = math.sqrt(0.75**2 + 0.25**2)
        powers = [math.exp(part / length / 0.5) for part in (0.75, 0.25, 0)]
        assert found[0].tolist() == pytest.approx([power / sum(powers) for power in powers])

    def test_and_at_crops(self) -> None:
        images, known = [self.quarters()] * 2, torch.tensor([[True, False, False]] * 2)
        found = self.teacher(grid=2, temperature=0.1)(images, known)
        whole = compute_class_shares(torch.tensor([0.75, 0.25, 0]), self.texts, 0.1)
        red, green = (compute_class_shares(self.texts[label], self.texts, 0.1) for label in (0, 1))
        # The crops' largest shares of red and green exceed that of red in the whole image.
        local = torch.stack([red[0], green[1], torch.min(red[2], green[2])])
        for row in found:
            torch.testing.assert_close(row, (whole + local) / 2)

    def test_a_grid_covers_an_image_without_overlaps(self) -> None:
        image = Image.fromarray(np.arange(7 * 5, dtype=np.uint8).reshape(5, 7))
        parts = [np.asarray(part) for part in cut_into_crops(image, 3)]
        rows = [np.concatenate(parts[first : first + 3], axis=1) for first in (0, 3, 6)]
        assert np.array_equal(np.concatenate(rows), np.asarray(image))
        with pytest.raises(UsageError, match="7 x 5 pixels cannot be cut into 6 x 6"):
            cut_into_crops(image, 6)
        with pytest.raises(UsageError, match="0 or more along a side, not -1"):
            self.teacher(grid=-1)


def test_a_template_names_each_class() -> None:
    prompts = fill_template("a photo of a {}.", ["dining_table", "cat"])
    assert prompts == ["a photo of a dining table.", "a photo of a cat."]
    for wrong in ("a photo", "{} and {}"):
        with pytest.raises(UsageError, match=r"has \{\} once"):
            fill_template(wrong, ["cat"])


class TestTowers:
    def test_they_are_those_of_open_clip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Towers(torch.nn.Module):
            def encode_image(self, images: torch.Tensor) -> torch.Tensor:
                return images * 2

            def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
                return tokens[:, None].half()

        asked: list[Any] = []
        fake = SimpleNamespace(
            create_model_and_transforms=lambda name, **said: (
                asked.append((name, said)) or (Towers(), None, "prepare")
            ),
            get_tokenizer=lambda name: lambda texts: torch.tensor([len(text) for text in texts]),
        )
        monkeypatch.setitem(sys.modules, "open_clip", fake)
        tower, texts, prepare = open_clip_towers("small", "weights", ["a", "bcd"])
        assert asked == [("small", {"pretrained": "weights", "image_resize_mode": "squash"})]
        with pytest.raises(UsageError, match="'squish'; did you mean 'squash'"):
            open_clip_towers("small", "weights", ["a"], resize="squish")  # type: ignore[arg-type]
        assert texts.tolist() == [[1.0], [3.0]] and texts.dtype == torch.float32
        assert tower(torch.ones(1)).item() == 2 and str(prepare) == "prepare"

    def test_without_it_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        usual = builtins.__import__

        def refuse(name: str, *rest: Any) -> Any:
            if name == "open_clip":
                raise ImportError(name)
            return usual(name, *rest)

        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(UsageError, match=r"pip install 'tacit\[clip\]'"):
            open_clip_towers("small", "weights", [])

    def test_what_it_does_not_know_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(name: str, **said: str) -> None:
            raise RuntimeError(f"Model config for {name} not found.\nAnd much more.")

        fake = SimpleNamespace(create_model_and_transforms=refuse)
        monkeypatch.setitem(sys.modules, "open_clip", fake)
        with pytest.raises(UsageError, match="'smal' with the weights 'w': Model .* not found. o"):
            open_clip_towers("smal", "w", [])
