"""A trained model as two files that need nothing else to be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tacit.errors import DataError, UsageError
from tacit.models import MODELS, build_model
from tacit.models.artefact import load_model, read_config, read_thresholds, save_model
from tacit.models.base import Purpose
from tacit.models.cam_head import CamModel
from tacit.models.trunks.networks import TinyTrunk

CLASSES = ("bird", "boat", "car")


def trained_model(trunk: str = "tiny", **options: Any) -> Any:
    """Build a model whose weights and statistics are not those it starts with."""
    torch.manual_seed(0)
    model = build_model(classes=CLASSES, size=32, trunk=trunk, **options).train()
    for _ in range(2):
        model(torch.randn(4, 3, 32, 32)).sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    return model.eval()


@pytest.mark.parametrize(
    ("trunk", "options"),
    [
        ("tiny", {}),
        ("tiny", {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}),
        ("test_resnet", {}),
        ("test_resnet", {"trunk_options": {"in_chans": 3, "drop_path_rate": 0.1}}),
    ],
)
@torch.no_grad()
def test_a_model_comes_back_bit_for_bit(
    trunk: str, options: dict[str, Any], tmp_path: Path
) -> None:
    with torch.enable_grad():
        model = trained_model(trunk, **options)
    save_model(model, str(tmp_path / "deep" / "folder"))  # a path or a string, whatever one has
    assert read_config(str(tmp_path / "deep" / "folder")) == read_config(tmp_path / "deep/folder")
    load_model(tmp_path / "deep" / "folder")
    loaded: Any = load_model(str(tmp_path / "deep" / "folder"))
    assert not loaded.training
    assert loaded.classes == CLASSES
    assert loaded.size == 32
    assert torch.equal(loaded.mean, model.mean)
    assert torch.equal(loaded.std, model.std)
    state = model.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    images = torch.randn(2, 3, 32, 32)
    for one, other in zip(loaded.localise(images), model.localise(images), strict=True):
        assert torch.equal(one, other)


def test_saving_again_replaces_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path, best={"map": 0.1})
    save_model(trained_model(), tmp_path, best={"map": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    config = read_config(tmp_path)  # what is said about a model beside its recipe is kept
    assert config["best"] == {"map": 0.5}
    assert config["model"]["classes"] == list(CLASSES)


def test_loading_needs_neither_methods_nor_training(tmp_path: Path) -> None:
    for name in MODELS:
        save_model(trained_model(name=name), tmp_path / name)
    code = (
        "import sys; from pathlib import Path; from tacit.models.artefact import load_model; "
        "[load_model(folder) for folder in Path(sys.argv[1]).iterdir()]; "
        "extra = [n for n in sys.modules if n.startswith(('tacit.methods', 'tacit.training'))]; "
        "assert not extra, extra"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no trained model .*config.json is missing"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not readable as JSON"), ('{"format": 99, "model": {}}', "format 99; .* reads 1")],
)
def test_an_unreadable_configuration_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        weights.write_bytes(damaged)
        with pytest.raises(DataError, match="model.safetensors cannot be read"):
            load_model(tmp_path)
    weights.unlink()
    with pytest.raises(DataError, match="model.safetensors cannot be read"):
        load_model(tmp_path)


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["classes"].append("fish")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        DataError, match="model.safetensors cannot be read.*mismatch for head"
    ) as told:
        load_model(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("size", -1, "model.size: "),
        ("size", 32.5, "model.size: "),
        ("size", "32", "model.size: "),
        ("std", [0.0, 1.0, 1.0], r"model\.std\.0: .*greater than 0"),
        ("std", [1.0, 1.0], "model.std: "),
        ("mean", [float("nan"), 0.0, 0.0], r"model\.mean\.0: .*finite"),
        ("mean", None, "model.mean: "),
        ("classes", ["bird", "boat", "bird"], "model.classes: the class 'bird' is named twice"),
        ("classes", ["bird"], "model.classes: "),
        ("classes", "bird", "model.classes: "),
        ("trunk", "hf-hub:somebody/anything", "model.trunk: "),
        ("trunk", "local-dir:/", "model.trunk: "),
        ("trunk_options", [], "model.trunk_options: "),
        ("boost", float("inf"), "model.boost: "),
        ("embedding_dim", 1 << 40, "model.embedding_dim: "),
        ("harmful", 1, "model.harmful: "),
    ],
)
def test_a_configuration_that_makes_no_sense_is_named(
    key: str, value: Any, said: str, tmp_path: Path
) -> None:
    save_model(trained_model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=f"config.json describes no model .*{said}"):
        load_model(tmp_path)


@pytest.mark.parametrize("thresholds", [{"bird": float("nan")}, {"bird": "0.5"}, [0.5]])
def test_thresholds_are_numbers(thresholds: Any, tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path, thresholds={"bird": 0.5})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "thresholds": thresholds}))
    with pytest.raises(DataError, match=r"config\.json describes no model .*thresholds"):
        read_config(tmp_path)


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    plain: Any = torch.nn.Linear(2, 2)
    with pytest.raises(UsageError, match="A Linear cannot be saved .* build_model"):
        save_model(plain, tmp_path / "plain")
    bare: Any = CamModel(TinyTrunk(), Purpose(CLASSES, 32))
    with pytest.raises(UsageError, match="A CamModel cannot be saved"):
        save_model(bare, tmp_path / "bare")
    model = trained_model()
    model.recipe["classes"] = ["bird", "bird"]
    with pytest.raises(UsageError, match="This CamModel could not be loaded again: .*named twice"):
        save_model(model, tmp_path / "twice")
    assert list(tmp_path.iterdir()) == []


@torch.no_grad()
def test_weights_of_attention_are_read_by_the_names_they_once_had(tmp_path: Path) -> None:
    model = trained_attention()
    save_model(model, tmp_path / "model")
    # Copied, since safetensors 0.5 reads from the file as it then is.
    state = {n: v.clone() for n, v in load_file(tmp_path / "model/model.safetensors").items()}
    old = {
        name.replace(".in_proj.", ".inward.").replace(".out_proj.", ".outward."): value
        for name, value in state.items()
    }
    assert len(old.keys() - state.keys()) >= 4
    save_file(old, tmp_path / "model/model.safetensors")
    loaded = load_model(tmp_path / "model")
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def trained_attention() -> Any:
    torch.manual_seed(0)
    return build_model("query2label", classes=CLASSES, size=32, trunk="tiny").eval()


def decided() -> dict[str, Any]:
    return {
        "goal": "f1",
        "met": True,
        "rests_on": "clean labels of 9 validation images",
        "evidence": "clean",
        "images": 9,
        "labels_per_image": {"value": 1.5, "source": "counted"},
        "expected": {"labels": 1.0, "precision": 0.9, "recall": 0.6, "f1": 0.72},
        "undecided": [],
        "calibration": {"slope": 1.2, "shifts": {"bird": -1.0}},
        "curve": {
            "threshold": [0.7, 0.2],
            "labels": [0.5, 1.0],
            "precision": [0.95, 0.9],
            "missed": [0.6, 0.1],
            "present": 1.5,
            "images": 9,
        },
        "later": "what a newer tacit may say beside it",
    }


def test_decisions_are_kept_beside_thresholds(tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path, thresholds={"bird": 0.25}, decisions=decided())
    assert read_config(tmp_path)["decisions"] == decided()
    names = list(read_config(tmp_path)["model"]["classes"])
    expected = [0.25 if name == "bird" else 0.5 for name in names]
    assert read_thresholds(tmp_path).tolist() == expected
    assert read_thresholds(tmp_path, 0.125).tolist() == [0.125] * len(names)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("goal", ""),
        ("evidence", "guessed"),
        ("images", 0),
        ("labels_per_image.value", -1.0),
        ("labels_per_image.source", "dreamt"),
        ("expected.precision", 1.5),
        ("calibration.slope", 0.0),
        ("calibration.shifts", {"bird": "-1"}),
        ("curve.threshold", [0.7]),
        ("curve.labels", []),
        ("look_from", {"bird": float("inf")}),
    ],
)
def test_decisions_that_make_no_sense_are_named(place: str, value: Any, tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path, decisions=decided())
    config = json.loads((tmp_path / "config.json").read_text())
    table, _, key = f"decisions.{place}".rpartition(".")
    inner = config
    for step in table.split("."):
        inner = inner[step]
    inner[key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        DataError, match=rf"config\.json describes no model .*decisions\.{place.split('.')[0]}"
    ):
        read_config(tmp_path)


def test_a_threshold_of_no_class_is_refused(tmp_path: Path) -> None:
    save_model(trained_model(), tmp_path, thresholds={"brid": 0.5})
    with pytest.raises(UsageError, match="brid"):
        read_thresholds(tmp_path)
