"""`tacit.predict`: a few images, in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tacit
from tacit.errors import DataError
from things_to_predict import CLASSES, small_model


def test_files_images_and_arrays_say_the_same(model_folder: Path, images: Path) -> None:
    paths = [images / "00.png", images / "01.png", images / "02.png"]
    opened = [Image.open(path).convert("RGB") for path in paths]
    found = tacit.predict(model_folder, paths, batch=2, device="cpu")
    assert found.classes == CLASSES and found.scores.shape == (3, 3)
    for same in (opened, [np.asarray(image) for image in opened], map(str, paths)):
        scores = tacit.predict(str(model_folder), same, device="cpu").scores
        np.testing.assert_allclose(scores, found.scores, atol=1e-6)
    for one in (paths[1], opened[1], np.asarray(opened[1])):
        scores = tacit.predict(model_folder, one, device="cpu").scores
        np.testing.assert_allclose(scores, found.scores[1:2], atol=1e-6)
    assert tacit.predict(model_folder, [], device="cpu").scores.shape == (0, 3)


def test_labels_are_those_of_the_stored_thresholds_or_of_another(
    model_folder: Path, images: Path
) -> None:
    image = images / "00.png"
    found = tacit.predict(model_folder, image, device="cpu")
    decided = found.scores[0] >= np.float32([0.5, 0.2, 0.5])
    expected = [name for name, yes in zip(CLASSES, decided, strict=True) if yes]
    assert found.labels == [expected]
    assert tacit.predict(model_folder, image, threshold=0, device="cpu").labels == [[*CLASSES]]


def test_a_model_at_hand_is_used_as_it_is(model_folder: Path, images: Path) -> None:
    model = small_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = tacit.predict(model, images / "00.png")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    expected = tacit.predict(model_folder, images / "00.png", device="cpu").scores
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert found.thresholds.tolist() == [0.5, 0.5, 0.5]


def test_a_broken_image_is_refused(model_folder: Path, images: Path) -> None:
    with pytest.raises(DataError, match=r"05b\.jpg is no image"):
        tacit.predict(model_folder, [images / "00.png", images / "05b.jpg"], device="cpu")
