"""Where a process computes, and how precisely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from tacit.errors import UsageError

KINDS = ("cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """Return the device that a name means; of several CUDA devices this process's own."""
    if name == "auto":
        if torch.cuda.is_available():
            return _own_cuda_device()
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in KINDS:
        raise UsageError(f"'{name}' is no device; use auto, cpu, cuda, cuda:0 or mps.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"'{name}' was asked for, but this machine has no CUDA device; use cpu.")
    if device.type == "cuda" and device.index is None:
        return _own_cuda_device()
    if device.type == "cuda" and device.index >= (count := torch.cuda.device_count()):
        raise UsageError(
            f"'{name}' was asked for, but the last of this machine's {count} CUDA devices is "
            f"cuda:{count - 1}."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("'mps' was asked for, but this machine has none; use cpu.")
    return device


def _own_cuda_device() -> torch.device:
    """Return the one of several devices that is for this process, under torchrun."""
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16; one that has none is slower with it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return True
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is None:  # a torch that only knows of processors of Intel and AMD
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    found = ask()
    return any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The precision of a forward pass; losses and metrics always use 32 bits or more."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def seed_generators(seed: int, device: torch.device) -> None:
    """Let all random numbers that follow at the host and on a device depend on a seed."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def keeping_generators(device: torch.device) -> Iterator[None]:
    """Give torch's generators of host and device their states back in the end.

    A training seeds them as networks expect it; whoever called it goes on with numbers of his own.
    """
    kept = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            if kept is not None:
                torch.mps.set_rng_state(kept)


PORTION_PIXELS = 8 * 224 * 224
"""So many pixels a processor reads at once. The maps of more take memory that the system hands out
anew for each of them: EfficientNet-Lite0 took 45 ms an image in batches of 64, and 18 ms in 8."""


def split_images(images: Tensor) -> tuple[Tensor, ...]:
    """Return a batch in portions that its device reads fast, all of it but on a processor."""
    if images.device.type != "cpu":
        return (images,)
    return torch.split(images, max(1, PORTION_PIXELS // (images.shape[-1] * images.shape[-2])))


@torch.inference_mode()
def predict_probabilities(
    model: Any, pixels: Tensor, device: torch.device, precision: str
) -> Tensor:
    """Return the probability of every class for every image, (B, C), in the host's memory.

    Pixels are in the layout they come in: a convolution takes that of its weights.
    """
    images = model.normalise(pixels.to(device, non_blocking=True))
    with autocast(device, precision):
        logits = torch.cat([model(few) for few in split_images(images)])
    probabilities: Tensor = logits.float().sigmoid().cpu()
    return probabilities
