"""The running average of weights, against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tacit.training.update import AveragedModel


def make_model(value: float) -> nn.Module:
    """Return a layer and its batch normalisation, all weights and statistics one value."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    fill(model, value)
    return model


def fill(model: nn.Module, value: float) -> None:
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(value)


def test_the_average_follows_slowly_and_without_correction() -> None:
    # From 0 towards 1 with decay 0.9: 0.1, then 0.9 * 0.1 + 0.1 = 0.19, then 0.271.
    model = make_model(0.0)
    average = AveragedModel(model, 0.9)
    fill(model, 1.0)
    for expected in (0.1, 0.19, 0.271):
        average.update(model)
        for name, tensor in average.model.state_dict().items():
            if tensor.is_floating_point():
                assert tensor.flatten().tolist() == pytest.approx([expected] * tensor.numel()), name


def test_integer_buffers_are_copied() -> None:
    model = make_model(0.0)
    average = AveragedModel(model, 0.9)
    model[1].num_batches_tracked.fill_(7)
    average.update(model)
    assert average.model[1].num_batches_tracked.item() == 7
    assert average.model[1].num_batches_tracked is not model[1].num_batches_tracked


def test_the_average_begins_as_the_model() -> None:
    model = make_model(3.0)
    average = AveragedModel(model, 0.5)
    average.update(model)
    assert all(torch.all(tensor == 3) for tensor in average.model.state_dict().values())


def test_the_model_itself_is_left_alone() -> None:
    model = make_model(0.0).train()
    average = AveragedModel(model, 0.9)
    average.update(model)
    assert all(torch.all(tensor == 0) for tensor in model.state_dict().values())
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
