"""Where heads begin: at the frequency of labels, where the trunk has weights already."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tacit.config import resolve
from tacit.data.source import Source, Splits
from tacit.runs.build import build_learner, record_defaults

CLASSES = ("rare", "common", "never")
HEADS = {"cam": {}, "query2label": {"heads": 2}, "ml_decoder": {"heads": 2, "width": 16}}


def make_splits() -> Splits:
    labels = np.zeros((40, 3), np.int8)
    labels[:30, 1] = 1
    labels[30:32, 0] = 1
    source = Source("toy", CLASSES, [str(row) for row in range(40)], labels, lambda row: None)  # type: ignore[arg-type, return-value]
    return Splits(source, source, source)


def build(head: str = "cam", **settings: Any) -> Any:
    options = f"{{{', '.join(f'{key}={value}' for key, value in HEADS[head].items())}}}"
    told = {"method.name": "an", **settings, "model.name": head, "model.options": options}
    config = resolve(settings=tuple(f"{key}={value}" for key, value in told.items()))
    return build_learner(config, make_splits()).model


@pytest.mark.parametrize("head", HEADS)
def test_a_class_begins_as_probable_as_it_is_common(head: str) -> None:
    model = build(head, **{"model.head_bias": "frequency"})
    begun = model.head.bias.detach().sigmoid()
    torch.testing.assert_close(begun, torch.tensor([0.05, 0.75, 0.0125]))


def test_nothing_else_changes_and_random_is_as_before() -> None:
    plain, random = build().state_dict(), build(**{"model.head_bias": "random"}).state_dict()
    begun = build(**{"model.head_bias": "frequency"}).state_dict()
    assert all(torch.equal(plain[name], random[name]) for name in plain)
    differing = {name for name in plain if not torch.equal(plain[name], begun[name])}
    assert differing == {"head.bias"}


def test_stated_positives_make_all_classes_more_common_alike() -> None:
    """Two and thirty of forty images are 0.8 known positives an image."""
    stated = {"method.name": "epr", "method.expected_positives": 1.0}
    model = build(**{"model.head_bias": "frequency", **stated})
    begun = model.head.bias.detach().sigmoid()
    torch.testing.assert_close(begun, torch.tensor([0.0625, 0.9375, 0.0125]))
    unstated = build(**{"model.head_bias": "frequency", "method.name": "epr"})
    torch.testing.assert_close(
        unstated.head.bias.detach().sigmoid(), torch.tensor([0.05, 0.75, 0.0125])
    )


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ((), "random"),
        (("model.weights=package", "model.trunk=tf_efficientnet_lite0"), "frequency"),
        (("model.weights=package", "model.head_bias=random"), "random"),
    ],
)
def test_a_run_records_where_its_head_began(settings: tuple[str, ...], recorded: str) -> None:
    config = record_defaults(resolve(settings=("method.name=an", *settings)))
    assert config.model.head_bias == recorded
