"""Means over processes, seen from one of them: what the others hold is stated."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tacit.methods.parts import statistics
from tacit.methods.parts.statistics import ExponentialAverage, global_mean, masked_mean


@pytest.fixture
def of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be one of three processes; the two others add 12 to whatever is summed."""

    def add_theirs(value: Tensor) -> Tensor:
        return value.detach() + 12

    monkeypatch.setattr(statistics, "world_size", lambda: 3)
    monkeypatch.setattr(statistics, "sum_over_ranks", add_theirs)


@pytest.mark.usefixtures("of_three")
def test_a_mean_is_everybodys_and_its_gradient_ones_own() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    mean = global_mean(values)
    assert mean.tolist() == pytest.approx([(2 + 12) / 3, (4 + 12) / 3])
    mean.sum().backward()
    assert values.grad is not None and values.grad.tolist() == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.usefixtures("of_three")
def test_a_masked_mean_divides_by_everybodys_cells() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True)
    mean = masked_mean(values, torch.tensor([True, False, True, True]))
    # Gradients are averaged over three processes afterwards, so one's share counts threefold.
    assert mean.item() == pytest.approx(3 * 13 / (3 + 12))
    mean.backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([1.0, 0, 1, 1]) * 3 / 15)


@pytest.mark.usefixtures("of_three")
def test_a_running_average_takes_in_everybodys_mean() -> None:
    average = ExponentialAverage(0.75)
    average.update(torch.tensor([3.0, 5.0, 100.0]), torch.tensor([True, True, False]))
    # A sum of 8 + 12 over 2 + 12 cells, of which a quarter is taken in.
    assert average.value.item() == pytest.approx(20 / 14 / 4)


@pytest.mark.parametrize("corrected", [False, True])
def test_an_element_that_nobody_saw_keeps_what_it_was_given(corrected: bool) -> None:
    average = ExponentialAverage(0.75, (2,), bias_correction=corrected)
    average.value.fill_(7.0)
    average.update(torch.tensor([[1.0, 1.0]]), torch.tensor([[True, False]]), dim=0)
    # Three quarters of 7 and one of 1 make 5.5; corrected, it is divided by the quarter.
    assert average.current().tolist() == pytest.approx([22.0 if corrected else 5.5, 7.0])
