"""A model in chunks: the method sees the whole batch, the gradient is that of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tacit.learner import Learner
from tacit.methods import build_method
from tacit.models import build_model
from tacit.models.wrappers import Chunked
from tacit.types import Annotations, Batch, Clock

CLASSES = ("boat", "car", "fish")


class Smooth(nn.Module):
    """A model without batch normalisation, with a module that draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.drop = nn.Dropout(0.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.drop(self.layer(images).tanh()).mean((2, 3))

    def localise(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.layer(images).tanh()
        return maps.mean((2, 3)), maps

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels


def learner_and_batch(chunks: int) -> tuple[Learner, Batch]:
    torch.manual_seed(0)
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, -1], [1, 0, 0]]).to(torch.int8)
    method = build_method(
        "ignore", warmup_epochs=0, least_lift=0.0, gap_decay=0.5, average_decay=0.5
    )
    method.setup(Annotations(labels, CLASSES))
    learner = Learner(Smooth(), method).double()
    learner.chunks = chunks
    views = {name: torch.rand(5, 3, 8, 8, dtype=torch.float64) for name in ("weak", "strong")}
    return learner, Batch(torch.arange(5), labels, views)


@pytest.mark.parametrize("chunks", [2, 3, 5, 9])
def test_loss_gradient_and_thresholds_are_those_of_the_whole_batch(chunks: int) -> None:
    whole, batch = learner_and_batch(1)
    split, _ = learner_and_batch(chunks)
    results = []
    for learner in (whole, split):
        step = learner(batch, Clock(1, 4))
        step.loss.backward()
        results.append((step, [parameter.grad for parameter in learner.parameters()]))
    (one, gradients), (two, others) = results
    assert torch.equal(one.suspects, two.suspects)
    assert torch.allclose(one.loss, two.loss, rtol=1e-13)
    for a, b in zip(gradients, others, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-14)
    state, other = whole.method.state_dict(), split.method.state_dict()
    assert all(torch.allclose(state[key], other[key], rtol=1e-13) for key in state)


def test_batch_normalisation_counts_each_chunk_once() -> None:
    model = build_model(classes=CLASSES, size=24, trunk="tiny").train()
    chunked = Chunked(model, 3)
    chunked(torch.rand(6, 3, 24, 24)).sum().backward()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(int(norm.num_batches_tracked) == 3 for norm in norms)


def test_activations_of_one_chunk_are_held_at_a_time() -> None:
    model, held = Smooth(), []
    images = torch.rand(8, 3, 16, 16)

    def saved_bytes(module: nn.Module) -> int:
        held.clear()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: held.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            module(images)
        return sum(held)

    # The chunks save their images, and no activations.
    assert saved_bytes(Chunked(model, 4)) < saved_bytes(model) / 1.5
