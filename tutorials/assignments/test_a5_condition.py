import pytest
import torch
from torch.nn import functional as F

from codi_minimal.layers import Attention, ResBlock

GENERATOR = torch.Generator().manual_seed(0)
EMB = torch.randn(4, 12, generator=GENERATOR)
WEIGHT, BIAS = torch.randn(32, 12, generator=GENERATOR), torch.randn(32, generator=GENERATOR)
PLACES, TOKENS = torch.randn(4, 9, 16, generator=GENERATOR), torch.randn(4, 5, 12, generator=GENERATOR)
W_Q, W_K, W_V = (torch.randn(16, width, generator=GENERATOR) / 2 for width in (16, 12, 12))


def maps(*sides: int) -> torch.Tensor:
    return torch.randn(4, 16, *sides, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sides", [(10,), (6, 10), (4, 16)], ids=["text", "image", "as wide as it has channels"])
def test_the_modulation_is_the_packages(answer, close, sides):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = ResBlock(len(sides), 16, 16, embed=12).requires_grad_(False)
    block.modulation.weight.copy_(WEIGHT)
    block.modulation.bias.copy_(BIAS)
    block.conv2 = torch.nn.Identity()  # then the block gives x + SiLU(what the modulation gives)
    x = maps(*sides)
    h = block.norm2(block.conv1(F.silu(block.norm1(x))))
    hint = "SiLU first, then W and b; scale is the first half; both need an axis of size 1 for each axis of places."
    close(x + F.silu(answer.modulate(h, EMB, WEIGHT, BIAS)), block(x, EMB), hint)


def test_a_modulation_of_zeros_changes_nothing(answer, close):
    hint = "the factor is 1 + scale, so that a layer that starts at zero starts as the identity."
    close(answer.modulate(maps(10), EMB, 0 * WEIGHT, 0 * BIAS), maps(10), hint)


@pytest.mark.parametrize("heads", [1, 4])
def test_the_attention_is_the_packages(answer, close, heads):
    attention = Attention(16, 12, head=16 // heads).requires_grad_(False)
    attention.q.weight.copy_(W_Q)
    attention.kv.weight.copy_(torch.cat([W_K, W_V]))
    attention.out = torch.nn.Identity()
    hint = "divide by the root of the channels of one head, and let the softmax run over the tokens."
    found = answer.cross_attend(PLACES, TOKENS, W_Q, W_K, W_V, heads)
    close(found, attention(PLACES, TOKENS), hint, rtol=1e-4, atol=1e-5)


def test_each_head_has_its_own_channels(answer, close):
    expected = answer.cross_attend(PLACES, TOKENS, W_Q, W_K, W_V, 4)
    changed = W_V.clone()
    changed[4:8] += 1  # the second of four heads
    found = answer.cross_attend(PLACES, TOKENS, W_Q, W_K, changed, 4)
    hint = "take the channels apart first (b n h d), then move the heads forward (b h n d), and back at the end."
    others = [0, 1, 2, 3, *range(8, 16)]
    close(found[..., others], expected[..., others], hint)
    assert not torch.allclose(found[..., 4:8], expected[..., 4:8]), f"Hint: {hint}"


def test_a_single_token_gives_all_places_the_same(answer, close):
    found = answer.cross_attend(PLACES, TOKENS[:, :1], W_Q, W_K, W_V, 4)
    close(found, (TOKENS[:, :1] @ W_V.T).expand(4, 9, 16), "the softmax is over tokens: that of a single one is 1.")
