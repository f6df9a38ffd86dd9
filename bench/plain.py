"""A plain training step of IGNORE, as research code writes it: what ours is measured against.

ResNet-50 and a 1 x 1 convolution in single precision and the usual memory layout; three float
views of every image, one of which nobody reads; weak, strong and masked view each in a forward
pass in training mode with a graph, though the masked one's logits are only looked at; boolean
indexing, which makes the host wait; Adam in a loop over the parameters. The arithmetic is that of
our preset `released`. The same step takes a plain Query2Label, whose attention keeps its weights.
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.models.positions import sine_positions

EPSILON = 1e-5


class PlainModel(nn.Module):
    """A trunk, a 1 x 1 convolution, and its map."""

    def __init__(self, trunk: str, classes: int) -> None:
        super().__init__()
        self.trunk = timm.create_model(trunk, num_classes=0, global_pool="")
        self.head = nn.Conv2d(self.trunk.num_features, classes, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.head(self.trunk(images))
        return maps.mean((2, 3)), maps


class PlainLayer(nn.Module):
    """Attention and a feed-forward part, each added to a stream and normalised; places first."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        hidden = 4 * width
        self.feedforward = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, stream: Tensor, queries: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        seen, weights = self.attention(queries, keys, values)
        stream = self.attention_norm(stream + self.dropout(seen))
        stream = self.feedforward_norm(stream + self.dropout(self.feedforward(stream)))
        return stream, weights


class PlainQuery2Label(nn.Module):
    """A trunk, one encoder layer, two decoder layers without self-attention, a query per class."""

    def __init__(self, trunk: str, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = timm.create_model(trunk, num_classes=0, global_pool="")
        width = self.trunk.num_features
        self.encoder = nn.ModuleList([PlainLayer(width, 4, dropout)])
        self.decoder = nn.ModuleList([PlainLayer(width, 4, dropout) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(classes, width))
        self.head_weight = nn.Parameter(torch.randn(classes, width) * width**-0.5)
        self.head_bias = nn.Parameter(torch.zeros(classes))
        self.positions: Tensor | None = None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(images)
        batch, width, height, breadth = features.shape
        if self.positions is None:
            self.positions = sine_positions(width, height, breadth)[:, None].to(features)
        memory = features.flatten(2).permute(2, 0, 1)
        for layer in self.encoder:
            placed = memory + self.positions
            memory, _ = layer(memory, placed, placed, memory)
        placed = memory + self.positions
        queries = self.queries[:, None].repeat(1, batch, 1)
        stream = torch.zeros_like(queries)
        for layer in self.decoder:
            stream, weights = layer(stream, stream + queries, placed, memory)
        vectors = self.norm(stream).transpose(0, 1)
        logits = (vectors * self.head_weight).sum(2) + self.head_bias
        maps = weights * features.flatten(2).mean(1, keepdim=True)
        return logits, maps.view(*logits.shape, height, breadth)


def our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the weights of a plain model as ours does."""
    renamed = {}
    for name, value in state.items():
        if name == "head_weight":
            value = value[:, None]
        name = name.replace("head_", "head.")
        name = name.replace("in_proj_", "in_proj.")
        renamed[f"trunk.network.{name[6:]}" if name.startswith("trunk.") else name] = value
    return renamed


def neglog(values: Tensor) -> Tensor:
    return -torch.log(values + EPSILON)


class PlainStep:
    """Model, thresholds and optimiser."""

    def __init__(self, model: PlainModel | PlainQuery2Label, classes: int, lr: float) -> None:
        self.model = model.train()
        like = next(model.parameters())
        self.tau, self.mu = like.new_zeros(()), like.new_zeros(classes)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=lr, foreach=False, fused=False)

    def masked(self, images: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        """Black out what the known object's map does not reach; one known object each."""
        cam = maps[labels.bool()]
        low, high = cam.min(0, keepdim=True)[0], cam.max(0, keepdim=True)[0]
        cam = (cam - low) / high
        size = images.shape[-2:]
        cam = F.interpolate(cam[:, None], size, mode="bilinear", align_corners=False)
        return images * (cam > 0.8).to(images.dtype)

    def __call__(self, views: tuple[Tensor, Tensor, Tensor], labels: Tensor) -> Tensor:
        weak, strong, _ = views
        logits, maps = self.model(weak)
        strong_logits, _ = self.model(strong)
        masked_logits, _ = self.model(self.masked(weak, maps.detach(), labels))
        gap = (logits.detach() - masked_logits.detach()).abs()
        self.tau = 0.999 * self.tau + 0.001 * gap[labels.bool()].mean()
        self.mu = 0.999 * self.mu + 0.001 * logits.detach().mean(0)
        missed = (labels == 0) & (gap > self.tau) & (logits.detach() > self.mu)
        probability, strong_probability = logits.sigmoid(), strong_logits.sigmoid()
        present, absent = neglog(strong_probability), neglog(1 - strong_probability)
        cells = torch.where(labels == 1, present, absent)
        loss = cells[~missed].mean() + 0.5 * neglog(probability)[labels == 1].mean()
        loss = loss + 0.5 * F.mse_loss(strong_logits, logits)
        self.optimiser.zero_grad(set_to_none=False)
        loss.backward()
        self.optimiser.step()
        return loss.detach()
