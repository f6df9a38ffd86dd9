"""Folding: batch normalisation that is done adapting becomes part of the convolution before it."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

if TYPE_CHECKING:
    from tacit.models.base import Model

# Convolutions by the letter; others may do something to their weights before they use them.
CONVOLUTIONS = {"Conv2d", "Conv2dSame"}
NORMALISATIONS = {"BatchNorm2d", "BatchNormAct2d"}
TOLERANCE = 1e-4


def fold(model: Model) -> Model:
    """Return a copy for inference that says the same, to rounding, in less time.

    Which convolution stands before which normalisation is found out by showing the model an image.
    Where the copy would then say something else, it is returned as it was.
    """
    folded = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, model.size, model.size, generator=generator).to(model.mean)
    with torch.no_grad():
        pairs, expected = _neighbours(folded, image)
        for convolution, normalisation in pairs:
            _join(folded, convolution, normalisation)
        agrees = torch.allclose(folded(image), expected, rtol=TOLERANCE, atol=TOLERANCE)
    return folded if agrees else copy.deepcopy(model).eval()


def prepare_for_inference(model: Model, device: torch.device, precision: str) -> Model:
    """Move a model that only predicts to a device, in the layout that is fastest there.

    With bf16, weights of the trunk's convolutions are rounded once instead of at every batch, to
    what autocast would make of them.
    """
    model = model.to(device)
    model.to(memory_format=torch.channels_last)
    if precision == "bf16":
        for module in model.trunk.modules():
            if type(module).__name__ in CONVOLUTIONS:
                module.to(torch.bfloat16)
    return model.requires_grad_(False)


def _neighbours(model: nn.Module, image: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Name the normalisations that read what a convolution has just written, with the latter."""
    calls: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []

    def sign(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        calls[name] = calls.get(name, 0) + 1
        output.written_by = name  # type: ignore[attr-defined]

    def look(name: str, module: nn.Module, inputs: Any) -> None:
        calls[name] = calls.get(name, 0) + 1
        writer = getattr(inputs[0], "written_by", None)
        if writer is not None:
            pairs.append((writer, name))

    hooks = []
    for name, module in model.named_modules():
        if type(module).__name__ in CONVOLUTIONS:
            hooks.append(module.register_forward_hook(partial(sign, name)))
        elif type(module).__name__ in NORMALISATIONS and module.running_var is not None:
            hooks.append(module.register_forward_pre_hook(partial(look, name)))
    output: Tensor = model(image)
    for hook in hooks:
        hook.remove()
    # Where one of the two is used again elsewhere, the other would be missing there.
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)], output


def _join(model: nn.Module, convolution: str, normalisation: str) -> None:
    before: Any = model.get_submodule(convolution)
    after: Any = model.get_submodule(normalisation)
    seen = (after.running_mean, after.running_var, after.eps, after.weight, after.bias)
    wide: Any = [value.double() if isinstance(value, Tensor) else value for value in seen]
    bias = None if before.bias is None else before.bias.double()
    weight, bias = fuse_conv_bn_weights(before.weight.double(), bias, *wide)
    kind = before.weight.dtype
    before.weight, before.bias = nn.Parameter(weight.to(kind)), nn.Parameter(bias.to(kind))
    # timm's layers hold the activation that follows, too.
    rest = after.act if hasattr(after, "act") else nn.Identity()
    model.set_submodule(normalisation, rest)
