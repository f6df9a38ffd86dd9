"""Our training step is the plain one of the benchmarks: faster, but not otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import step

TRUNK, SIZE, STEPS = "resnet10t", 64, 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_in_the_usual_layout_it_is_equal_bit_for_bit() -> None:
    assert step.different_bits(TRUNK, SIZE, STEPS) == []


def test_as_we_train_it_is_equal_to_a_few_last_digits() -> None:
    found = step.exact(TRUNK, SIZE, STEPS)
    assert found["compared"] == 86
    assert max(found["loss"], found["weights"]) <= step.EXACT


def test_the_comparison_hears_of_a_last_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "RewordedStep", step.PlainStep)
    found = step.different_bits(TRUNK, SIZE, STEPS)
    assert "head.bias" in found and "trunk.conv1.0.weight" in found
