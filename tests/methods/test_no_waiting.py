"""A training step never makes the host wait for the device.

On an accelerator, work is queued; whoever asks for a value, or for how many cells a mask selects,
waits until the queue is empty. Every operation of every method's step is watched here for those
that ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from support.methods import active_options, labels_for, needed_options
from tacit.config import resolve
from tacit.data.source import Source
from tacit.evaluation.diagnostics import Diagnostics
from tacit.learner import Learner
from tacit.methods import METHODS, build_method, method_class
from tacit.models import build_model
from tacit.training.meter import Meter
from tacit.training.suspects import SuspectLog
from tacit.types import Annotations, Batch, Clock

CLASSES = ("bird", "boat", "car", "fish", "tree")
IMAGES, SIDE = 8, 24
EARLY, LATE = Clock(1, 10), Clock(6, 10, phase=1)
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique2"}


# Contrasting pairs of images and classes needs their list, whose length is in the data.
COUNTS_PAIRS = ("plc_lac", LATE)


class Listener(TorchDispatchMode):
    """Notes operations that ask for values."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__.lstrip("_")
        asks = name in {word.lstrip("_") for word in ASKING}
        if name.startswith("index"):  # by a mask, which has to be counted first
            places = args[1] if isinstance(args[1], list | tuple) else ()
            asks = any(place is not None and place.dtype == torch.bool for place in places)
        if asks:
            self.heard.append(name)
        return function(*args, **(kwargs or {}))


def observed() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    labels = -(torch.rand(IMAGES, len(CLASSES), generator=generator) < 0.3).to(torch.int8)
    labels[range(IMAGES - 1), torch.randint(5, (IMAGES - 1,), generator=generator)] = 1
    return labels


def heard_in_a_step(name: str, clock: Clock) -> list[str]:
    torch.manual_seed(0)
    labels, needed = labels_for(name, observed()), needed_options(name, IMAGES, len(CLASSES))
    method = build_method(name, **active_options(name), **needed)
    method.setup(Annotations(labels, CLASSES))
    asked = method_class(name).model_options
    model = build_model("cam", classes=CLASSES, **{"size": SIDE, "trunk": "tiny", **asked})
    learner = Learner(model, method).train()
    views = {view: torch.randn(IMAGES, 3, SIDE, SIDE) for view in method.views}
    batch = Batch(torch.arange(IMAGES), labels, views)
    meter = Meter()
    diagnostics = Diagnostics(torch.ones_like(labels), torch.device("cpu"))
    names = [f"{row}.png" for row in range(IMAGES)]
    source = Source("toy", CLASSES, names, labels.numpy(), lambda row: pytest.fail("not asked for"))
    suspects = SuspectLog(source, "print", resolve())
    with Listener() as listener:
        step = learner(batch, clock)
        step.loss.backward()
        meter.update(step)
        diagnostics.update(batch, step)
        suspects.update(batch, step, clock.epoch)
    return listener.heard


@pytest.mark.parametrize("clock", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize("name", METHODS)
def test_no_step_asks_the_device_for_a_value(name: str, clock: Clock) -> None:
    heard = heard_in_a_step(name, clock)
    assert heard == (["nonzero", "index", "index"] if (name, clock) == COUNTS_PAIRS else [])


@pytest.mark.parametrize(
    "ask",
    [
        lambda values: values.sum().item(),
        lambda values: values[values > 0],
        lambda values: (values > 0).nonzero(),
        lambda values: float(values[0]),
        lambda values: bool((values > 0).all()),
        lambda values: values.masked_select(values > 0),
    ],
)
def test_asking_is_heard(ask: Any) -> None:
    with Listener() as listener:
        ask(torch.ones(3))
    assert listener.heard
