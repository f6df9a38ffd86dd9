"""`tacit observe` as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Call = Callable[..., Any]


def write_photos(folder: Path) -> Path:
    lines = ["file,labels"]
    for number in range(12):
        Image.new("RGB", (16, 16), (20 * number, 99, 99)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'a;b' if number % 2 else 'b;c'}")
    table = folder / "photos.csv"
    table.write_text("\n".join(lines))
    return table


def test_full_labels_become_a_prepared_data_set(call: Call, tmp_path: Path) -> None:
    table = write_photos(tmp_path)
    refused = call("observe", str(table), "--out=drawn")
    assert refused.status == 3 and "--absent negative" in refused.err
    answer = call("observe", str(table), "--absent=negative", "--out=drawn", "--json")
    assert answer.status == 0
    assert answer.json()["known positives"] == 12 and answer.json()["known negatives"] == 0
    assert "tacit train --data drawn" in answer.err
    trained = call(
        "train", "--data=drawn", "--method=an", "--trunk=tiny", "--epochs=1", "--out=run", "--json",
        "--set=phases.batch=4", "--set=model.size=16",
    )  # fmt: skip
    assert trained.status == 0 and trained.json()["selection"] == "validation, clean labels"


def test_another_draw_lies_beside_the_first(call: Call, coco2014: Path) -> None:
    assert call("prepare", "coco2014", f"--root={coco2014}", "--out=coco").status == 0
    answer = call("observe", "coco", "--way=salient", "--name=large")
    assert answer.status == 0 and "data.options.observed=large" in answer.err
    assert {line.split()[0] for line in answer.out.splitlines()[1:]} == {"person", "car", "bus"}
    assert call("observe", "coco", "--way=salient", "--name=large").status == 3
    trained = call(
        "train", "--data=coco", "--method=an", "--trunk=tiny", "--epochs=1", "--out=run",
        "--set=data.options.observed=large", "--set=phases.batch=2", "--set=model.size=16",
        "--set=data.validation=0.34",
    )  # fmt: skip
    assert trained.status == 0
