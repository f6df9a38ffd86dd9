"""Batches that are on their way to the device while a step runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from tacit.images.loader import ShuffledBatches
from tacit.types import Batch


class Prefetch:
    """The batches of the epoch that an order is set to, received on the device.

    On a CUDA device the next batch is copied and turned into what the model reads while the step
    before it runs, one ahead and never more; elsewhere each is received when it is its turn.
    Either way they come in their order, and an error comes in place of the batch it is about.

    Args:
        batches: Batches as they are loaded, each time they are asked.
        receive: Makes of a batch what a step takes, by its place in the run: epochs finished, and
            batches in this one.
        order: Says where in the run the first one is.
        device: Where they are received.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        receive: Callable[..., Batch],
        order: ShuffledBatches,
        device: torch.device,
    ) -> None:
        self.batches, self.receive, self.order = batches, receive, order
        self.side = SideStream(device) if device.type == "cuda" else None

    def __iter__(self) -> Iterator[Batch]:
        received = self._received()
        return received if self.side is None else one_ahead(received, self.side)

    def _received(self) -> Iterator[Batch]:
        finished_epochs = self.order.epoch - 1
        for number, batch in enumerate(self.batches, self.order.start):
            yield self.receive(batch, finished_epochs, number)


class SideStream:
    """A queue of a CUDA device's work beside the one on which steps run."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def begin(self) -> None:
        """Wait, on the device, for what was copied to it before."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def aside(self) -> AbstractContextManager[Any]:
        """Queue here what is asked of the device meanwhile."""
        return torch.cuda.stream(self.stream)

    def hand_over(self, batch: Batch) -> None:
        """Let steps wait, on the device, until the batch is there, and keep its memory for them."""
        steps = torch.cuda.current_stream(self.device)
        steps.wait_stream(self.stream)
        for tensor in (batch.index, batch.labels, *batch.views.values()):
            tensor.record_stream(steps)


def one_ahead(batches: Iterator[Batch], side: SideStream) -> Iterator[Batch]:
    """Yield batches, the next one of which is always on its way already."""
    side.begin()
    coming = _fetch(batches, side)
    while coming is not None:
        if isinstance(coming, Exception):
            raise coming
        # Before the next one is queued, for which the step need not wait.
        side.hand_over(coming)
        batch, coming = coming, _fetch(batches, side)
        yield batch


def _fetch(batches: Iterator[Batch], side: SideStream) -> Batch | Exception | None:
    """Return the next batch, what is wrong with it, or None after the last one."""
    with side.aside():
        try:
            return next(batches, None)
        except Exception as error:  # the batch before is still to be used
            return error
