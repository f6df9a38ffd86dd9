"""The benchmark of large tables reads what it generates, and can fail."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tacit.data.formats import read_listing

FILE = Path(__file__).parents[3] / "bench" / "manifest.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manifest", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_small_table_is_generated_and_measured(
    benchmark: ModuleType, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"labels{suffix}"
    benchmark.generate(path, images=300, classes=20, known=3)
    listing = read_listing(path)
    assert (len(listing), listing.labels.count(1)) == (300, 900)
    measured = benchmark.measure(path, "tacit")
    assert (measured["cells"], measured["kept"]) == (900, 900 * 5 + 301 * 8)
    assert benchmark.measure(path, "arrow")["rows"] == 300


def test_labels_of_all_classes_would_fail(benchmark: ModuleType) -> None:
    images, classes = 1_000_000, 500
    result = {"known labels": images, "images": images, "peak, bytes": 0}
    assert benchmark.holds({**result, "kept, bytes": 13 * images + 8})
    assert not benchmark.holds({**result, "kept, bytes": images * classes})
    dense = {**result, "kept, bytes": 0, "peak, bytes": 2 * images * classes}
    assert not benchmark.holds(dense)
