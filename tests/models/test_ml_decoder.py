"""ML-Decoder: a few queries look at the map, each for a group of classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.models import build_model

CLASSES = ("bird", "boat", "car", "fish", "tree", "house", "star")
WIDTH, HEADS, HIDDEN = 16, 4, 24
GROUP = [0, 0, 0, 1, 1, 2, 2]  # seven classes in three groups


def build(embedding_dim: int = 0, groups: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"width": WIDTH, "heads": HEADS, "feedforward": HIDDEN, "groups": groups, **options}
    about = {"classes": CLASSES, "size": 24, "trunk": "tiny", "embedding_dim": embedding_dim}
    return build_model("ml_decoder", **about, options=options).eval()


def features(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(2, 128, 3, 4, generator=torch.Generator().manual_seed(1), dtype=dtype)


def differing(model: Any) -> Any:
    """Move biases and norms, which start at 0 and 1, so that none can be forgotten."""
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return model


@torch.no_grad()
def by_hand(model: Any, given: Tensor) -> tuple[Tensor, Tensor]:
    """Compute group vectors and logits from torch's decoder layer and loops."""
    layer, ours = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True), model.decoder
    layer = layer.double().eval()
    for parameter in layer.self_attn.parameters():
        parameter.zero_()
    layer.multihead_attn.in_proj_weight.copy_(ours.attention.in_proj.weight)
    layer.multihead_attn.in_proj_bias.copy_(ours.attention.in_proj.bias)
    layer.multihead_attn.out_proj.load_state_dict(ours.attention.out_proj.state_dict())
    layer.linear1.load_state_dict(ours.feedforward[0].state_dict())
    layer.linear2.load_state_dict(ours.feedforward[3].state_dict())
    norms = (model.query_norm, ours.attention_norm, ours.feedforward_norm)
    for number, norm in enumerate(norms, 1):
        getattr(layer, f"norm{number}").load_state_dict(norm.state_dict())
    memory = model.input_projection(given.flatten(2).transpose(1, 2)).relu()
    # Without self-attention a query is added to itself, and the norm undoes the doubling.
    vectors = layer(2 * model.queries.expand(2, -1, -1), memory)
    columns, slots = [], [0, 1, 2, 0, 1, 0, 1]
    for label, (group, slot) in enumerate(zip(GROUP, slots, strict=True)):
        columns.append(vectors[:, group] @ model.head.weight[group, slot] + model.head.bias[label])
    return vectors, torch.stack(columns, 1)


@torch.no_grad()
def test_logits_follow_the_definition() -> None:
    model, given = differing(build()), features(torch.float64)
    vectors, logits = by_hand(model, given)
    torch.testing.assert_close(model.logits_from(given), logits)
    seen = model.describe_from(given)[1]
    slots = [0, 1, 2, 0, 1, 0, 1]
    expected = torch.stack(
        [vectors[:, g] * model.head.weight[g, s] for g, s in zip(GROUP, slots, strict=True)], 1
    )
    torch.testing.assert_close(seen, expected)
    torch.testing.assert_close(seen.sum(2) + model.head.bias, logits)


@torch.no_grad()
def test_a_map_says_what_each_place_adds_past_the_feed_forward_part() -> None:
    model, given = differing(build()), features(torch.float64)
    _, maps = model.localise_from(given)
    attention = model.decoder.attention
    memory = model.input_projection(given.flatten(2).transpose(1, 2)).relu()
    stream = model.query_norm(2 * model.queries.expand(2, -1, -1))
    weights = attention.weigh(stream, memory)
    carried = F.linear(memory, *(p.chunk(3)[2] for p in attention.in_proj.parameters()))
    carried = carried.view(2, 12, HEADS, -1).transpose(1, 2)
    for label, group in enumerate(GROUP):
        # What each place adds to the output of attention, by hand: (B, hw, D).
        added = torch.einsum("bhk,bhke->bkhe", weights[:, :, group], carried).flatten(2)
        added = added @ attention.out_proj.weight.T
        reader = model.head.weight[group, label - GROUP.index(group)]
        for norm in (model.decoder.feedforward_norm, model.decoder.attention_norm):
            reader = (reader * norm.weight) - (reader * norm.weight).mean()
        torch.testing.assert_close(maps[:, label].flatten(1), added @ reader)


@torch.no_grad()
def test_classes_of_one_group_have_maps_of_their_own() -> None:
    _, maps = build(groups=1).localise_from(features())
    scaled = (maps - maps.mean((2, 3), keepdim=True)) / maps.std((2, 3), keepdim=True)
    apart = torch.cdist(scaled.flatten(2), scaled.flatten(2)) + 9 * torch.eye(7)
    assert apart.min() > 0.1


def test_a_class_that_others_stand_beside_keeps_its_group() -> None:
    assert build().head.group.tolist() == GROUP
    assert build(groups=100).head.weight.shape == (7, 1, WIDTH)
    assert build().head.weight.shape == (3, 3, WIDTH)


def test_the_usual_size_is_that_of_the_authors() -> None:
    classes = tuple(f"class {number}" for number in range(1000))
    with torch.device("meta"):
        model: Any = build_model("ml_decoder", classes=classes, size=448, trunk="resnet50")
    sizes = {name: p.numel() for name, p in model.named_parameters() if "trunk" not in name}
    # 2048 -> 768, attention, two layers of 2048, three norms, 100 groups of 10 classes.
    attention, hidden = 4 * 768 * 768 + 4 * 768, 2 * 768 * 2048 + 768 + 2048
    groups = 1000 * 768 + 1000
    assert sum(sizes.values()) == 2049 * 768 + attention + hidden + 3 * 2 * 768 + groups
    assert model.queries.shape == (100, 768)


@pytest.mark.parametrize("learn", [False, True])
def test_queries_stay_unless_they_are_to_learn(learn: bool) -> None:
    model = build(learn_queries=learn)
    assert ("queries" in dict(model.named_parameters())) == learn
    assert "queries" in model.state_dict()
    model.logits_from(features()).sum().backward()
    assert (model.queries.grad is not None) == learn


@torch.no_grad()
def test_dropout_differs_from_image_to_image() -> None:
    model = build(dropout=0.5).train()
    same = features()[:1].expand(2, -1, -1, -1)
    logits = model.logits_from(same)
    assert not torch.equal(logits[0], logits[1])


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="options.groups' must be a whole number from 1 on, not 0"):
        build(groups=0)
    with pytest.raises(UsageError, match="width of 16 cannot be split among 3 heads"):
        build(heads=3)
    with pytest.raises(UsageError, match="'ml_decoder' has no class-activation map to boost"):
        build_model("ml_decoder", classes=CLASSES, size=24, trunk="tiny", boost=5.0)
