"""Reading all views of a batch in one go, as if each had been read alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.overrides import TorchFunctionMode

NORMALISE = F.batch_norm


class Together(nn.Module):
    """A model whose trunk reads every view as soon as a method asks for the first of them.

    A method asks for one view after the other and does not notice: as many rows go through every
    layer in half the calls. Batch normalisation still uses the statistics of each view alone, and
    remembers one view after the other, so that the arithmetic is that of views read apart.

    Args:
        model: The model; `reads_together` says whether it can do this.
        views: The views of one batch, (B, 3, S, S) each.
    """

    def __init__(self, model: Any, views: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        self.views = list(views.values())
        self.features: dict[int, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self._finish(self.model, self.model.logits_from, images)
        return logits

    def localise(self, images: Tensor) -> Any:
        """As the model's ``localise``."""
        return self._finish(self.model.localise, self.model.localise_from, images)

    def embed(self, images: Tensor) -> Any:
        """As the model's ``embed``."""
        return self._finish(self.model.embed, self.model.embed_from, images)

    def normalise(self, pixels: Tensor) -> Any:
        """As the model's ``normalise``."""
        return self.model.normalise(pixels)

    def _finish(
        self, alone: Callable[[Tensor], Any], last: Callable[[Tensor], Any], images: Tensor
    ) -> Any:
        # What is read without a graph, or as at inference, is another pass over the same pixels.
        if not (torch.is_grad_enabled() and self.model.training):
            return alone(images)
        if any(view is images for view in self.views):
            self._read()
        features = self.features.pop(id(images), None)
        return alone(images) if features is None else last(features)

    def _read(self) -> None:
        count = len(self.views)
        with ViewByView(count):
            features = self.model.trunk(torch.cat(self.views)).chunk(count)
        for layer in self.model.trunk.modules():
            if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats:
                layer.num_batches_tracked.add_(count - 1)  # type: ignore[union-attr]
        self.features = {id(view): own for view, own in zip(self.views, features, strict=True)}
        self.views = []


class ViewByView(TorchFunctionMode):
    """Lets batch normalisation treat the views that lie in one batch one after the other."""

    def __init__(self, views: int) -> None:
        super().__init__()
        self.views = views

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is not NORMALISE:
            return function(*args, **kwargs)
        images, rest = args[0], args[1:]
        training = kwargs.get("training", rest[4] if len(rest) > 4 else False)
        if not training:
            return NORMALISE(images, *rest, **kwargs)
        return torch.cat([NORMALISE(view, *rest, **kwargs) for view in images.chunk(self.views)])


def reads_together(model: Any) -> bool:
    """Say whether a model can read several views in one go and nothing is otherwise.

    It can where batch normalisation is the only layer that looks at more than one picture, and
    remembers by a constant share.
    """
    for layer in model.modules():
        if isinstance(layer, SyncBatchNorm):
            return False
        if isinstance(layer, _BatchNorm):
            if layer.momentum is None:
                return False
        elif "running_var" in dict(layer.named_buffers(recurse=False)):
            return False
    return isinstance(getattr(model, "trunk", None), nn.Module)
