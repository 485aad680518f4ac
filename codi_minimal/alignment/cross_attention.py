"""Cross-attention from a denoiser to the environment of the other streams (CoDi sect. 3.4)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from codi_minimal.alignment.environment import CLOCK, Environment, clock_code, slots
from codi_minimal.denoisers.blocks import UNetBlock
from codi_minimal.denoisers.unet import UNet
from codi_minimal.layers import heads_of, zero


class EnvironmentAttention(nn.Module):
    """softmax(q kᵀ / √d + s c c′ᵀ) v from the n places of one stream to the m environment tokens of the others.

    Queries carry a learned position. The residual is exactly zero where no token is visible, and everywhere at the
    start of training, because its last layer starts at zero. CoDi sect. 3.4.

    Ours: the clock term. c and c′ are the clock codes of places and tokens, and s is learned, so that from the start a
    place attends first to tokens of its own time. A clip attends with the places of all its frames at once. A stream
    without time does not attend to clock tokens.
    Ours: the silent key, which is learned and has the value zero. A place that attends to it takes nothing.

    Args:
        channels: channels of the denoiser's block. d_env: width of an environment token.
        times: the time in [0, 1] of each place, (n,), or (f n,) for f frames, frames first; None: there is no time.
        places: n, where there are no times. frames: f, the frames folded into the block's batch (1 = none).
        head: channels of a head, see `layers.heads_of`.

    Raises:
        ValueError: if the heads cannot share the channels.
    """

    def __init__(
        self, channels: int, d_env: int, times: Tensor | None = None, places: int = 1, frames: int = 1, head: int = 32
    ):
        super().__init__()
        self.heads, self.frames, self.timed = heads_of(channels, head), frames, times is not None
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
        """The residual "(b f) n c" of feature maps h "(b f) n c", given m tokens of d_env for each of b samples."""
        x = rearrange(self.norm(h), "(b f) n c -> b (f n) c", f=self.frames) + self.position  # b fn c
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)  # b h fn d
        k, v = rearrange(self.kv(env.tokens), "b m (two h d) -> two b h m d", two=2, h=self.heads)  # 2 × b h m d
        q, k = self.with_clock(q * q.shape[-1] ** -0.5, k, env.tokens)  # b h fn d+e, b h m d+e
        k, v, visible = self.with_silent_key(k, v, env.visible(self.timed))  # b h 1+m d+e, b h 1+m d, b 1+m
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=visible[:, None, None, :], scale=1.0)  # b h fn d
        x = self.out(rearrange(x, "b h n d -> b n (h d)"))  # b fn c
        return rearrange(x, "b (f n) c -> (b f) n c", f=self.frames)  # (b f) n c

    def with_clock(self, q: Tensor, k: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Ours: q kᵀ + s c c′ᵀ as one product: s c is joined to queries "b h n d", and c′ to keys "b h m d"."""
        c = repeat(self.sharpness * self.codes, "n e -> b h n e", b=q.shape[0], h=self.heads)
        other = repeat(tokens[..., -CLOCK:] * CLOCK**-0.5, "b m e -> b h m e", h=self.heads)  # of unit norm
        return torch.cat([q, c], dim=-1), torch.cat([k, other], dim=-1)

    def with_silent_key(self, k: Tensor, v: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ours: one more key, which is learned, has the value zero and no clock, and can always be seen."""
        key = F.pad(self.nothing, (0, CLOCK)).expand(k.shape[0], -1, -1, -1)
        return torch.cat([key, k], dim=2), F.pad(v, (0, 0, 1, 0)), F.pad(visible, (1, 0), value=True)


def add_environment(denoiser: UNet, d_env: int, clock: bool = False) -> None:
    """Let a denoiser attend to an environment with its feature maps, from the middle of the U on up, and with C.

    The feature maps attend because they have places and times. ε is unchanged until the attention is trained.
    Ours: C attends, too. Summary tokens describe an unfinished stream. Attention to them adds a residual to C.

    Args:
        clock: the last axis of the latents is time. Frames are, anyway.
    """
    denoiser.environment_attention = EnvironmentAttention(denoiser.d, d_env)
    frames = getattr(denoiser, "frames", 1)
    for block in [denoiser.middle, *(layer for layer in denoiser.up if isinstance(layer, UNetBlock))]:
        places, last = math.prod(block.sides), block.sides[-1]
        times = None
        if frames > 1:
            times = repeat(slots(frames), "f -> (f n)", n=places)
        elif clock:
            times = repeat(slots(last), "w -> (n w)", n=places // last)
        block.transformer.environment_attention = EnvironmentAttention(block.channels, d_env, times, places, frames)


def environment_modules(denoiser: UNet) -> list[EnvironmentAttention]:
    """What latent alignment trains in a denoiser: its attention to the environment."""
    return [m for m in denoiser.modules() if isinstance(m, EnvironmentAttention)]
