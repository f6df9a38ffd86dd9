"""Query2Label: every class looks at the map for itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.models import build_model
from tacit.models.attention import Attention, Layer
from tacit.models.positions import sine_positions

CLASSES = ("bird", "boat", "car", "fish", "tree")
WIDTH, HEADS, HIDDEN = 16, 4, 24


def build(embedding_dim: int = 0, **options: Any) -> Any:
    torch.manual_seed(0)
    small = {"width": WIDTH, "heads": HEADS, "feedforward": HIDDEN, **options}
    return build_model(
        "query2label",
        classes=CLASSES,
        size=24,
        trunk="tiny",
        embedding_dim=embedding_dim,
        options=small,
    ).eval()


def features(dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 128, 3, 4, generator=generator, dtype=dtype)


def test_the_transformer_has_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        model: Any = build_model("query2label", classes=CLASSES, size=448, trunk="resnet50")
    parts = (model.encoder, model.decoder, model.norm)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 151_078_912
    assert (len(model.encoder), len(model.decoder)) == (1, 2)
    assert {layer.attention.heads for layer in (*model.encoder, *model.decoder)} == {4}
    assert sum(p.numel() for p in model.input_projection.parameters()) == 0
    assert model.queries.numel() == len(CLASSES) * 2048
    assert sum(p.numel() for p in model.head.parameters()) == len(CLASSES) * 2049


def test_sizes_follow_the_trunk_unless_they_are_given() -> None:
    plain: Any = build_model("query2label", classes=CLASSES, size=24, trunk="tiny")
    assert plain.queries.shape == (5, 128)
    assert plain.decoder[0].feedforward[0].out_features == 512
    assert isinstance(plain.input_projection, nn.Identity)
    given = build()
    assert given.queries.shape == (5, WIDTH)
    assert given.decoder[0].feedforward[0].out_features == HIDDEN
    assert given.input_projection.weight.shape == (WIDTH, 128, 1, 1)
    deep = build(encoder_layers=0, decoder_layers=3)
    assert (len(deep.encoder), len(deep.decoder)) == (0, 3)


def theirs(layer: Layer) -> nn.MultiheadAttention:
    made = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double().eval()
    made.in_proj_weight.data.copy_(layer.attention.in_proj.weight)
    made.in_proj_bias.data.copy_(layer.attention.in_proj.bias)
    made.out_proj.load_state_dict(layer.attention.out_proj.state_dict())
    return made


@torch.no_grad()
def by_hand(model: Any, given: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Compute logits and attention, (B, C, hw), from torch's parts and the definition."""
    height, width = given.shape[2:]
    memory = model.input_projection(given).flatten(2).transpose(1, 2)
    positions = sine_positions(WIDTH, height, width)
    for layer in model.encoder:
        placed = memory + positions
        memory = layer.attention_norm(memory + theirs(layer)(placed, placed, memory)[0])
        memory = layer.feedforward_norm(memory + layer.feedforward(memory))
    stream, looks = torch.zeros(2, len(CLASSES), WIDTH, dtype=torch.float64), []
    for layer in model.decoder:
        seen, weights = theirs(layer)(stream + model.queries, memory + positions, memory)
        looks.append(weights)  # torch averages them over heads
        stream = layer.attention_norm(stream + seen)
        stream = layer.feedforward_norm(stream + layer.feedforward(stream))
    vectors = model.norm(stream)
    columns = [vectors[:, c] @ model.head.weight[c, 0] + model.head.bias[c] for c in range(5)]
    return torch.stack(columns, 1), looks


@pytest.mark.parametrize("cam_layer", ["last", "first", "mean"])
@torch.no_grad()
def test_logits_and_maps_follow_the_definition(cam_layer: str) -> None:
    model = build(cam_layer=cam_layer).double()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and norms that start at 0 and 1 would hide mistakes
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    given = features(torch.float64)
    expected, looks = by_hand(model, given)
    logits, maps = model.localise_from(given)
    torch.testing.assert_close(logits, expected)
    look = {"last": looks[1], "first": looks[0], "mean": (looks[0] + looks[1]) / 2}[cam_layer]
    torch.testing.assert_close(maps, look.view(2, 5, 3, 4) * given.mean(1, keepdim=True))


def test_weights_begin_as_in_the_paper() -> None:
    model: Any = build_model("query2label", classes=CLASSES, size=24, trunk="tiny")
    for layer in (*model.encoder, *model.decoder):
        for weight in (w for w in layer.parameters() if w.ndim > 1):
            reach = (6 / sum(weight.shape)) ** 0.5
            assert 0.99 * reach < weight.abs().max() <= reach
        assert not layer.attention.in_proj.bias.any() and not layer.attention.out_proj.bias.any()
    assert model.queries.std().item() == pytest.approx(1, abs=0.1)
    for parameter in model.head.parameters():
        assert 0.4 * 128**-0.5 < parameter.abs().max() <= 128**-0.5


@torch.no_grad()
def test_classes_may_come_in_any_order() -> None:
    model, order = build(), torch.tensor([3, 1, 4, 0, 2])
    logits, maps = model.localise_from(features())
    for parameter in (model.queries, model.head.weight, model.head.bias):
        parameter.copy_(parameter[order].clone())
    shuffled, shuffled_maps = model.localise_from(features())
    torch.testing.assert_close(shuffled, logits[:, order])
    torch.testing.assert_close(shuffled_maps, maps[:, order])


@torch.no_grad()
def test_attention_is_a_share_of_places_even_while_training() -> None:
    model, flat = build(dropout=0.5).train(), torch.ones(2, 128, 3, 4)
    maps = model.localise_from(flat)[1]  # where the mean of channels is 1, the map is the attention
    torch.testing.assert_close(maps.sum((2, 3)), torch.ones(2, 5))


@torch.no_grad()
def test_maps_may_come_from_attention_after_dropout() -> None:
    model, flat = build(dropout=0.5, cam_dropout=True), torch.ones(2, 128, 3, 4)
    calm = build(dropout=0.5)
    torch.testing.assert_close(model.localise_from(flat), calm.localise_from(flat))
    sums = model.train().localise_from(flat)[1].sum((2, 3))
    assert (sums - 1).abs().min() > 1e-3


@torch.no_grad()
def test_after_dropout_the_same_weights_make_map_and_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(dropout=0.5, cam_dropout=True, decoder_layers=1).train()
    mixed: list[Tensor] = []
    forward = Attention.forward

    def recording(self: Attention, *given: Tensor | None) -> Tensor:
        mixed.extend(weights for weights in given[3:] if weights is not None)
        return forward(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Attention, "forward", recording)
    _, maps = model.localise_from(features())
    (weights,) = mixed
    assert (weights == 0).any()
    expected = weights.mean(1).view(2, 5, 3, 4) * features().mean(1, keepdim=True)
    torch.testing.assert_close(maps, expected)


@torch.no_grad()
def test_asking_for_maps_does_not_move_the_logits() -> None:
    model = build().train()
    torch.manual_seed(5)
    plain = model.logits_from(features())
    torch.manual_seed(5)
    assert torch.equal(model.localise_from(features())[0], plain)


@torch.no_grad()
def test_logits_alone_need_no_attention_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(embedding_dim=3)
    monkeypatch.delattr("tacit.models.attention.Attention.weigh")
    model.logits_from(features())
    model.embed_from(features())
    with pytest.raises(AttributeError):
        model.localise_from(features())


@torch.no_grad()
def test_embeddings_are_made_of_what_the_decoder_saw() -> None:
    model = build(embedding_dim=3)
    assert [type(part) for part in model.projection] == [nn.Linear, nn.ReLU, nn.Linear]
    assert model.projection[0].weight.shape == (WIDTH, WIDTH)
    logits, seen = model.describe_from(features())
    torch.testing.assert_close(logits, model.head(seen))
    expected = nn.functional.normalize(model.projection(seen), dim=2)
    torch.testing.assert_close(model.embed_from(features())[1], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "width of 10 cannot be split among 4 heads"),
        ({"width": 15, "heads": 5}, "even number of channels, not 15"),
        (
            {"decoder_layers": 0},
            "'model.options.decoder_layers' must be a whole number from 1 on, not 0",
        ),
        (
            {"cam_layer": "lst"},
            "'model.options.cam_layer' must be one of 'last', 'first', 'mean', not 'lst'",
        ),
        (
            {"dropout": 1.0},
            "options.dropout' must be a number from 0 on and below 1, not 1.0",
        ),
        ({"heads": "4"}, "'model.options.heads' must be a whole number from 1 on, not '4'"),
        ({"wdth": 8}, "no option of model 'query2label' called 'wdth'; did you mean 'width'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**options)


def test_there_is_nothing_to_boost() -> None:
    with pytest.raises(UsageError, match="'query2label' has no class-activation map to boost"):
        build_model("query2label", classes=CLASSES, size=24, trunk="tiny", boost=5.0)
