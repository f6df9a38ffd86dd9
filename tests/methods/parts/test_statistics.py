"""What is counted over an epoch."""

from __future__ import annotations

import pytest
import torch

from tacit.methods.parts.statistics import Lift

MARKED = torch.tensor([[True, False, True, False], [True, True, False, False]])
POSITIVE = torch.tensor([[True, True, False, False], [False, False, False, False]])
UNKNOWN = torch.tensor([[False, False, True, True], [False, True, True, True]])


def test_lift_is_the_ratio_of_two_shares_over_all_batches_of_an_epoch() -> None:
    lift = Lift()
    lift.count(MARKED, POSITIVE, UNKNOWN)
    lift.count(~MARKED, POSITIVE, UNKNOWN)
    lift.count(MARKED, POSITIVE, UNKNOWN)
    lift.end_epoch()
    # Positives: 1, 1 and 1 of 2 each; unknown: 2, 3 and 2 of 5 each. A known negative is no cell.
    assert lift.value.item() == pytest.approx((3 / 6) / (7 / 15))


def test_an_epoch_starts_from_nothing_and_its_lift_stays_in_the_state() -> None:
    lift = Lift()
    lift.count(MARKED, POSITIVE, UNKNOWN)
    lift.end_epoch()
    kept = Lift()
    kept.load_state_dict(lift.state_dict())
    assert kept.value == lift.value > 0 and not kept.counts.any()
    lift.end_epoch()
    assert lift.value == 0


def test_a_rule_that_marks_known_positives_alone_lifts_without_bound() -> None:
    lift = Lift()
    lift.count(POSITIVE, POSITIVE, UNKNOWN)
    lift.end_epoch()
    assert lift.value == 1e6
    lift.count(POSITIVE & False, POSITIVE, UNKNOWN)
    lift.end_epoch()
    assert lift.value == 0
