"""ML-Decoder: a few queries look at the feature map, and each speaks for a group of classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tacit.models.attention import GroupedLinear, Layer
from tacit.models.base import Model, Purpose
from tacit.models.options import Count, Share


class MLDecoder(Model):
    """A trunk, one decoder layer over its map, and a linear map for each group of classes.

    Cost grows with the number of groups and hardly with that of classes. Queries are fixed random
    vectors, because the layer learns what to make of them; nothing tells it where a place lies.

    The map of a class says what each place adds to its logit through the attention of its group.
    What the feed-forward part makes of it is left out, and so is the scale of the norms. Classes
    of one group look at the same places and read different things there, so their maps differ.

    Options:
        embedding_dim: Length of the embedding of each class, 0 for none.
        groups: Queries, each for a group of classes; at most as many as there are classes.
        width: Channels within the decoder.
        heads: Attention heads.
        feedforward: Hidden channels of the feed-forward part.
        dropout: Share dropped while training, attention weights included.
        learn_queries: Let queries learn.
    """

    queries: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        purpose: Purpose,
        *,
        embedding_dim: int = 0,
        groups: Count = 100,
        width: Count = 768,
        heads: Count = 8,
        feedforward: Count = 2048,
        dropout: Share = 0.1,
        learn_queries: bool = False,
    ) -> None:
        super().__init__(trunk, purpose)
        channels: int = trunk.channels  # type: ignore[assignment]
        groups = min(groups, len(self.classes))
        self.input_projection = nn.Linear(channels, width)
        self.query_dropout = nn.Dropout(dropout)
        self.query_norm = nn.LayerNorm(width)
        self.decoder = Layer(width, heads, feedforward, dropout)
        self.head = GroupedLinear(len(self.classes), groups, width)
        self._add_projection(width, embedding_dim)
        queries = torch.randn(groups, width)
        if learn_queries:
            self.queries = nn.Parameter(queries)
        else:
            self.register_buffer("queries", queries)
        per_group = self.head.weight.shape[1]
        nn.init.normal_(self.head.weight, std=math.sqrt(2 / (per_group * (width + groups))))
        nn.init.zeros_(self.head.bias)

    def logits_from(self, features: Tensor) -> Tensor:
        memory, stream = self._prepare(features)
        logits: Tensor = self.head(self.decoder(stream, stream, memory, memory))
        return logits

    def localise_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        memory, stream = self._prepare(features)
        logits = self.head(self.decoder(stream, stream, memory, memory))
        attention = self.decoder.attention
        readers: Tensor = self.head.weight
        for norm in (self.decoder.feedforward_norm, self.decoder.attention_norm):
            readers = readers * norm.weight
            readers = readers - readers.mean(-1, keepdim=True)
        added = attention.trace(attention.weigh(stream, memory), memory, readers)
        maps = self.head.pick_classes(added)  # (B, C, hw)
        return logits, maps.view(*logits.shape, *features.shape[2:])

    def describe_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """A class sees its group's vector through its own weights: the summands of its logit."""
        memory, stream = self._prepare(features)
        vectors = self.decoder(stream, stream, memory, memory)
        seen = self.head.pick_classes(vectors[:, :, None] * self.head.weight)
        return self.head(vectors), seen

    def _prepare(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return places, (B, hw, D), and queries, (B, K, D)."""
        memory = self.input_projection(features.flatten(2).transpose(1, 2)).relu()
        stream = self.queries.expand(memory.shape[0], -1, -1)
        return memory, self.query_norm(stream + self.query_dropout(stream))
