"""Running a model over a batch in parts, so that a large batch fits into a small memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from tacit.errors import UsageError
from tacit.modes import statistics_kept


class Chunked(nn.Module):
    """A model that sees a batch in parts and hands the method the whole.

    A method's thresholds, counts and normalisers are those of the full batch, because the method
    never notices: only the model runs in parts. Each part forgets its activations after the
    forward pass and computes them again for the backward pass, so memory holds one part at a
    time, for about a third more work. Batch normalisation uses the statistics of each part.
    """

    def __init__(self, model: Any, parts: int) -> None:
        super().__init__()
        self.model = model
        self.parts = parts

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self._in_parts(self.model, images)
        return logits

    def localise(self, images: Tensor) -> Any:
        """As the model's ``localise``."""
        return self._in_parts(self.model.localise, images)

    def embed(self, images: Tensor) -> Any:
        """As the model's ``embed``."""
        return self._in_parts(self.model.embed, images)

    def normalise(self, pixels: Tensor) -> Any:
        """As the model's ``normalise``."""
        return self.model.normalise(pixels)

    def _in_parts(self, verb: Callable[[Tensor], Any], images: Tensor) -> Any:
        outputs = [self._run(verb, part) for part in images.chunk(self.parts)]
        if isinstance(outputs[0], tuple):
            return tuple(torch.cat(pieces) for pieces in zip(*outputs, strict=True))
        return torch.cat(outputs)

    def _run(self, verb: Callable[[Tensor], Any], images: Tensor) -> Any:
        if not torch.is_grad_enabled():
            return verb(images)
        # The second pass repeats the first; batch normalisation must not count it twice.
        return checkpoint(
            verb,
            images,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), statistics_kept(self.model)),
        )


class HeadModel(nn.Module):
    """A model whose images are features already: of every verb, the head's part is left."""

    def __init__(self, model: Any, pooled: bool) -> None:
        super().__init__()
        self.model, self.pooled = model, pooled
        self.training = model.training

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.model.logits_from(features)
        return logits

    def localise(self, features: Tensor) -> Any:
        """As the model's ``localise``."""
        self._require_maps()
        return self.model.localise_from(features)

    def embed(self, features: Tensor) -> Any:
        """As the model's ``embed``."""
        self._require_maps()
        return self.model.embed_from(features)

    def normalise(self, features: Tensor) -> Tensor:
        """Return features as they are."""
        return features

    def _require_maps(self) -> None:
        if self.pooled:
            raise UsageError(
                "This method asks where classes are, which pooled features no longer tell; set "
                'phases.features = "maps".'
            )


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
