"""A model for others: the folder, its ONNX file beside torch, the script that needs no tacit."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tacit.errors import DataError, UsageError
from tacit.export import onnx_file
from tacit.export.folder import SCRIPT, export_model
from tacit.models import MODELS, build_model
from tacit.models.artefact import save_model
from tacit.prediction.in_memory import predict

CLASSES = ("bird", "boat", "car")
THRESHOLDS = dict(zip(CLASSES, (0.3, 0.5, 0.45), strict=True))


def make_model(folder: Path, name: str = "cam") -> Path:
    torch.manual_seed(0)
    save_model(
        build_model(name, classes=CLASSES, size=32, trunk="tiny"), folder, thresholds=THRESHOLDS
    )
    return folder


def make_images(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    sides = generator.integers(20, 70, (count, 2))
    return [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for height, width in sides
    ]


@pytest.fixture(scope="module")
def runtime() -> Any:
    pytest.importorskip("onnxscript", reason="pip install 'tacit[onnx]'")
    return pytest.importorskip("onnxruntime", reason="pip install 'tacit[onnx]'")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_says_the_same_as_onnx(name: str, tmp_path: Path, runtime: Any) -> None:
    folder = make_model(tmp_path / "model", name)
    images = make_images(11)
    told = export_model(folder, tmp_path / "out", images=images)
    assert told["onnx"]["images"] == 11 and not told["onnx"]["noise"]
    assert told["onnx"]["difference"] < 1e-5 and told["onnx"]["speed"] > 0
    session = runtime.InferenceSession(
        tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["classes"]) == list(CLASSES)
    assert json.loads(notes["thresholds"]) == pytest.approx(list(THRESHOLDS.values()))
    # Any number of images at once, the one that it was traced with or not.
    expected = predict(folder, images, batch=1).scores
    for count in (1, 2, 11):
        shown = [np.array(image.resize((32, 32), Image.Resampling.BILINEAR)) for image in images]
        pixels = np.stack(shown[:count]).transpose(0, 3, 1, 2)
        found = session.run(None, {"pixels": pixels})[0]
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


def test_the_script_needs_neither_tacit_nor_torch(tmp_path: Path, runtime: Any) -> None:
    assert len([line for line in SCRIPT.splitlines() if "import" not in line]) <= 10
    folder = make_model(tmp_path / "model")
    export_model(folder, tmp_path / "out")
    names = []
    for number, image in enumerate(make_images(3)):
        names.append(str(tmp_path / f"{number}.png"))
        image.save(names[-1])
    ban = "import sys; sys.modules['torch'] = sys.modules['tacit'] = None; "
    run = "import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    script = str(tmp_path / "out" / "label.py")
    said = subprocess.run(
        [sys.executable, "-c", ban + run, script, *names],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = predict(folder, names)
    for line, name, labels in zip(said, names, expected.labels, strict=True):
        path, *found = line.split()
        assert path == name and [each.partition("=")[0] for each in found] == labels


def test_a_file_that_says_something_else_is_not_kept(
    tmp_path: Path, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "fold", _turn)
    with pytest.raises(DataError, match="was not kept"):
        export_model(make_model(tmp_path / "model"), tmp_path / "out")
    assert not (tmp_path / "out" / "model.onnx").exists()


def _turn(model: Any) -> Any:
    turned = copy.deepcopy(model)
    with torch.no_grad():
        turned.head.bias.add_(0.1)
    return turned


def test_without_onnx_a_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'tacit\[onnx\]'.*--no-onnx"):
        export_model(make_model(tmp_path / "model"), tmp_path / "out")


def test_weights_alone_are_a_model_that_can_be_loaded(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    told = export_model(folder, tmp_path / "out", onnx=False)
    assert sorted(told["files"]) == ["README.md", "config.json", "model.safetensors"]
    image = make_images(1)
    assert (predict(tmp_path / "out", image).scores == predict(folder, image).scores).all()
    with pytest.raises(UsageError, match="is there already"):
        export_model(folder, tmp_path / "out", onnx=False)
    with pytest.raises(UsageError, match="one image at least"):
        export_model(folder, tmp_path / "new", compared=0)


def test_a_model_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no trained model"):
        export_model(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
