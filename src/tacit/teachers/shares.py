"""From embeddings to shares: what images and their crops say of each class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tacit.errors import UsageError


def compute_class_shares(images: Tensor, texts: Tensor, temperature: float = 0.01) -> Tensor:
    """Return the softmax over classes of image-text similarity, (..., C).

    Args:
        images: (..., D) embeddings of images or crops, of any length.
        texts: (C, D) embeddings of class names or prompts.
        temperature: Divides the cosine similarity.
    """
    if not 0 < temperature < float("inf"):
        raise UsageError(f"temperature must be a number above 0, not {temperature!r}.")
    if texts.ndim != 2 or images.shape[-1] != texts.shape[-1]:
        raise UsageError(
            f"Embeddings of images are {tuple(images.shape)} and of texts {tuple(texts.shape)}; "
            f"they must be (N, D) and (C, D), from one pair of towers."
        )
    similarity = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    return (similarity / temperature).softmax(-1)


def compute_patch_shares(
    images: Tensor,
    crops: Tensor,
    texts: Tensor,
    known: Tensor,
    temperature: float = 0.01,
    enough: float = 1.0,
) -> Tensor:
    """Average what the whole image says with what its most telling crop says, (N, C).

    A class takes its largest share over the crops where that exceeds the whole image's share for
    the known positive (the least of several, and 0 where there is none), and its least share over
    them otherwise.

    Args:
        images: (N, D) embeddings of whole images.
        crops: (N, G, D) embeddings of a grid of crops.
        texts: (C, D) embeddings of class names or prompts.
        known: (N, C) bool, the known positives.
        temperature: Divides the cosine similarity.
        enough: A share that is always enough for a crop, whatever the known positive has.
    """
    if not 0 <= enough <= 1:
        raise UsageError(f"enough must be a share from 0 to 1, not {enough!r}.")
    whole = compute_class_shares(images, texts, temperature)
    parts = compute_class_shares(crops, texts, temperature)
    if known.shape != whole.shape or parts.ndim != 3 or (len(parts), parts.shape[2]) != whole.shape:
        raise UsageError(
            f"Shares of images are {tuple(whole.shape)}, of crops {tuple(parts.shape)}, and known "
            f"positives {tuple(known.shape)}; they must be (N, C), (N, G, C) and (N, C)."
        )
    least = torch.where(known, whole, torch.inf).amin(1, keepdim=True)
    least = torch.where(least.isfinite(), least, 0).clamp(max=enough)
    most = parts.amax(1)
    local = torch.where(most > least, most, parts.amin(1))
    return (whole + local) / 2
