"""`tacit cache`: what is listed is there, and what is removed is gone and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tacit
from tacit.features.store import KEY_BYTES, Shelf, to_keys
from tacit.images.scaled import open_cache

Call = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TACIT_CACHE", str(tmp_path))
    for name, trunk in (("aa", "tiny"), ("bb", "resnet18")):
        shelf = Shelf(tmp_path / "features" / name, {"trunk": trunk, "size": 32, "pooled": True})
        shelf.add(to_keys([bytes(KEY_BYTES)]), torch.zeros(1, 1000))
    return tmp_path / "features"


def test_the_list_says_what_is_kept_and_how_large_it_is(call: Call, store: Path) -> None:
    rows = call("cache", "--json").json()
    assert [(row["name"], row["trunk"]) for row in rows] == [("aa", "tiny"), ("bb", "resnet18")]
    for row in rows:
        files = (store / row["name"]).iterdir()
        assert row["bytes"] == sum(file.stat().st_size for file in files) > 4000
    assert "resnet18" in call("cache").out
    assert call("cache", "bb", "--json").json() == rows[1:]


def test_only_what_is_named_is_removed(call: Call, store: Path) -> None:
    assert call("cache", "aa", "--clean").status == 0
    assert [path.name for path in store.iterdir()] == ["bb"]
    assert call("cache", "--clean").status == 0
    assert list(store.iterdir()) == [] and call("cache", "--json").json() == []


def test_an_unknown_shelf_is_named_and_nothing_is_removed(call: Call, store: Path) -> None:
    answer = call("cache", "aa", "cc", "--clean")
    assert answer.status == 2 and "'cc'" in answer.err
    assert len(list(store.iterdir())) == 2


def test_a_store_that_is_not_there_is_an_empty_list(call: Call, tmp_path: Path) -> None:
    assert call("cache", "--folder", str(tmp_path / "none"), "--json").json() == []


def test_scaled_images_are_listed_and_removed_too(call: Call, tmp_path: Path) -> None:
    for row in range(3):
        Image.new("RGB", (9, 9), (row, 0, 0)).save(tmp_path / f"{row}.png")
    (tmp_path / "t.csv").write_text("file,labels\n0.png,a\n1.png,b\n2.png,a;b\n")
    source = tacit.load(tmp_path / "t.csv")
    for side in (8, 16):
        open_cache(source, side, tmp_path / "kept")
    (tmp_path / "kept" / "notes-1.txt").write_text("mine")
    rows = call("cache", "--folder=kept", "--json").json()
    told = [(row["kind"], row["size"], row["images"]) for row in rows]
    assert sorted(told) == [("pixels", 8, 3), ("pixels", 16, 3)]
    assert all(row["bytes"] == (tmp_path / "kept" / row["name"]).stat().st_size for row in rows)
    small = next(row["name"] for row in rows if row["size"] == 8)
    assert call("cache", small, "--folder=kept", "--clean").status == 0
    assert [row["size"] for row in call("cache", "--folder=kept", "--json").json()] == [16]
    assert call("cache", "--folder=kept", "--clean").status == 0
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes-1.txt"]
    again = open_cache(source, 8, tmp_path / "kept")
    assert again.pixels is not None and np.asarray(again.open(2)).shape == (8, 8, 3)
