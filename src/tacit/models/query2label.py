"""Query2Label: a transformer in which every class asks the feature map for itself."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.losses import full_precision
from tacit.models.attention import GroupedLinear, Layer
from tacit.models.base import Model, Purpose
from tacit.models.options import Count, Perhaps, Share
from tacit.models.positions import SinePositions

CamLayer = Literal["last", "first", "mean"]


class Query2Label(Model):
    """A trunk, an encoder over its map, and a decoder in which learnt queries look at the map.

    There is one query per class, and queries do not look at one another. A map is where the query
    of a class looks, averaged over heads, times the mean of the trunk's channels.

    Options:
        embedding_dim: Length of the embedding of each class, 0 for none.
        width: Channels within the transformer; those of the trunk if None.
        heads: Attention heads.
        encoder_layers: Layers in which places look at one another.
        decoder_layers: Layers in which classes look at places.
        feedforward: Hidden channels of feed-forward parts; four times the width if None.
        dropout: Share dropped while training, attention weights included.
        cam_layer: The decoder layer whose attention makes the map, or the mean of all.
        cam_dropout: Make training maps from attention after dropout, as released code may have.
    """

    def __init__(
        self,
        trunk: nn.Module,
        purpose: Purpose,
        *,
        embedding_dim: int = 0,
        width: Count | None = None,
        heads: Count = 4,
        encoder_layers: Perhaps = 1,
        decoder_layers: Count = 2,
        feedforward: Count | None = None,
        dropout: Share = 0.1,
        cam_layer: CamLayer = "last",
        cam_dropout: bool = False,
    ) -> None:
        super().__init__(trunk, purpose)
        channels: int = trunk.channels  # type: ignore[assignment]
        width = width or channels
        shape = (width, heads, feedforward or 4 * width, dropout)
        same = width == channels
        self.input_projection = nn.Identity() if same else nn.Conv2d(channels, width, 1)
        self.positions = SinePositions(width)
        self.encoder = nn.ModuleList(Layer(*shape) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(Layer(*shape) for _ in range(decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(len(self.classes), width))
        self.head = GroupedLinear(len(self.classes), len(self.classes), width)
        self._add_projection(width, embedding_dim)
        everyone = list(range(decoder_layers))
        self.cam_layers = {"last": everyone[-1:], "first": everyone[:1], "mean": everyone}[
            cam_layer
        ]
        self.cam_dropout = cam_dropout
        self._initialise()

    def _initialise(self) -> None:
        for layer in (*self.encoder, *self.decoder):
            for parameter in layer.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        reach = self.queries.shape[1] ** -0.5
        nn.init.uniform_(self.head.weight, -reach, reach)
        nn.init.uniform_(self.head.bias, -reach, reach)

    def logits_from(self, features: Tensor) -> Tensor:
        return self.describe_from(features)[0]

    def localise_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        vectors, weights = self._decode(features, self.cam_layers)
        attention = torch.stack(weights).mean((0, 2))  # over layers and heads: (B, C, hw)
        maps = attention * full_precision(features).flatten(2).mean(1, keepdim=True)
        logits = self.head(vectors)
        return logits, maps.view(*logits.shape, *features.shape[2:])

    def describe_from(self, features: Tensor) -> tuple[Tensor, Tensor]:
        vectors, _ = self._decode(features, [])
        return self.head(vectors), vectors

    def _decode(self, features: Tensor, asked: list[int]) -> tuple[Tensor, list[Tensor]]:
        """Return a vector per class, (B, C, D), and the weights of the layers asked for."""
        memory = self.input_projection(features).flatten(2).transpose(1, 2)
        positions = self.positions(*features.shape[2:], memory)
        for layer in self.encoder:
            placed = memory + positions
            memory = layer(memory, placed, placed, memory)
        placed = memory + positions
        stream, weights = torch.zeros_like(self.queries)[None], []
        for number, layer in enumerate(self.decoder):
            assert isinstance(layer, Layer)
            queries, given = stream + self.queries, None
            if number in asked:
                weights.append(layer.attention.weigh(queries, placed))
                if self.cam_dropout and self.training:
                    given = weights[-1] = F.dropout(weights[-1], layer.attention.dropout)
            stream = layer(stream, queries, placed, memory, given)
        return self.norm(stream), weights
