"""Cross-attention from a denoiser to the environment of the other streams (CoDi sect. 3.4)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from codi_minimal.alignment.environment import CLOCK, Environment, clock_code, slots
from codi_minimal.denoisers.blocks import UNetBlock
from codi_minimal.denoisers.unet import UNet
from codi_minimal.layers import zero


class EnvironmentAttention(nn.Module):
    """softmax(q kᵀ + s c cᵀ) v from the places of one stream to the environment tokens of the others.

    Queries carry a learned position, and where there is time, over all frames at once for video, their place's clock c:
    from the start a place looks first at the tokens of its own time. A learned key of value zero lets a place take
    nothing. Where no token is visible the residual is exactly zero, as it is everywhere at the start of training. What
    has no time itself does not attend to clock tokens.

    Args:
        channels: channels of the denoiser's block. d_env: width of an environment token.
        times: the time in [0, 1] of each position of the block's feature map (n,), frames first; None: it has no time.
        places: n, where there are no times. frames: frames folded into the block's batch (1 = none).
    """

    def __init__(
        self, channels: int, d_env: int, times: Tensor | None = None, places: int = 1, frames: int = 1, head: int = 32
    ):
        super().__init__()
        self.heads, self.frames, self.timed = max(1, channels // head), frames, times is not None
        if channels % self.heads:
            raise ValueError(f"expected channels that {self.heads} heads can share, got {channels}")
        code = torch.zeros(places, CLOCK) if times is None else clock_code(times)
        self.register_buffer("codes", code, persistent=False)
        self.sharpness = nn.Parameter(torch.tensor(6.0))
        self.norm = nn.LayerNorm(channels)
        self.position = nn.Parameter(0.5 * torch.randn(len(code), channels))
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(d_env, 2 * channels, bias=False)
        self.nothing = nn.Parameter(torch.randn(self.heads, 1, channels // self.heads))
        self.out = zero(nn.Linear(channels, channels, bias=False))

    def forward(self, h: Tensor, env: Environment) -> Tensor:
        x = rearrange(self.norm(h), "(b f) n c -> b (f n) c", f=self.frames) + self.position
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)
        k, v = rearrange(self.kv(env.tokens), "b n (two h d) -> two b h n d", two=2, h=self.heads)
        k = torch.cat([self.nothing.expand(k.shape[0], -1, -1, -1), k], dim=2)
        v = F.pad(v, (0, 0, 1, 0))
        visible = F.pad(env.visible(self.timed), (1, 0), value=True)                        # b n+1
        q_clock = repeat(self.sharpness * self.codes, "n e -> b h n e", b=q.shape[0], h=self.heads)
        k_clock = repeat(F.pad(env.tokens[..., -CLOCK:], (0, 0, 1, 0)), "b n e -> b h n e", h=self.heads)
        q = torch.cat([q * q.shape[-1] ** -0.5, q_clock], dim=-1)
        k = torch.cat([k, k_clock * CLOCK**-0.5], dim=-1)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=visible[:, None, None, :], scale=1.0)
        return rearrange(self.out(rearrange(x, "b h n d -> b n (h d)")), "b (f n) c -> (b f) n c", f=self.frames)


def add_environment(denoiser: UNet, d_env: int, clock: bool = False) -> None:
    """Let a denoiser attend to an environment: its condition, and its feature maps from the middle of the U on up.

    The condition: another stream is a prompt that is not finished yet, so what its summary tokens say of all of it at
    once joins C, which the denoiser knows how to follow. The feature maps: what has a place or a time. ε is unchanged
    until these are trained.

    Args:
        clock: the last axis of the latents is time. Frames are, anyway.
    """
    denoiser.environment = EnvironmentAttention(denoiser.d, d_env)
    frames = getattr(denoiser, "frames", 1)
    for block in [denoiser.middle, *(layer for layer in denoiser.up if isinstance(layer, UNetBlock))]:
        places, last = math.prod(block.sides), block.sides[-1]
        times = None
        if frames > 1:
            times = repeat(slots(frames), "f -> (f n)", n=places)
        elif clock:
            times = repeat(slots(last), "w -> (n w)", n=places // last)
        block.transformer.environment = EnvironmentAttention(block.channels, d_env, times, places, frames)


def environment_modules(denoiser: UNet) -> list[EnvironmentAttention]:
    """What joint training may change in a denoiser, and no other stage touches: its attention to the environment."""
    return [m for m in denoiser.modules() if isinstance(m, EnvironmentAttention)]
