"""Mixing pairs of images: the images are averaged, the labels joined."""

from __future__ import annotations

import torch

from tacit.images.mixing import mix_logically
from tacit.types import Batch


def mixed(labels: list[list[int]], *seed: int) -> tuple[Batch, Batch]:
    rows = torch.tensor(labels, dtype=torch.int8)
    # Each image holds its own number, so that a mixture tells who is in it.
    views = {"weak": torch.arange(len(rows)).float()[:, None, None, None].expand(-1, 3, 2, 2)}
    batch = Batch(torch.arange(len(rows)), rows, views)
    return batch, mix_logically(batch, *seed)


def test_labels_are_joined_by_or() -> None:
    # All nine pairs of states meet for some seed; worked by hand: 1 wins, then 0, then -1.
    joined = {(1, 1): 1, (1, 0): 1, (1, -1): 1, (0, 0): 0, (0, -1): 0, (-1, -1): -1}
    seen = set()
    for seed in range(40):
        before, after = mixed([[1], [0], [-1], [1], [0], [-1]], seed)
        share = {round(float(value), 5) for value in after["weak"][:, 0, 0, 0]}
        assert len(share) > 1
        for row in range(6):
            options = {
                other
                for other in range(6)
                if after.labels[row] == joined[tuple(sorted((int(before.labels[row]),
                int(before.labels[other])), reverse=True))]
            }  # fmt: skip
            assert options
            seen.add((int(before.labels[row]), int(after.labels[row])))
    assert seen == {(1, 1), (0, 1), (0, 0), (-1, 1), (-1, 0), (-1, -1)}


def test_images_and_labels_come_from_the_same_pair() -> None:
    for seed in range(20):
        before, after = mixed([[1, 0, 0], [0, 1, 0], [0, 0, 1]], seed)
        # With images numbered 0, 1, 2 and one label each, the labels name the pair.
        shares = set()
        for row in range(3):
            (others,) = [[c for c in range(3) if after.labels[row, c] == 1 and c != row]]
            value = float(after["weak"][row, 0, 0, 0])
            if not others:
                assert value == row
                continue
            shares.add(round((value - others[0]) / (row - others[0]), 5))
        assert len(shares) <= 1
        assert all(0.3 <= share <= 0.7 for share in shares)
        assert torch.equal(before.labels, torch.eye(3, dtype=torch.int8))


def test_equal_seeds_mix_alike_and_others_do_not() -> None:
    labels = [[1, 0], [0, 1], [0, -1], [-1, 0], [0, 0]]
    first, second, other = (mixed(labels, *seed)[1] for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first["weak"], second["weak"])
    assert not torch.equal(first["weak"], other["weak"])
