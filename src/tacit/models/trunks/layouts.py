"""Feature maps of one layout, (B, D, h, w), out of networks of several, and the sizes they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Reader = Callable[[Any, Tensor], Tensor]


class NoMapError(Exception):
    """A network gives no feature map at all, whatever the size of the images."""


def read_channels_first(network: Any, images: Tensor) -> Tensor:
    """Read a network whose last features are a map already, as those of convolutions are."""
    features: Tensor = network.forward_features(images)
    return features


def read_channels_last(network: Any, images: Tensor) -> Tensor:
    """Read a network that keeps channels behind places, as Swin does."""
    features: Tensor = network.forward_features(images)
    return features.permute(0, 3, 1, 2)


def read_tokens(network: Any, images: Tensor) -> Tensor:
    """Read a network of tokens: those of places, normalised, without class and register tokens."""
    return _last_places(network, images, norm=True)


def read_plain_tokens(network: Any, images: Tensor) -> Tensor:
    """Read a network of tokens whose norm is for what has been pooled, as Hiera's is."""
    return _last_places(network, images, norm=False)


def _last_places(network: Any, images: Tensor, norm: bool) -> Tensor:
    (features,) = network.forward_intermediates(
        images, indices=1, norm=norm, output_fmt="NCHW", intermediates_only=True
    )
    assert isinstance(features, Tensor)
    return features


def choose_reader(network: Any, images: Tensor) -> Reader:
    """Find out from an image how the map of a network is to be read."""
    features = network.forward_features(images)
    shape = tuple(features.shape) if isinstance(features, Tensor) else ()
    if len(shape) == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return read_channels_last if last else read_channels_first
    if len(shape) == 3 and hasattr(network, "forward_intermediates"):
        read = read_tokens
        try:
            features = read(network, images)
        except AssertionError:
            read = read_plain_tokens
            features = read(network, images)
        # Tokens of another width than the network's own are of another stage than its last.
        if features.ndim == 4 and features.shape[1] == shape[2]:
            return read
    raise NoMapError(
        f"gives a {len(shape)}-dimensional output without a spatial map"
        if shape
        else "gives no single output with a spatial map"
    )


@contextmanager
def looking(network: nn.Module) -> Iterator[None]:
    """Run a network without gradients, without dropout, and without updating statistics."""
    learning = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if network in learning:
            network.train()  # some drop what they have kept for inference
        for module in network.modules():
            module.training = False
        for module in learning:
            module.training = True


def make_black_image(network: nn.Module, height: int, width: int) -> Tensor:
    """Return one black image where a network is."""
    like = next(network.parameters())
    return torch.zeros(1, 3, height, width, dtype=like.dtype, device=like.device)


def drop_unread(network: nn.Module, features: Tensor) -> None:
    """Take out what a map does not depend on, such as norms behind a pooling that is not there.

    It would never learn, and processes that train together would wait for its gradients.
    """
    seen: set[Any] = set()
    waiting = [features.grad_fn]
    read: set[int] = set()
    while waiting:
        step = waiting.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if hasattr(step, "variable"):  # where gradients of a parameter are gathered
            read.add(id(step.variable))
        waiting += [before for before, _ in step.next_functions]
    for parent in list(network.modules()) if read else []:
        for name, child in list(parent.named_children()):
            own = [id(parameter) for parameter in child.parameters()]
            if own and read.isdisjoint(own):
                setattr(parent, name, nn.Identity())


def list_neighbours(size: int, step: int) -> list[int]:
    """Return sizes that may do where one does not: multiples of a step, the nearest first."""
    step = max(step, 1)
    below = size // step * step
    near = [below + step * times for times in range(-2, 4)]
    sizes = {each for each in near if each > 0 and each != size}
    return sorted(sizes, key=lambda each: (abs(each - size), each))


def find_working(sizes: list[int], works: Callable[[int], bool], wanted: int = 2) -> list[int]:
    """Return the first sizes that work, in ascending order; they are tried, not guessed."""
    found: list[int] = []
    for size in sizes:
        if len(found) < wanted and works(size):
            found.append(size)
    return sorted(found)
