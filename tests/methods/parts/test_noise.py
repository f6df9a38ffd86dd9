"""Numbers drawn for cells: spread as they should be, and the same whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tacit.methods.parts.noise import draw_normal, draw_uniform, number_cells


def mix(value: int) -> int:
    """The published mixing function, in whole numbers of any length."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_numbers_are_mixed_as_published() -> None:
    for number in (0, 1, 17, 2**40 + 3):
        for stream in (0, 5):
            whole = mix(mix((number * 0x9E3779B97F4A7C15 + mix(stream)) % 2**64))
            expected = ((whole >> 33) % 2**24) / 2**24
            assert draw_uniform(torch.tensor(number), stream).item() == pytest.approx(expected)


def test_draws_are_uniform_and_those_of_streams_and_rows_are_unrelated() -> None:
    numbers = number_cells(torch.arange(2000), 10)
    draws = [draw_uniform(numbers, stream).numpy() for stream in (1, 2)]
    for each in draws:
        assert each.min() >= 0 and each.max() < 1
        counts = np.histogram(each, 20, (0, 1))[0]
        # 19 degrees of freedom: 43.8 is exceeded once in a thousand times.
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
        assert abs(np.corrcoef(each[:-1].ravel(), each[1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(draws[0].ravel(), draws[1].ravel())[0, 1]) < 0.03


def test_a_part_of_the_rows_gets_what_it_has_among_all() -> None:
    whole = draw_normal(number_cells(torch.arange(8), 5), torch.tensor(3))
    part = draw_normal(number_cells(torch.tensor([6, 2]), 5), torch.tensor(3))
    assert torch.equal(part, whole[[6, 2]])


def test_normal_draws_have_mean_and_deviation() -> None:
    draws = draw_normal(torch.arange(20_000), 4)
    assert draws.isfinite().all()
    assert draws.mean().item() == pytest.approx(0, abs=0.03)
    assert draws.std().item() == pytest.approx(1, abs=0.03)
