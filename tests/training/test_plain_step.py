"""Our training step is the plain one of the benchmarks: faster, but not otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import step

TRUNK, SIZE, STEPS = "resnet10t", 64, 3
pytestmark = pytest.mark.digits


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


def test_the_comparison_hears_of_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which weights they move depends on the processor; that they move some does not."""
    monkeypatch.setattr(step, "RewordedStep", step.PlainStep)
    found = step.different_bits(TRUNK, SIZE, STEPS)
    assert any(name.startswith("trunk.") for name in found)


def test_the_comparison_hears_of_a_last_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    class OffByOneDigit(step.RewordedStep):
        def __call__(self, views: tuple[Tensor, Tensor, Tensor], labels: Tensor) -> Tensor:
            loss = super().__call__(views, labels)
            self.taken = getattr(self, "taken", 0) + 1
            if self.taken == STEPS:
                bias = self.model.head.bias.detach()
                bias[7] = torch.nextafter(bias[7], bias.new_tensor(torch.inf))
            return loss

    monkeypatch.setattr(step, "RewordedStep", OffByOneDigit)
    assert step.different_bits(TRUNK, SIZE, STEPS) == ["head.bias"]
