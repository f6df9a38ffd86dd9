"""Models on the hub, without a network: a folder stands in for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from tacit.errors import DataError, UsageError
from tacit.export.card import card
from tacit.export.hub import from_pretrained, push_to_hub
from tacit.models import build_model
from tacit.models.artefact import read_config, save_model
from tacit.models.base import Model

CLASSES = ("bird", "boat", "car")
THRESHOLDS = dict(zip(CLASSES, (0.1, 0.2, 0.3), strict=True))


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return build_model("query2label", classes=CLASSES, size=24, trunk="tiny").eval()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder in the place of the hub."""

    class Api:
        def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
            assert exist_ok
            folder = tmp_path / name
            folder.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{name.replace('/', '-')}.private").write_text(str(private))

        def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
            assert commit_message
            shutil.copytree(folder_path, tmp_path / repo_id, dirs_exist_ok=True)

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert set(allow_patterns) == {"config.json", "model.safetensors"}
        folder = tmp_path / name / (revision or "")
        if not folder.is_dir():
            raise FileNotFoundError(f"nothing at {name}\nand more")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return tmp_path


@torch.no_grad()
def assert_same(one: Model, other: Model) -> None:
    images = torch.randn(2, 3, 24, 24)
    assert not other.training
    assert one.classes == other.classes
    assert torch.equal(one(images), other(images))


def test_what_is_pushed_can_be_loaded_by_name(hub: Path, model: Model) -> None:
    address = push_to_hub(model, "someone/birds", private=True, thresholds=THRESHOLDS)
    assert address == "https://huggingface.co/someone/birds"
    assert (hub / "someone-birds.private").read_text() == "True"
    names = sorted(path.name for path in (hub / "someone" / "birds").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    assert read_config(hub / "someone" / "birds")["thresholds"] == THRESHOLDS
    assert_same(model, from_pretrained("someone/birds"))


def test_a_revision_can_be_asked_for(hub: Path, model: Model) -> None:
    save_model(model, hub / "someone" / "birds" / "v1")
    assert_same(model, from_pretrained("someone/birds", revision="v1"))


def test_a_folder_needs_no_hub(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None, raising=False)
    save_model(model, tmp_path / "saved")
    assert_same(model, from_pretrained(tmp_path / "saved"))
    assert_same(model, from_pretrained(str(tmp_path / "saved")))


def test_a_card_says_what_the_model_is(model: Model) -> None:
    config: dict[str, Any] = {"model": {**model.recipe}}
    config["model"]["weights"] = {"source": "timm/resnet50", "licence": "apache-2.0"}
    text = card(config, "someone/birds")
    assert text.startswith("---\nlibrary_name: tacit\n")
    for fact in ("# birds", "3 classes", "`query2label` on `tiny`", "24 pixels", "apache-2.0"):
        assert fact in text
    assert 'from_pretrained("someone/birds")' in text


def test_what_is_not_there_is_named(hub: Path, model: Model) -> None:
    message = "'no/such' is neither a folder nor a model on the hub .*: nothing at no/such$"
    with pytest.raises(DataError, match=message):
        from_pretrained("no/such")
    with pytest.raises(UsageError, match="'birds' is no name of a repository; write owner/name"):
        push_to_hub(model, "birds")
