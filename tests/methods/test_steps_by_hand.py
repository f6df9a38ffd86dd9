"""Single steps of methods of which every term can be found by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tacit.labels import SparseLabels
from tacit.methods.class_priors import ClassPriorRisk
from tacit.methods.consistency import PseudoLabelConsistency
from tacit.types import Annotations, Batch, Clock

LABELS = torch.tensor([[0, 0, 0], [1, -1, 0]], dtype=torch.int8)


@pytest.mark.parametrize(
    ("probability", "present", "decided"),
    [(0.75, True, True), (0.74, False, False), (0.25, False, False), (0.24, False, True)],
)
def test_a_cell_is_sure_from_the_threshold_on_and_below_its_opposite(
    probability: float, present: bool, decided: bool
) -> None:
    method, batch = PseudoLabelConsistency(threshold=0.75), Batch(torch.arange(2), LABELS, {})
    found = method.sort_cells(batch, torch.full((2, 3), probability), 0.75)
    assert found[0].tolist() == [[present] * 3, [True, False, present]]
    assert found[1].tolist() == [[decided] * 3, [True, True, decided]]


def test_the_loss_of_a_batch_is_a_mean() -> None:
    method = ClassPriorRisk(warmup_epochs=1)
    method.setup(Annotations(SparseLabels.of(LABELS.numpy()), ("a", "b", "c"), ("1", "2")))
    logits = torch.zeros(2, 3, requires_grad=True)
    batch = Batch(torch.arange(2), LABELS, {"weak": logits})
    step = method.step(lambda images: images, batch, Clock(epoch=1, epochs=4))  # type: ignore[arg-type]
    assert step.terms["an"].item() == pytest.approx(math.log(2))
    assert step.terms["risk"].item() == 0
