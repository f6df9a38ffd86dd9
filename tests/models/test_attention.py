"""Attention and layers, against those that come with torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tacit.errors import UsageError
from tacit.models.attention import Attention, GroupedLinear, Layer

WIDTH, HEADS, HIDDEN = 12, 3, 20


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def randomised(module: nn.Module) -> nn.Module:
    """Give every parameter a value of its own, biases and norms included."""
    for number, parameter in enumerate(module.parameters()):
        nn.init.zeros_(parameter).add_(numbers(*parameter.shape, seed=number) * 0.3)
    return module.double()


def torch_attention(ours: Attention, dropout: float = 0.0) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(WIDTH, HEADS, dropout, batch_first=True).double()
    theirs.in_proj_weight.data.copy_(ours.in_proj.weight)
    theirs.in_proj_bias.data.copy_(ours.in_proj.bias)
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    return theirs


@torch.no_grad()
def attention() -> Attention:
    made = randomised(Attention(WIDTH, HEADS, 0.1))
    assert isinstance(made, Attention)
    return made


@torch.no_grad()
def layer() -> Layer:
    made = randomised(Layer(WIDTH, HEADS, HIDDEN, 0.1)).eval()
    assert isinstance(made, Layer)
    return made


@torch.no_grad()
def test_attention_is_that_of_torch() -> None:
    ours = attention().eval()
    theirs = torch_attention(ours).eval()
    given = numbers(2, 4, WIDTH), numbers(2, 7, WIDTH, seed=1), numbers(2, 7, WIDTH, seed=2)
    expected, weights = theirs(*given, average_attn_weights=False)
    torch.testing.assert_close(ours(*given), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.weigh(*given[:2]), weights, rtol=1e-12, atol=1e-12)
    mixed = ours(*given, weights)
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)


def test_attention_begins_like_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(64, 4, 0.0), nn.MultiheadAttention(64, 4)
    reach = (6 / (64 + 3 * 64)) ** 0.5  # Xavier's, of the three projections as one matrix
    for weight in (ours.in_proj.weight, theirs.in_proj_weight):
        assert 0.99 * reach < weight.abs().max() <= reach
    assert not ours.in_proj.bias.any() and not ours.out_proj.bias.any()


def test_weights_are_without_dropout_and_add_up_to_one() -> None:
    torch.manual_seed(0)
    ours = attention().train()
    weights = ours.weigh(numbers(2, 4, WIDTH), numbers(2, 7, WIDTH, seed=1))
    assert weights.shape == (2, HEADS, 4, 7)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, HEADS, 4, dtype=torch.float64))
    given = numbers(2, 4, WIDTH), numbers(2, 7, WIDTH, seed=1), numbers(2, 7, WIDTH, seed=2)
    assert not torch.equal(ours(*given), ours(*given))  # while values are mixed with dropout


@torch.no_grad()
def test_queries_that_are_the_same_for_all_come_as_one() -> None:
    ours = attention().eval()
    queries, places = numbers(1, 4, WIDTH), numbers(3, 7, WIDTH, seed=1)
    one, three = ours(queries, places, places), ours(queries.expand(3, -1, -1), places, places)
    torch.testing.assert_close(one, three, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_trace_adds_up_to_what_is_read_in_the_output() -> None:
    ours = attention().eval()
    queries, places, readers = numbers(2, 4, WIDTH), numbers(2, 7, WIDTH), numbers(4, 5, WIDTH)
    traced = ours.trace(ours.weigh(queries, places), places, readers)
    assert traced.shape == (2, 4, 5, 7)
    output = ours(queries, places, places) - ours.out_proj.bias
    expected = torch.einsum("bqd,qrd->bqr", output, readers)
    torch.testing.assert_close(traced.sum(3), expected, rtol=1e-12, atol=1e-12)


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(UsageError, match="width of 10 cannot be split among 4 heads"):
        Attention(10, 4, 0.0)


def feedforward_and_norms(ours: Layer, theirs: nn.Module, attention: str, norms: str) -> None:
    getattr(theirs, "linear1").load_state_dict(ours.feedforward[0].state_dict())  # noqa: B009
    getattr(theirs, "linear2").load_state_dict(ours.feedforward[3].state_dict())  # noqa: B009
    setattr(theirs, attention, torch_attention(ours.attention, 0.1))
    first, second = norms
    getattr(theirs, f"norm{first}").load_state_dict(ours.attention_norm.state_dict())
    getattr(theirs, f"norm{second}").load_state_dict(ours.feedforward_norm.state_dict())


@torch.no_grad()
def test_over_its_own_stream_a_layer_is_an_encoder_layer() -> None:
    ours, stream = layer(), numbers(2, 7, WIDTH)
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.1, batch_first=True).double()
    feedforward_and_norms(ours, theirs, "self_attn", "12")
    expected = theirs.eval()(stream)
    torch.testing.assert_close(ours(stream, stream, stream, stream), expected)


@torch.no_grad()
def test_over_a_memory_a_layer_is_a_decoder_layer_without_self_attention() -> None:
    ours, stream, memory = layer(), numbers(2, 4, WIDTH), numbers(2, 7, WIDTH, seed=1)
    theirs = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, 0.1, batch_first=True).double()
    feedforward_and_norms(ours, theirs, "multihead_attn", "23")
    theirs.norm1 = nn.Identity()  # type: ignore[assignment]
    for parameter in theirs.self_attn.parameters():
        parameter.zero_()
    expected = theirs.eval()(stream, memory)
    torch.testing.assert_close(ours(stream, stream, memory, memory), expected)


def test_dropout_acts_on_every_part_of_a_layer_while_training() -> None:
    torch.manual_seed(0)
    ours, stream = layer().train(), numbers(2, 7, WIDTH)
    assert not torch.equal(*(ours(stream, stream, stream, stream) for _ in range(2)))
    assert [m.p for m in ours.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.1]


@pytest.mark.parametrize(("classes", "groups"), [(7, 3), (6, 3), (5, 5), (101, 100), (9, 1)])
@torch.no_grad()
def test_classes_are_dealt_to_groups_in_order_and_evenly(classes: int, groups: int) -> None:
    linear = GroupedLinear(classes, groups, 4).double()
    linear.weight.copy_(numbers(*linear.weight.shape))
    linear.bias.copy_(numbers(classes, seed=1))
    vectors = numbers(2, groups, 4, seed=2)
    expected, sizes, slot = [], [0] * groups, 0
    previous = 0
    for label in range(classes):
        group = label * groups // classes
        slot = slot + 1 if group == previous and label else 0
        previous = group
        sizes[group] += 1
        read = (vectors[:, group] * linear.weight[group, slot]).sum(1)
        expected.append(read + linear.bias[label])
    torch.testing.assert_close(linear(vectors), torch.stack(expected, 1))
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
