"""Single steps: clipping, and what is said when memory runs out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tacit.config import Phase
from tacit.errors import TrainingError
from tacit.learner import Learner
from tacit.methods import build_method
from tacit.training.meter import FiniteWatch
from tacit.training.optim import build_schedule
from tacit.training.parallel import Parallel
from tacit.training.update import Update
from tacit.types import Annotations, Batch, Clock

IMAGES, CLASSES, SIDE = 12, 3, 4
CPU = torch.device("cpu")


class Cramped(nn.Module):
    """A linear model in a memory that holds a few images."""

    def __init__(self, room: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.room, self.error = room, error
        self.layer = nn.Linear(3 * SIDE * SIDE, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise self.error("DefaultCPUAllocator: can't allocate memory")
        logits: Tensor = self.layer(images.flatten(1))
        return logits


def update_of(model: nn.Module, **options: Any) -> tuple[Update, Batch]:
    labels = torch.zeros(IMAGES, CLASSES, dtype=torch.int8)
    labels[:, 0] = 1
    method = build_method("an")
    method.setup(Annotations(labels, ("a", "b", "c")))
    learner, phase = Learner(model, method), Phase(schedule="constant", **options)
    optimiser = torch.optim.SGD(learner.parameters(), lr=1.0)
    watch = FiniteWatch([str(row) for row in range(IMAGES)], CPU)
    schedule = build_schedule(optimiser, phase, 1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=generator)
    batch = Batch(torch.arange(IMAGES), labels, {"weak": images})
    return Update(learner, phase, optimiser, schedule, watch, Parallel(CPU), "fp32"), batch


def moved(clip: float | None) -> float:
    """Take one step of rate 1 and return how far all weights have gone."""
    torch.manual_seed(0)
    update, batch = update_of(Cramped(IMAGES), clip=clip)
    before = [weight.detach().clone() for weight in update.learner.parameters()]
    update.take(batch, Clock(1, 1))
    pairs = zip(update.learner.parameters(), before, strict=True)
    return float(torch.cat([(now.detach() - then).flatten() for now, then in pairs]).norm())


def test_a_long_gradient_is_shortened_and_a_short_one_is_not() -> None:
    free = moved(None)
    assert moved(free / 3) == pytest.approx(free / 3, rel=1e-4)
    assert moved(free * 3) == pytest.approx(free, rel=1e-6)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
@pytest.mark.parametrize(("room", "parts"), [(6, 2), (5, 4), (1, 12)])
def test_advice_names_what_fits(room: int, parts: int, error: type[RuntimeError]) -> None:
    update, batch = update_of(Cramped(room, error))
    with pytest.raises(TrainingError) as caught:
        update.take(batch, Clock(1, 1))
    said = str(caught.value)
    assert f"A step over {IMAGES} images does not fit into the memory of cpu." in said
    assert f"phases.accumulate = {parts}," in said
    assert f"phases.batch = {IMAGES // parts}." in said
    update, batch = update_of(Cramped(room, error), accumulate=parts)
    update.take(batch, Clock(1, 1))


def test_a_model_too_large_for_one_image_is_called_so() -> None:
    update, batch = update_of(Cramped(0))
    with pytest.raises(TrainingError, match="Not even a single one does"):
        update.take(batch, Clock(1, 1))


def test_other_errors_are_not_explained_away() -> None:
    class Broken(Cramped):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("shapes do not match")

    update, batch = update_of(Broken(1))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        update.take(batch, Clock(1, 1))
