"""The blocks that every denoiser is built from, in one (text) or two (image, audio) dimensions."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def conv(dims: int, c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Conv1d or Conv2d with "same" padding."""
    return {1: nn.Conv1d, 2: nn.Conv2d}[dims](c_in, c_out, kernel, stride=stride, padding=kernel // 2)


def zero(module: nn.Module) -> nn.Module:
    """Zero all parameters: a residual branch that ends in such a layer starts as the identity."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def time_embedding(t: Tensor, width: int, max_period: float = 10_000) -> Tensor:
    """Sinusoidal embedding of t (b,) → (b, width): [cos(t ω_i), sin(t ω_i)], ω_i = max_period^(−2i/width).

    Vaswani et al. 2017, sect. 3.5, as used by DDPM. Elsewhere: diffusers `get_timestep_embedding(flip_sin_to_cos=True,
    downscale_freq_shift=0)`.
    """
    half = width // 2
    omega = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angle = t.float()[:, None] * omega
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class ResBlock(nn.Module):
    """Residual block modulated by the embedding of t and C: h = conv(silu((1 + scale) · norm(h) + shift)).

    DDPM's block with the adaptive group norm of Dhariwal & Nichol 2021, sect. 3.
    """

    def __init__(self, dims: int, c_in: int, c_out: int, embed: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, c_in)
        self.conv1 = conv(dims, c_in, c_out, 3)
        self.modulation = nn.Linear(embed, 2 * c_out)
        self.norm2 = nn.GroupNorm(8, c_out)
        self.conv2 = zero(conv(dims, c_out, c_out, 3))
        self.skip = nn.Identity() if c_in == c_out else conv(dims, c_in, c_out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))                                   # b c ...
        scale, shift = self.modulation(F.silu(emb)).chunk(2, dim=-1)            # b c
        broadcast = (..., *[None] * (x.ndim - 2))
        h = self.norm2(h) * (1 + scale[broadcast]) + shift[broadcast]
        return self.skip(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """softmax(q kᵀ / √d) v over tokens "b n c"; queries from x, keys and values from `context` (x itself if None)."""

    def __init__(self, channels: int, context: int | None = None, head: int = 32):
        super().__init__()
        self.heads = max(1, channels // head)
        if channels % self.heads:
            raise ValueError(f"expected channels that {self.heads} heads can share, got {channels}")
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(context or channels, 2 * channels, bias=False)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)
        context = x if context is None else context
        k, v = rearrange(self.kv(context), "b n (two h d) -> two b h n d", two=2, h=self.heads)
        return self.out(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))


class TransformerBlock(nn.Module):
    """Self-attention over positions, cross-attention to the condition, and to the environment once there is one.

    `environment` is a slot: `alignment.cross_attention` fills it with a module (h, env) → residual when the denoiser
    learns to be generated jointly; until then the block knows of no other stream. `frames` of a clip that follow one
    another in the batch attend to each other's positions. LDM sect. 3.3; CoDi sect. 3.4; the frames are ours.
    """

    def __init__(self, channels: int, context: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.self_attention = Attention(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.cross_attention = Attention(channels, context)
        self.norm3 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), zero(nn.Linear(2 * channels, channels)))
        self.environment: nn.Module | None = None
        self.channels, self.frames = channels, 1

    def forward(self, x: Tensor, context: Tensor, env: Tensor | None) -> Tensor:
        h = x.flatten(2).transpose(1, 2)                                        # b n c
        places = rearrange(self.norm1(h), "(b f) n c -> b (f n) c", f=self.frames)
        h = h + rearrange(self.self_attention(places), "b (f n) c -> (b f) n c", f=self.frames)
        h = h + self.cross_attention(self.norm2(h), context)
        if self.environment is not None and env is not None:
            h = h + self.environment(h, env)
        h = h + self.mlp(self.norm3(h))
        return h.transpose(1, 2).reshape(x.shape)
