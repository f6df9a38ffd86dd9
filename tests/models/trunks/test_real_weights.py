"""Real weights from a file, where somebody has them at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tacit.models import build_model

FOLDER = os.environ.get("TACIT_WEIGHTS")
NAME = "mobilenetv2_100_tf_imagenet_fp16.safetensors"

pytestmark = pytest.mark.skipif(
    FOLDER is None or not (Path(FOLDER) / NAME).is_file(),
    reason=f"set TACIT_WEIGHTS to a folder with {NAME} to test real weights",
)


def test_half_precision_weights_with_a_head_of_their_own_load_and_see() -> None:
    model = build_model(
        classes=("one", "two", "three"),
        size=160,
        trunk="mobilenetv2_100",
        trunk_options={"pad_type": "same"},
        weights=str(Path(str(FOLDER)) / NAME),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ).eval()
    assert model.recipe["weights"]["unused"] == ["classifier.bias", "classifier.weight"]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    pixels = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    with torch.inference_mode():
        logits, cam = model.localise(model.normalise(pixels))
    assert torch.allclose(cam.mean((2, 3)), logits, atol=1e-5)
    # Trained features differ from image to image; those of a broken conversion hardly do.
    assert (logits[0] - logits[1]).abs().max() > 1e-3
