"""Weights of trunks from files: under whose names they may come, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from tacit.errors import TacitError, UsageError
from tacit.models import build_model
from tacit.models.artefact import save_model
from tacit.models.trunks.tensor_names import TWINS

SMALL = "test_resnet"  # half a million parameters
State = dict[str, Tensor]
WRITERS: dict[str, Callable[[State, Path], Any]] = {"safetensors": save_file, "pth": torch.save}


def build(trunk: str = SMALL, size: int = 64, **options: Any) -> Any:
    return build_model(classes=("bird", "boat"), size=size, trunk=trunk, **options).eval()


def random_weights(name: str = SMALL, **options: Any) -> State:
    """Return weights in which nothing is as a fresh network has it."""
    torch.manual_seed(3)
    return stirred(timm.create_model(name, num_classes=7, **options))


def stirred(network: torch.nn.Module) -> State:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and (tensor.ndim == 1 or "layer_scale" in name):
            tensor.copy_(torch.rand_like(tensor) * 0.5 + 0.5)
    return dict(network.state_dict())


def load(state: Any, folder: Path, trunk: str = SMALL, **options: Any) -> Any:
    torch.save(state, folder / "own.pth")
    return build(trunk, weights=str(folder / "own.pth"), **options)


@pytest.mark.parametrize("suffix", WRITERS)
def test_weights_come_from_a_file(suffix: str, tmp_path: Path) -> None:
    weights = random_weights()
    path = tmp_path / f"own.{suffix}"
    WRITERS[suffix](weights, path)
    model = build(weights=str(path))
    loaded = model.trunk.network.state_dict()
    counted = {name for name in loaded if not name.endswith("num_batches_tracked")}
    assert counted and all(torch.equal(loaded[name], weights[name]) for name in counted)
    assert model.recipe["weights"] == {
        "source": path.name,
        "licence": "not stated",
        "loaded": len(counted),
        "missing": [],
        "other_shape": [],
        "unused": ["fc.bias", "fc.weight"],
    }
    assert model.recipe["mean"] == [0.5, 0.5, 0.5]  # timm's note on this network's weights


def test_weights_in_half_precision_are_widened(tmp_path: Path) -> None:
    weights = random_weights()
    half = {n: v.half() if v.is_floating_point() else v for n, v in weights.items()}
    save_file(half, tmp_path / "half.safetensors")
    loaded = build(weights=str(tmp_path / "half.safetensors")).trunk.network.state_dict()
    for name, value in loaded.items():
        assert value.dtype == weights[name].dtype
        assert name.endswith("tracked") or torch.equal(value, half[name].to(value.dtype))


def wrapped(prefix: str, *inside: str) -> Callable[[State], Any]:
    def write(state: State) -> Any:
        found: Any = {f"{prefix}{name}": value for name, value in state.items()}
        for name in inside:
            found = {name: found, "epoch": 3, "optimizer": {"state": {}}}
        return found

    return write


@pytest.mark.parametrize(
    "write",
    [
        wrapped("module."),
        wrapped("model."),
        wrapped("backbone."),
        wrapped("module._orig_mod.model.backbone."),
        wrapped("", "state_dict"),
        wrapped("module.", "model"),
        wrapped("trunk.network."),
    ],
)
def test_what_training_code_writes_around_names_is_taken_off(
    write: Callable[[State], Any], tmp_path: Path
) -> None:
    weights = random_weights()
    model = load(write(weights), tmp_path)
    assert torch.equal(model.trunk.network.conv1[0].weight, weights["conv1.0.weight"])
    assert model.recipe["weights"]["unused"] == ["fc.bias", "fc.weight"]
    assert not model.recipe["weights"]["missing"]


def test_a_name_without_a_prefix_comes_before_one_with_it(tmp_path: Path) -> None:
    weights = random_weights()
    average = {f"module.{name}": torch.zeros_like(value) for name, value in weights.items()}
    model = load({**average, **weights}, tmp_path)
    assert torch.equal(model.trunk.network.conv1[0].weight, weights["conv1.0.weight"])


def test_a_trunk_may_come_from_a_model_trained_before(tmp_path: Path) -> None:
    first = build()
    save_model(first, tmp_path)
    second = build(weights=str(tmp_path / "model.safetensors"))
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(second.trunk(images), first.trunk(images))
    assert second.recipe["weights"]["unused"] == ["head.bias", "head.weight"]


# Small settings for large networks, which both libraries know by other names.
SAME = ["mobilenetv2_100", "mnasnet_100", "efficientnet_b0", "convnext_tiny", "resnet18"]


@pytest.mark.parametrize("name", [*SAME, "densenet121", "swin_tiny_patch4_window7_224"])
@torch.no_grad()
def test_weights_of_torchvision_compute_the_same(name: str, tmp_path: Path) -> None:
    theirs: Any = torchvision.models.get_model(TWINS.get(name, name), weights=None)
    weights = stirred(theirs)
    model = load(weights, tmp_path, name, size=224)
    assert model.recipe["weights"]["missing"] == model.recipe["weights"]["other_shape"] == []
    network = timm.create_model(name, num_classes=1000).eval()
    own = dict(model.trunk.network.state_dict())
    head = {k: v for k, v in network.state_dict().items() if k not in own}
    theirs_left = [v for k, v in weights.items() if k.startswith(("classifier", "head", "fc."))]
    for key, value in head.items():
        place = next(i for i, v in enumerate(theirs_left) if v.shape == value.shape)
        own[key] = theirs_left.pop(place)
    network.load_state_dict(own)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    expected, found = theirs.eval()(images), network(images)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_positions_of_torchvision_are_resampled_too(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = torchvision.models.vit_b_32(weights=None).state_dict()
    weights = {name: torch.rand(value.shape) for name, value in shapes.items()}
    model = load(weights, tmp_path, "vit_base_patch32_224", size=128)
    network, record = model.trunk.network, model.recipe["weights"]
    assert network.pos_embed.shape == (1, 17, 768) and not record["missing"]
    assert torch.equal(network.cls_token, weights["class_token"])
    first = "encoder.layers.encoder_layer_0"
    assert torch.equal(network.blocks[0].mlp.fc1.weight, weights[f"{first}.mlp.0.weight"])
    expected = weights["encoder.pos_embedding"][0, 0] + 0
    torch.testing.assert_close(network.pos_embed[0, 0], expected)


@torch.no_grad()
def test_positions_are_resampled_for_another_size(tmp_path: Path) -> None:
    network = timm.create_model("test_vit", img_size=160, num_classes=0)
    rows = torch.linspace(0, 1, 10).view(10, 1).expand(10, 10).reshape(1, 100, 1)
    network.pos_embed[:, network.num_prefix_tokens :] = rows
    model = load(dict(network.state_dict()), tmp_path, "test_vit", size=320)
    loaded = model.trunk.network
    assert model.recipe["weights"]["other_shape"] == model.recipe["weights"]["missing"] == []
    grid = loaded.pos_embed[0, loaded.num_prefix_tokens :, 0].view(20, 20)
    torch.testing.assert_close(grid, grid[:, :1].expand(20, 20), atol=1e-4, rtol=0)
    halves = grid.view(10, 2, 20).mean((1, 2))  # rows keep their order and their range
    torch.testing.assert_close(halves, rows.view(10, 10)[:, 0], atol=0.05, rtol=0)
    assert torch.equal(loaded.blocks[0].attn.qkv.weight, network.blocks[0].attn.qkv.weight)


@pytest.mark.parametrize("other", ["test_efficientnet", "test_vit", "test_convnext"])
def test_weights_of_another_network_are_refused(other: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(random_weights(other), path)
    expected = (
        r"other.safetensors does not hold the weights of 'test_resnet': \d+ of \d+ tensors fit, "
        r"\d+ are missing \(\S+, .*another network; its names begin with"
    )
    with pytest.raises(UsageError, match=expected) as caught:
        build(weights=str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "trunk", ["resnet50", "vit_tiny_patch16_224", "convnext_tiny", "regnetx_002"]
)
def test_no_converter_stumbles_over_weights_of_others(trunk: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seems to be of another network"):
        load(random_weights(), tmp_path, trunk)


def test_a_few_tensors_that_do_not_fit_are_named_and_the_rest_is_loaded(tmp_path: Path) -> None:
    weights = random_weights()
    weights["conv1.0.weight"] = torch.zeros(1, 3, 3, 3)
    del weights["bn1.bias"]
    expected = (
        r"own.pth does not hold all weights of 'test_resnet': \d+ of \d+ tensors fit, "
        r"1 are missing \(bn1.bias\), 1 have another shape \(conv1.0.weight\); those begin random"
    )
    with pytest.warns(UserWarning, match=expected):
        model = load(weights, tmp_path)
    record = model.recipe["weights"]
    assert (record["missing"], record["other_shape"]) == (["bn1.bias"], ["conv1.0.weight"])
    assert torch.equal(model.trunk.network.bn1.weight, weights["bn1.weight"])


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights file at .*absent.pth"):
        build(weights=str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_unreadable_weights_file_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(b"not weights at all")
    with pytest.raises(TacitError, match=f"broken.{suffix}"):
        build(weights=str(path))


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(TacitError, match="own.pth cannot be read as weights"):
        load({"conv1.0.weight": Trap(tmp_path / "sprung")}, tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_a_file_without_tensors_is_named(content: Any, tmp_path: Path) -> None:
    with pytest.raises(TacitError, match="own.pth holds (a list|no tensors by name)"):
        load(content, tmp_path)
