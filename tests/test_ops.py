"""The small numerical parts: guarded means, running averages, and modes that come back."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ranks import reports_of_ranks
from tacit.distributed import sum_over_ranks, world_size
from tacit.methods.parts.statistics import ExponentialAverage, largest_of, masked_mean
from tacit.modes import batch_statistics_only, evaluating

SHARED = torch.tensor([[0.5, -1.2, 2.0, -0.3], [-0.8, 1.5, 0.1, -2.2]], dtype=torch.float64)
MASKED = torch.tensor([[0.3, -1.3, -1.0, -0.2], [-0.9, -0.7, -0.2, -2.3]], dtype=torch.float64)
POSITIVE = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 0]]).bool()
EVERYTHING = torch.ones_like(POSITIVE)
PROCESSES = 2


def update_by_constant(average: ExponentialAverage, constant: float) -> None:
    average.update(torch.tensor([constant], dtype=torch.float64), torch.tensor([True]))


class TestMaskedMean:
    def test_it_averages_the_selected_cells(self) -> None:
        # Worked by hand: (0.5 + 0.1) / 2.
        assert masked_mean(SHARED, POSITIVE).item() == pytest.approx(0.3, rel=1e-12)
        assert masked_mean(SHARED, EVERYTHING).item() == pytest.approx(SHARED.mean().item())

    def test_only_selected_cells_get_a_gradient(self) -> None:
        values = SHARED.clone().requires_grad_()
        masked_mean(values, POSITIVE).backward()
        assert values.grad is not None
        assert torch.equal(values.grad, POSITIVE.double() / 2)

    def test_an_empty_selection_gives_zero_and_a_gradient_of_zero(self) -> None:
        values = SHARED.clone().requires_grad_()
        mean = masked_mean(values, ~EVERYTHING)
        mean.backward()
        assert mean.item() == 0
        assert values.grad is not None
        assert torch.equal(values.grad, torch.zeros_like(SHARED))

    def test_cells_left_out_may_be_anything(self) -> None:
        values = SHARED.masked_fill(~POSITIVE, torch.inf).requires_grad_()
        mean = masked_mean(values, POSITIVE)
        mean.backward()
        assert mean.item() == pytest.approx(0.3)
        assert values.grad is not None
        assert values.grad.isfinite().all()


class TestExponentialAverage:
    def test_started_at_zero_it_lags_behind(self) -> None:
        # The share of the stationary value reached after so many updates, 1 - 0.999 ** updates.
        reached = {
            286: 0.2488448785901517,
            858: 0.5761727288922853,
            900: 0.5936133774547958,
            4605: 0.9900213157512431,
            12312: 0.9999955301696679,
        }
        average = ExponentialAverage(0.999).double()
        for update in range(1, max(reached) + 1):
            update_by_constant(average, 1.0)
            if update in reached:
                assert average.current().item() == pytest.approx(reached[update], rel=1e-9)
                assert average.updates.item() == update

    @pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
    def test_bias_correction_returns_a_constant_from_the_first_update_on(
        self, decay: float
    ) -> None:
        corrected = ExponentialAverage(decay, bias_correction=True)
        plain = ExponentialAverage(decay)
        for update in range(1, 50):
            update_by_constant(corrected, -2.5)
            update_by_constant(plain, -2.5)
            assert corrected.current().item() == pytest.approx(-2.5, rel=1e-4)
            assert plain.current().item() == pytest.approx(-2.5 * (1 - decay**update), rel=1e-4)

    def test_one_update_of_the_gap(self) -> None:
        # Worked by hand: 0.001 * mean(|0.5 - 0.3|, |0.1 + 0.2|) = 0.00025.
        average = ExponentialAverage(0.999).double()
        average.update((SHARED - MASKED).abs(), POSITIVE)
        assert average.current().item() == pytest.approx(0.00025, rel=1e-9)

    @pytest.mark.parametrize(
        ("selected", "expected"),
        [
            # Worked by hand: 0.001 times the mean of each column, first over all cells ...
            (EVERYTHING, [-0.00015, 0.00015, 0.00105, -0.00125]),
            # ... then over the cells without a label.
            (~POSITIVE, [-0.0008, 0.00015, 0.002, -0.00125]),
        ],
        ids=["all", "unknown"],
    )
    def test_one_update_of_the_logits(self, selected: Tensor, expected: list[float]) -> None:
        average = ExponentialAverage(0.999, (4,)).double()
        average.update(SHARED, selected, dim=0)
        torch.testing.assert_close(
            average.current(), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0
        )

    @pytest.mark.parametrize("bias_correction", [False, True])
    def test_an_update_without_observations_changes_nothing(self, bias_correction: bool) -> None:
        average = ExponentialAverage(0.9, (4,), bias_correction=bias_correction)
        before = average.current()
        average.update(SHARED, ~EVERYTHING, dim=0)
        assert torch.equal(average.current(), before)
        average.update(SHARED, EVERYTHING, dim=0)
        after = average.current()
        average.update(SHARED * torch.nan, ~EVERYTHING, dim=0)
        assert torch.equal(average.current(), after)
        assert average.updates.tolist() == [1, 1, 1, 1]

    def test_every_element_counts_its_own_updates(self) -> None:
        average = ExponentialAverage(0.9, (4,), bias_correction=True).double()
        average.update(SHARED, POSITIVE, dim=0)
        average.update(2 * SHARED, EVERYTHING, dim=0)
        assert average.updates.tolist() == [2, 1, 2, 1]
        # Worked by hand: columns seen once give their mean, 2 * 0.15 and 2 * -1.25. The first was
        # 0.5, then 2 * -0.15: (0.9 * 0.05 + 0.1 * -0.3) / 0.19. The third was 0.1, then 2 * 1.05:
        # (0.9 * 0.01 + 0.1 * 2.1) / 0.19.
        expected = torch.tensor([0.015 / 0.19, 0.3, 0.219 / 0.19, -2.5], dtype=torch.float64)
        torch.testing.assert_close(average.current(), expected, rtol=1e-9, atol=0)

    def test_reading_hands_out_a_copy(self) -> None:
        average = ExponentialAverage(0.9)
        read = average.current()
        update_by_constant(average, 1.0)
        assert read.item() == 0

    def test_values_keep_no_graph(self) -> None:
        average = ExponentialAverage(0.9)
        average.update(SHARED.clone().requires_grad_(), EVERYTHING)
        assert not average.current().requires_grad

    def test_the_state_goes_round(self) -> None:
        first = ExponentialAverage(0.9, (4,), bias_correction=True)
        for factor in (1, 2, 3):
            first.update(factor * SHARED, POSITIVE, dim=0)
        second = ExponentialAverage(0.9, (4,), bias_correction=True)
        second.load_state_dict(first.state_dict())
        for average in (first, second):
            average.update(SHARED, EVERYTHING, dim=0)
        assert torch.equal(first.current(), second.current())
        assert torch.equal(first.updates, second.updates)


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class TestModes:
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))

    def test_batch_statistics_only_computes_what_training_does(self) -> None:
        network = small_network()[:3].train()
        before = state_of(network)
        with batch_statistics_only(network):
            quiet = network(self.images)
        assert same(state_of(network), before)
        assert torch.equal(network(self.images), quiet)
        assert not same(state_of(network), before), "afterwards batches are remembered again"

    def test_batch_statistics_only_leaves_layers_without_statistics_alone(self) -> None:
        network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.BatchNorm2d(3))
        with batch_statistics_only(network):
            pass
        assert [layer.track_running_stats for layer in network] == [False, True]

    def test_evaluating_reads_without_dropout_or_batch_statistics(self) -> None:
        network = small_network().train()
        before = state_of(network)
        with evaluating(network):
            seen = network(self.images)
        assert same(state_of(network), before)
        assert all(module.training for module in network.modules())
        assert torch.equal(network.eval()(self.images), seen)

    def test_evaluating_gives_every_module_its_own_mode_back(self) -> None:
        network = small_network().train()
        network[1].eval()
        with evaluating(network):
            assert not any(module.training for module in network.modules())
        assert [module.training for module in network] == [True, False, True, True]

    @pytest.mark.parametrize("manager", [batch_statistics_only, evaluating])
    def test_modes_come_back_after_an_exception(self, manager: Callable[..., object]) -> None:
        network = small_network().train()
        with pytest.raises(ZeroDivisionError), manager(network):  # type: ignore[attr-defined]
            raise ZeroDivisionError
        assert all(module.training for module in network.modules())
        assert network[1].track_running_stats

    @pytest.mark.parametrize(
        ("remember_masked", "weights"),
        # Worked by hand at momentum 0.1: 0.1 * 0.9 ** passes that follow, so that the masked pass
        # has 0.1 / 0.271 = 36.9 % of what a step leaves behind; and nothing if not remembered.
        [(True, (0.081, 0.09, 0.1)), (False, (0.09, 0.1, 0.0))],
    )
    def test_three_passes_leave_these_weights_in_running_statistics(
        self, remember_masked: bool, weights: tuple[float, float, float]
    ) -> None:
        for number, weight in enumerate(weights):
            layer = nn.BatchNorm2d(1).double()
            means = [float(number == view) for view in range(3)]
            weak, strong, masked = (torch.full((2, 1, 2, 2), mean).double() for mean in means)
            layer(weak)
            layer(strong)
            if remember_masked:
                layer(masked)
            else:
                with batch_statistics_only(layer):
                    layer(masked)
            assert layer.running_mean is not None
            assert layer.running_mean.item() == pytest.approx(weight, rel=1e-12, abs=1e-15)


def compute_share(rank: int, processes: int) -> dict[str, Tensor]:
    """Compute everything that is defined over all processes, from one share of the rows."""
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(6, 5, generator=generator) < 0.4
    rows = slice(rank * 6 // processes, (rank + 1) * 6 // processes)
    scale = torch.ones(5, dtype=torch.float64, requires_grad=True)
    mean = masked_mean(values[rows] * scale, mask[rows])
    mean.backward()
    assert scale.grad is not None
    whole, columns = ExponentialAverage(0.9).double(), ExponentialAverage(0.9, (5,)).double()
    whole.update(values[rows], mask[rows])
    columns.update(values[rows], mask[rows], dim=0)
    return {
        "mean": sum_over_ranks(mean) / processes,
        "gradient": sum_over_ranks(scale.grad) / processes,
        "whole": whole.current(),
        "columns": columns.current(),
        "updates": columns.updates,
        "world": torch.tensor(world_size()),
    }


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    # This file run as a script, see below: one process per share.
    shares = reports_of_ranks(__file__, tmp_path, PROCESSES)
    expected = compute_share(0, 1)
    assert expected.pop("world") == 1
    for share in shares:
        assert share.pop("world") == PROCESSES
        for name, value in expected.items():
            torch.testing.assert_close(share[name], value, rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    this_rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=this_rank, world_size=PROCESSES
    )
    torch.save(compute_share(this_rank, PROCESSES), folder / f"{this_rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("count", [-1.0, 0.0, 0.2, 1.0, 2.5, 4.0, 99.0])
def test_as_many_of_the_largest_as_a_tensor_says(count: float) -> None:
    values = torch.tensor([[0.3, -torch.inf], [0.9, 0.1], [0.5, 0.2]])
    marked = largest_of(values, torch.tensor(count))
    kept = sorted(values.flatten().tolist(), reverse=True)[: max(math.ceil(count), 0)]
    assert sorted(values[marked].tolist(), reverse=True) == kept
