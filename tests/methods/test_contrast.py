"""The contrast of labelled pairs, and the ring that remembers them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tacit.methods.consistency import contrastive
from tacit.methods.parts.statistics import Queue

LENGTH = 16


def unit_pairs(count: int, seed: int = 0, length: int = LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 2, length, generator=generator), dim=-1).double()


def contrast_by_loops(pairs: Tensor, classes: Sequence[int], temperature: float) -> float:
    """The same sum, term by term."""
    vectors = [(view, name) for pair, name in zip(pairs, classes, strict=True) for view in pair]
    total = 0.0
    for a, (anchor, name) in enumerate(vectors):
        others = [
            (float(anchor @ vector) / temperature, other)
            for b, (vector, other) in enumerate(vectors)
            if b != a
        ]
        norm = math.log(sum(math.exp(similarity) for similarity, _ in others))
        alike = [similarity - norm for similarity, other in others if other == name]
        total -= sum(alike) / len(alike)
    return total / len(vectors)


class TestContrast:
    def test_it_is_the_sum_of_the_equation(self) -> None:
        pairs, classes = unit_pairs(5, length=7), [3, 0, 3, 1, 0]
        found = contrastive(pairs, torch.tensor(classes), 0.5).item()
        assert found == pytest.approx(contrast_by_loops(pairs, classes, 0.5), rel=1e-12)

    def test_the_order_does_not_matter(self) -> None:
        pairs, classes = unit_pairs(9), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 5])
        expected = contrastive(pairs, classes, 0.5).item()
        order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
        assert contrastive(pairs[order], classes[order], 0.5).item() == pytest.approx(expected)
        assert contrastive(pairs.flip(1), classes, 0.5).item() == pytest.approx(expected)
        assert contrastive(pairs, classes[order], 0.5).item() != pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize("count", [1, 2, 7])
    @pytest.mark.parametrize("temperature", [0.07, 0.5])
    def test_identical_vectors_of_one_class_cost_the_logarithm_of_the_others(
        self, count: int, temperature: float
    ) -> None:
        pairs = unit_pairs(1)[:, :1].expand(count, 2, LENGTH)
        found = contrastive(pairs, torch.zeros(count, dtype=torch.long), temperature).item()
        assert found == pytest.approx(math.log(2 * count - 1), abs=1e-12)

    def test_nothing_costs_nothing_and_keeps_the_gradient_path(self) -> None:
        pairs = torch.zeros(0, 2, LENGTH, requires_grad=True)
        loss = contrastive(pairs, torch.zeros(0, dtype=torch.long), 0.5)
        loss.backward()
        assert loss.item() == 0 and pairs.grad is not None


class TestQueue:
    def test_it_follows_a_list_that_forgets_its_oldest(self) -> None:
        queue, expected = Queue(7, (2,)), deque[int](maxlen=7)
        generator, number = torch.Generator().manual_seed(0), 0
        for count in torch.randint(0, 17, (200,), generator=generator).tolist():
            names = torch.arange(number, number + count)
            number += count
            outlasting = queue.names[queue.find_outlasting(count)].tolist()
            before = list(expected)
            queue.push(names[:, None].expand(count, 2).float(), names)
            expected.extend(names.tolist())
            assert sorted(queue.names[queue.names >= 0].tolist()) == list(expected)
            assert sorted(outlasting) == [name for name in before if name in expected]
            oldest_first = queue.names.roll(-int(queue.position))
            assert oldest_first[oldest_first >= 0].tolist() == list(expected)
            written = queue.names >= 0
            assert torch.equal(queue.entries[written, 0], queue.names[written].float())

    @pytest.mark.parametrize("count", [7, 8, 30])
    def test_a_batch_as_large_as_the_queue_or_larger_leaves_its_last_entries(
        self, count: int
    ) -> None:
        queue = Queue(7, (1,))
        queue.push(torch.zeros(3, 1), torch.full((3,), 99))
        assert not queue.find_outlasting(count).any()
        queue.push(torch.arange(count)[:, None].float(), torch.arange(count))
        assert sorted(queue.names.tolist()) == list(range(count - 7, count))
        assert queue.entries[:, 0].tolist() == queue.names.tolist()

    def test_its_state_goes_round(self) -> None:
        first, second = Queue(5, (1,)), Queue(5, (1,))
        first.push(torch.rand(3, 1), torch.arange(3))
        first.push(torch.rand(4, 1), torch.arange(4))
        second.load_state_dict(first.state_dict())
        for queue in (first, second):
            queue.push(torch.ones(2, 1), torch.tensor([8, 9]))
        assert torch.equal(first.names, second.names)
        assert torch.equal(first.entries, second.entries)
