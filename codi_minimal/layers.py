"""The layers that all networks share, in one dimension (text) or two (images, spectrograms)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

PRE_NORM = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}  # of torch's transformers


def conv(dims: int, c_in: int, c_out: int, kernel: int, stride: int | tuple[int, int] = 1) -> nn.Module:
    """A Conv1d or Conv2d with "same" padding."""
    return {1: nn.Conv1d, 2: nn.Conv2d}[dims](c_in, c_out, kernel, stride=stride, padding=kernel // 2)


def zero(module: nn.Module) -> nn.Module:
    """Sets all parameters to zero: a residual branch that ends in such a layer starts as the identity."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def time_embedding(t: Tensor, width: int, max_period: float = 10_000, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sinusoidal embedding of t (b,) → (b, width): [cos(t ω_i), sin(t ω_i)], ω_i = max_period^(−2i/width).

    Vaswani et al. 2017, sect. 3.5, as used by DDPM. Elsewhere: diffusers `get_timestep_embedding(flip_sin_to_cos=True,
    downscale_freq_shift=0)`.

    Args:
        dtype: of the result. Angles are computed in single precision at least: half precision has no 999.
    """
    half, wide = width // 2, torch.promote_types(dtype, torch.float32)
    omega = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device, dtype=wide) / half)
    angle = t.to(wide)[:, None] * omega
    return torch.cat([angle.cos(), angle.sin()], dim=-1).to(dtype)


class ResBlock(nn.Module):
    """skip(x) + conv2(σ(norm2(conv1(σ(norm1(x)))))), with σ = SiLU and group norms of 8 groups.

    It is the pre-activation block of He et al. 2016 (arXiv 1603.05027) as LDM's autoencoders and U-Nets have it. Group
    norm, unlike batch norm, keeps the items of a batch apart. conv2 starts at zero.

    With `embed`, an embedding of t and C modulates the block: (1 + scale) · norm2(h) + shift (Dhariwal & Nichol 2021,
    sect. 3).

    Args:
        dims: 1 for "b c l", 2 for "b c h w".
        c_in, c_out: channels, multiples of 8.
        embed: width of the embedding; None for a block without one.
        stride: of conv1, a number, or a pair in two dimensions. The skip averages over as many places.
    """

    def __init__(
        self, dims: int, c_in: int, c_out: int, embed: int | None = None, stride: int | tuple[int, int] = 1
    ) -> None:
        super().__init__()
        same = c_in == c_out and stride == 1
        self.norm1 = nn.GroupNorm(8, c_in)
        self.conv1 = conv(dims, c_in, c_out, 3, stride)
        self.modulation = nn.Linear(embed, 2 * c_out) if embed else None
        self.norm2 = nn.GroupNorm(8, c_out)
        self.conv2 = zero(conv(dims, c_out, c_out, 3))
        self.pool = nn.Identity() if stride == 1 else {1: nn.AvgPool1d, 2: nn.AvgPool2d}[dims](stride)
        self.skip = nn.Identity() if same else conv(dims, c_in, c_out, 1)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """x "b c_in ..." and, where the block has a modulation, the embedding "b e" → "b c_out ..."."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))  # b c_out ...
        if self.modulation is not None:
            scale, shift = self.modulation(F.silu(emb)).chunk(2, dim=-1)  # b c_out
            broadcast = (..., *[None] * (x.ndim - 2))
            h = h * (1 + scale[broadcast]) + shift[broadcast]
        return self.skip(self.pool(x)) + self.conv2(F.silu(h))  # b c_out ...


def heads_of(channels: int, head: int) -> int:
    """The number of attention heads: channels // head, and at least one. ValueError: they cannot share the channels."""
    heads = max(1, channels // head)
    if channels % heads:
        raise ValueError(f"expected channels that {heads} heads can share, got {channels}")
    return heads


class Attention(nn.Module):
    """softmax(q kᵀ / √d) v over tokens: queries from x, keys and values from `context`, or from x if it is None.

    Args:
        channels: of x, a multiple of the number of heads.
        context: channels of the context; None: those of x.
        head: channels of a head, see `heads_of`.
    """

    def __init__(self, channels: int, context: int | None = None, head: int = 32):
        super().__init__()
        self.heads = heads_of(channels, head)
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(context or channels, 2 * channels, bias=False)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x "b n c", context "b m e" → "b n c"."""
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)
        context = x if context is None else context
        k, v = rearrange(self.kv(context), "b m (two h d) -> two b h m d", two=2, h=self.heads)
        return self.out(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))


def transformer(width: int, layers: int, heads: int, hidden: int) -> nn.TransformerEncoder:
    """torch's transformer encoder over "b n c", with layer norm first (pre-LN), GELU and no dropout."""
    layer = nn.TransformerEncoderLayer(width, heads, hidden, **PRE_NORM)
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
