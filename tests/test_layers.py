"""The layers that all networks share, against torch, diffusers, or the formula written out."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from codi_minimal.layers import Attention, ResBlock, time_embedding


def awake(net: torch.nn.Module) -> torch.nn.Module:
    """Every zero start replaced by small numbers, so that all paths carry something."""
    generator = torch.Generator().manual_seed(0)
    for p in net.parameters():
        if not p.any():
            p.data = 0.1 * torch.randn(p.shape, generator=generator)
    return net


def test_attention_is_torchs():
    attention = Attention(64, context=24, head=32)
    torch.nn.init.eye_(attention.out.weight)
    x, context = torch.randn(2, 5, 64), torch.randn(2, 7, 24)
    oracle = torch.nn.MultiheadAttention(64, 2, bias=False, kdim=24, vdim=24, batch_first=True)
    k, v = attention.kv.weight.chunk(2)
    oracle.load_state_dict(
        {"q_proj_weight": attention.q.weight, "k_proj_weight": k, "v_proj_weight": v, "out_proj.weight": torch.eye(64)}
    )
    torch.testing.assert_close(attention(x, context), oracle(x, context, context)[0], rtol=1e-4, atol=1e-5)


def test_narrow_channels_have_one_head_and_heads_share_all_of_them():
    x = torch.randn(2, 3, 16)
    assert Attention(16)(x).shape == x.shape
    with pytest.raises(ValueError, match="expected channels that 3 heads can share, got 104"):
        Attention(104)


def test_time_embedding_is_diffusers():
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    t = torch.tensor([0, 1, 17, 999])
    expected = embeddings.get_timestep_embedding(t, 32, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(time_embedding(t, 32), expected)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.bfloat16, 0.01)])
def test_the_angles_of_a_time_are_as_exact_as_the_weights_and_never_less_than_single(dtype, error):
    t = torch.tensor([0, 17, 999])
    angle = t.double()[:, None] * 10_000 ** (-torch.arange(8, dtype=torch.float64) / 8)
    found = time_embedding(t, 16, dtype=dtype)
    assert found.dtype == dtype
    assert (found.double() - torch.cat([angle.cos(), angle.sin()], dim=-1)).abs().max() < error


def test_res_block_modulation_by_hand():
    block = awake(ResBlock(2, 8, 16, embed=4))
    x, emb = torch.randn(2, 8, 4, 4), torch.randn(2, 4)
    h = block.conv1(F.silu(F.group_norm(x, 8, block.norm1.weight, block.norm1.bias)))
    scale, shift = rearrange(
        F.silu(emb) @ block.modulation.weight.T + block.modulation.bias, "b (two c) -> two b c 1 1", two=2
    )
    h = F.group_norm(h, 8, block.norm2.weight, block.norm2.bias) * (1 + scale) + shift
    torch.testing.assert_close(block(x, emb), block.skip(x) + block.conv2(F.silu(h)))


@pytest.mark.parametrize(("c_out", "stride"), [(8, 1), (16, 1), (8, 2), (16, (2, 1))])
def test_res_block_without_an_embedding_by_hand(c_out, stride):
    block, x = awake(ResBlock(2, 8, c_out, stride=stride)), torch.randn(2, 8, 4, 4)
    h = F.silu(F.group_norm(x, 8, block.norm1.weight, block.norm1.bias))
    h = F.conv2d(h, block.conv1.weight, block.conv1.bias, stride, padding=1)
    h = F.silu(F.group_norm(h, 8, block.norm2.weight, block.norm2.bias))
    pooled = F.avg_pool2d(x, stride)
    plain = c_out == 8 and stride == 1
    skip = x if plain else F.conv2d(pooled, block.skip.weight, block.skip.bias)
    torch.testing.assert_close(block(x), skip + F.conv2d(h, block.conv2.weight, block.conv2.bias, padding=1))
    assert "modulation.weight" not in block.state_dict()


@pytest.mark.parametrize(("dims", "embed"), [(1, None), (2, None), (2, 4)])
def test_res_block_starts_as_the_identity(dims, embed):
    x = torch.randn(2, 8, *[6] * dims)
    assert torch.equal(ResBlock(dims, 8, 8, embed)(x, None if embed is None else torch.randn(2, embed)), x)
