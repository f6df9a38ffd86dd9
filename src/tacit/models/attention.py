"""Attention, and the layer that transformers here are made of."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.losses import full_precision

# Names in the files of earlier versions, which are still read.
OLD_NAMES = {"inward": "in_proj", "outward": "out_proj"}


class Attention(nn.Module):
    """Multi-head attention which tells its weights only when asked.

    All tensors are (B, places, D); queries that are the same for all images may come as one.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise UsageError(f"A width of {width} cannot be split among {heads} heads evenly.")
        self.heads, self.dropout = heads, dropout
        self.in_proj = nn.Linear(width, 3 * width)  # queries, keys and values, one below the other
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Mix values by weights, (B, heads, Q, K); left out, they are those of queries and keys."""
        q, k, v = self._project(queries, keys, values)
        if weights is None:
            q = q.expand(v.shape[0], -1, -1, -1)  # `len` would fix it in an export
            share = self.dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=share)
        else:
            mixed = weights.to(v.dtype) @ v
        outputs: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return outputs

    def weigh(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the weights, without dropout: (B, heads, Q, K), where each row sums to 1."""
        q, k = self._project(queries, keys)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        return full_precision(scores).softmax(3)

    def trace(self, weights: Tensor, values: Tensor, readers: Tensor) -> Tensor:
        """Divide what readers find in the output among the places it came from.

        Args:
            weights: (B, heads, Q, K), as `weigh` returns them.
            values: (B, K, D), as given to `forward`.
            readers: (Q, R, D), R vectors for each query; each reads the output by a product.

        Returns:
            (B, Q, R, K). Summed over K it is the product of readers and output, but for the bias.
        """
        (v,) = self._project(None, None, values)
        through = split_heads(readers @ self.out_proj.weight, self.heads)
        found = torch.einsum("bhke,qrhe->bqrhk", full_precision(v), full_precision(through))
        return torch.einsum("bqrhk,bhqk->bqrk", found, full_precision(weights))

    def _project(self, *inputs: Tensor | None) -> list[Tensor]:
        """Split among heads what comes of queries, keys and values, in this order."""
        parts = zip(inputs, self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3), strict=False)
        return [
            split_heads(F.linear(given, weight, bias), self.heads).transpose(1, 2)
            for given, weight, bias in parts
            if given is not None
        ]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for old, new in OLD_NAMES.items():
            for kind in ("weight", "bias"):
                if f"{prefix}{old}.{kind}" in state_dict:
                    state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *others)


def split_heads(values: Tensor, heads: int) -> Tensor:
    """Divide the channels, (..., D), among heads, (..., heads, D / heads)."""
    return values.view(*values.shape[:-1], heads, -1)


class Layer(nn.Module):
    """Attention and a feed-forward part; each is added to a stream, which is then normalised.

    In an encoder, queries, keys and values are the stream itself; in a decoder, keys and values
    are what it looks at. Positions are added by the caller.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
        )
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        stream: Tensor,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        seen = self.attention(queries, keys, values, weights)
        stream = self.attention_norm(stream + self.dropout(seen))
        stream = self.feedforward_norm(stream + self.dropout(self.feedforward(stream)))
        return stream


class GroupedLinear(nn.Module):
    """One logit per class from the vector of the group that the class belongs to.

    Classes are dealt to groups in order, and as evenly as possible: groups differ by one class at
    most. With as many groups as classes, each class reads a vector of its own.
    """

    group: Tensor
    slot: Tensor

    def __init__(self, classes: int, groups: int, width: int) -> None:
        super().__init__()
        group = torch.arange(classes) * groups // classes
        first = torch.searchsorted(group, torch.arange(groups))
        slot = torch.arange(classes) - first[group]
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("slot", slot, persistent=False)
        self.weight = nn.Parameter(torch.empty(groups, -(-classes // groups), width))
        self.bias = nn.Parameter(torch.empty(classes))

    def forward(self, vectors: Tensor) -> Tensor:
        # Full precision: half-precision logits tie and shift thresholds.
        with torch.autocast(vectors.device.type, enabled=False):
            products = torch.einsum("bqd,qrd->bqr", vectors.to(self.weight.dtype), self.weight)
            return self.pick_classes(products) + self.bias

    def pick_classes(self, values: Tensor) -> Tensor:
        """Pick what belongs to classes, (B, C, ...), from (B, groups, slots, ...)."""
        return values[:, self.group, self.slot]
