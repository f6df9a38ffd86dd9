"""`tacit export`: from a run to a folder for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_a_run_becomes_a_folder_with_a_card(call: Call, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "for-others"
    answer = call("export", trained, "--out", out, "--no-onnx")
    assert answer.status == 0, answer.err
    assert "model.safetensors" in answer.out
    card = (out / "README.md").read_text()
    for fact in ("# for-others", "known positives", "mAP", " to ", "chosen on", "Limits", "torch"):
        assert fact in card
    again = call("export", trained, "--out", out, "--no-onnx")
    assert again.status == 2 and "is there already" in again.err


def test_onnx_is_compared_on_the_test_images(call: Call, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'tacit[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'tacit[onnx]'")
    told = call("export", trained, "--out", tmp_path / "out", "--compared=5", "--json").json()
    assert told["onnx"]["images"] == 5 and not told["onnx"]["noise"]
    assert set(told["files"]) == {
        *("README.md", "config.json", "label.py", "model.onnx", "model.safetensors"),
    }


def test_a_name_that_is_none_is_refused_first(call: Call, trained: Path, tmp_path: Path) -> None:
    answer = call("export", trained, "--out", tmp_path / "out", "--no-onnx", "--push=birds")
    assert answer.status == 2 and "write owner/name" in answer.err
    assert not (tmp_path / "out").exists()
