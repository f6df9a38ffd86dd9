"""Frozen stages whose work is done once: the outcome is that of doing it at every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tacit.config import Config
from tacit.data.source import Splits
from tacit.errors import UsageError
from tacit.models import build_model
from tacit.models.wrappers import divide
from tacit.training import run
from tacit.training.interrupts import Interrupted

Configure = Callable[..., Config]
CLASSES = ("boat", "car", "fish")
FROZEN = ["trunk.stem", "trunk.stage1", "trunk.stage2"]


def phase(features: str, **more: Any) -> list[dict[str, Any]]:
    """Return a first phase that moves all of the trunk, and one whose lower stages stand still."""
    stored = {"versions": 2} if features == "stages" else {}
    second = {"epochs": 2, "batch": 16, "freeze": FROZEN, "features": features, **stored, **more}
    return [{"epochs": 1, "batch": 16}, second]


@pytest.mark.parametrize("settings", [("method.name=an",), ("method.name=gr", "run.average=0.9")])
def test_training_is_the_same_to_the_last_bit(
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    settings: tuple[str, ...],
) -> None:
    for features in ("fresh", "stages"):
        config = configure(*settings, phases=phase(features))
        run.train(config, tmp_path / features, splits=splits)
    assert_same_runs(tmp_path / "fresh", tmp_path / "stages")


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    configure: Configure,
    splits: Splits,
    tmp_path: Path,
    stop_at: Any,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    config = configure(f"data.store={tmp_path / 'store'}", phases=phase("stages"))
    run.train(config, tmp_path / "whole", splits=splits)
    with pytest.raises(Interrupted):
        run.train(config, tmp_path / "stopped", splits=splits, reporter=stop_at(14))
    run.train(config, tmp_path / "stopped", splits=splits, resume=True)
    assert_same_runs(tmp_path / "whole", tmp_path / "stopped")


def test_lower_stages_read_each_version_once_for_all_runs(
    make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    counts = []
    for seed in (0, 1):  # of the head and of the order; the tiny trunk is the same by hand
        trainer = make_trainer(
            f"data.store={tmp_path / 'store'}", f"run.seed={seed}", phases=phase("stages")[1:]
        )
        torch.manual_seed(5)
        for parameter in trainer.learner.model.trunk.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        seen: list[int] = []
        first = trainer.learner.model.trunk.layers[0]
        first.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(len(inputs[0])))
        trainer.fit()
        counts.append(sum(seen) - 2 - 1)  # to see whether it divides, and what an image takes
        for path in sorted((tmp_path / "run").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    # The second one shows an image to measure it, and no other.
    assert counts == [2 * 96 + 24 + counts[1], counts[1]]


TRUNKS = {
    "tiny": "trunk.stage2",
    "resnet18": "trunk.stage2",
    "efficientnet_b0": "trunk.stage4",
    "convnext_atto": "trunk.stage2",
    "regnetx_002": "trunk.stage2",
    "mobilenetv3_small_050": "trunk.stage3",
    "swinv2_tiny_window8_256": "trunk.stage2",
}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_both_parts_are_the_whole_and_learn_alike(trunk: str) -> None:
    torch.manual_seed(0)
    model: Any = build_model(classes=CLASSES, size=64, trunk=trunk).eval()
    last = int(TRUNKS[trunk][-1])
    still = {name for name, depth in model.trunk.depths(coarse=True).items() if depth <= last}
    for name, parameter in model.trunk.named_parameters():
        parameter.requires_grad_(name not in still)
    lower, upper = divide(model, still)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = lower(images)
    learning = [each for each in model.parameters() if each.requires_grad]
    expected, found = (
        torch.autograd.grad(logits.square().sum(), learning)
        for logits in (model(images), upper(features))
    )
    torch.testing.assert_close(found, expected)
    assert {*map(id, lower.parameters())}.isdisjoint(map(id, learning))


def test_upper_layers_follow_the_mode_of_the_trunk() -> None:
    model: Any = build_model(classes=CLASSES, size=64, trunk="resnet18").train()
    still = {name for name, depth in model.trunk.depths(coarse=True).items() if depth <= 2}
    _, upper = divide(model, still)
    features = torch.randn(4, 128, 8, 8)
    upper(features)
    layers = [each for each in upper.upper.trunk.modules() if list(each.parameters())]
    assert layers and all(layer.training for layer in layers)
    model.eval()
    upper(features)
    assert not any(layer.training for layer in layers)


@pytest.mark.parametrize(
    ("trunk", "last", "message"),
    [
        ("vit_tiny_patch16_224", 3, "cannot be read apart from one another"),
        ("resnet18", 9, "nothing of the trunk learns"),
        ("resnet18", -1, "its first layers learn"),
    ],
)
def test_what_cannot_be_divided_is_refused(trunk: str, last: int, message: str) -> None:
    model: Any = build_model(classes=CLASSES, size=64, trunk=trunk).eval()
    still = {name for name, depth in model.trunk.depths(coarse=True).items() if depth <= last}
    with pytest.raises(UsageError, match=message):
        divide(model, still)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("phases.0.freeze=[]",), r"none is frozen there; say which, as in phases.0.freeze"),
        (("method.name=ignore",), "shows the model images of its own making"),
        (("run.compile=true",), "stages.*run.compile"),
        (("data.mix=logicmix",), "none of mixtures"),
    ],
)
def test_what_does_not_go_with_stored_stages_is_said(
    configure: Configure, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run.complete(configure(*settings, phases=phase("stages")[1:]))


def test_a_store_does_not_grow_beyond_its_limit_and_says_what_it_takes(
    make_trainer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"data.store={tmp_path / 'store'}"
    refused = make_trainer(store, "data.store_limit=0.001", phases=phase("stages")[1:])
    with pytest.raises(UsageError, match=r"take 0.0 GB more .* \(data.store_limit\)"):
        refused.fit()
    assert not (tmp_path / "store").exists()
    monkeypatch.setattr("tacit.training.features.WORTH_SAYING", 1000)
    told: list[str] = []
    trainer = make_trainer(store, phases=phase("stages")[1:])
    monkeypatch.setattr(trainer.reporter, "note", told.append)
    trainer.fit()
    # 96 channels of 12 x 12 places at four bytes; two versions of 96 images, and 24 to validate on.
    assert told == [f"Features take 0.0 GB in {tmp_path / 'store'}: 55 kB of each of 216 images."]
