"""Models that are asked in chunks, from stored features, or for all views in one go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from tacit.errors import UsageError
from tacit.models.trunks.divide import Lower, Upper, divide_trunk
from tacit.modes import keeping_statistics

FINISHERS = {"forward": "logits_from", "localise": "localise_from", "embed": "embed_from"}
"""The verbs of a model, and what each becomes once the trunk's features are there."""


class Wrapper(nn.Module):
    """A model that is asked in a way of its own; whoever asks does not notice.

    Args:
        model: Who answers in the end.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self._call("forward", images)

    def localise(self, images: Tensor) -> Any:
        """As the model's ``localise``."""
        return self._call("localise", images)

    def embed(self, images: Tensor) -> Any:
        """As the model's ``embed``."""
        return self._call("embed", images)

    def normalise(self, pixels: Tensor) -> Any:
        """As the model's ``normalise``."""
        return self.model.normalise(pixels)

    def _call(self, verb: str, images: Tensor) -> Any:
        """Answer a verb for images."""
        raise TypeError(f"{type(self).__name__} does not say how it is asked: define `_call`")

    def _ask(self, verb: str, images: Tensor) -> Any:
        """Ask the model itself."""
        # A call and no `forward`, which would leave out the model's hooks.
        return self.model(images) if verb == "forward" else getattr(self.model, verb)(images)

    def _finish(self, verb: str, features: Tensor) -> Any:
        """Ask what is left of the model behind its trunk."""
        return getattr(self.model, FINISHERS[verb])(features)


class Chunked(Wrapper):
    """A model that sees a batch in chunks and hands the method the whole.

    A method's thresholds, counts and normalisers are those of the full batch, because the method
    never notices: only the model runs in chunks. Each chunk forgets its activations after the
    forward pass and computes them again for the backward pass, so memory holds one chunk at a
    time, for about a third more work. Batch normalisation uses the statistics of each chunk.
    """

    def __init__(self, model: Any, chunks: int) -> None:
        super().__init__(model)
        self.chunks = chunks

    def _call(self, verb: str, images: Tensor) -> Any:
        outputs = [self._run(verb, chunk) for chunk in images.chunk(self.chunks)]
        if isinstance(outputs[0], tuple):
            return tuple(torch.cat(pieces) for pieces in zip(*outputs, strict=True))
        return torch.cat(outputs)

    def _run(self, verb: str, images: Tensor) -> Any:
        if not torch.is_grad_enabled():
            return self._ask(verb, images)
        # The second pass repeats the first; batch normalisation must not count it twice.
        return checkpoint(
            self._ask,
            verb,
            images,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), keeping_statistics(self.model)),
        )


class NoTrunk(nn.Module):
    """Stands where a trunk would, in a model whose images are features already.

    Args:
        channels: Length of the features of a place.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        return features

    def depths(self, coarse: bool = False) -> dict[str, int]:
        """Return how deep each parameter lies: there are none."""
        return {}


class HeadModel(Wrapper):
    """A model whose images are features already: of every verb, the head's part is left."""

    def __init__(self, model: Any, pooled: bool) -> None:
        super().__init__(model)
        self.pooled = pooled
        self.training = model.training

    def normalise(self, features: Tensor) -> Tensor:
        """Return features as they are."""
        return features

    def _call(self, verb: str, features: Tensor) -> Any:
        if self.pooled and verb != "forward":
            raise UsageError(
                "This method asks where classes are, which pooled features no longer tell; set "
                'phases.features = "maps".'
            )
        return self._finish(verb, features)


class UpperModel(Wrapper):
    """A model whose images are what the frozen stages of its trunk made of them."""

    def __init__(self, model: Any, upper: Upper) -> None:
        super().__init__(model)
        self.upper = upper
        self.training = model.training
        self.channels_last = any(
            each.ndim == 4 and each.is_contiguous(memory_format=torch.channels_last)
            for each in model.trunk.parameters()
            if not each.is_contiguous()
        )

    def normalise(self, features: Tensor) -> Tensor:
        """Return features as they are."""
        return features

    def _call(self, verb: str, features: Tensor) -> Any:
        # In the layout in which the layers below would have handed them on.
        if self.channels_last and features.ndim == 4:
            features = features.contiguous(memory_format=torch.channels_last)
        return self._finish(verb, self.upper(features))


def divide(model: Any, still: Collection[str]) -> tuple[Lower, UpperModel]:
    """Return what the frozen stages of a model's trunk are, and the model that reads from there.

    Args:
        model: The model.
        still: Names of its trunk's parameters that stand still.
    """
    lower, upper = divide_trunk(model.trunk, still, model.size)
    return lower, UpperModel(model, upper)


NORMALISE = F.batch_norm


class FusedViews(Wrapper):
    """A model whose trunk reads every view as soon as a method asks for the first of them.

    A method asks for one view after the other and does not notice: as many rows go through every
    layer in half the calls. Batch normalisation still uses the statistics of each view alone, and
    remembers one view after the other, so that the arithmetic is that of views read apart.

    Args:
        model: The model; `can_fuse_views` says whether it can do this.
        views: The views of one batch, (B, 3, S, S) each.
    """

    def __init__(self, model: Any, views: Mapping[str, Tensor]) -> None:
        super().__init__(model)
        self.views = list(views.values())
        self.features: dict[int, Tensor] = {}

    def _call(self, verb: str, images: Tensor) -> Any:
        # What is read without a graph, or as at inference, is another pass over the same pixels.
        if not (torch.is_grad_enabled() and self.model.training):
            return self._ask(verb, images)
        if any(view is images for view in self.views):
            self._read()
        features = self.features.pop(id(images), None)
        return self._ask(verb, images) if features is None else self._finish(verb, features)

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


def can_fuse_views(model: Any) -> bool:
    """Whether a model gives the same results when it reads several views in one go.

    It can where batch normalisation is the only layer that looks at more than one image, and
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
