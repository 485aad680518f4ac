"""Environment encoders V_m: a noisy latent z_t^m → a short sequence of tokens in a space shared by all modalities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from einops.layers.torch import Rearrange
from torch import Tensor, nn

from codi_minimal.inputs import batch_of
from codi_minimal.layers import PRE_NORM, ResBlock, conv, time_embedding

CLOCK = 16  # components of a clock's code


def slots(n: int) -> Tensor:
    """The middles of n slots of [0, 1]: (n,)."""
    return (torch.arange(n) + 0.5) / n


def clock_code(u: Tensor) -> Tensor:
    """Ours: unit vectors (n, CLOCK) for times u (n,) in [0, 1]; their products mean_k cos πk(u − u′) peak at u = u′.

    >>> [round(x, 3) for x in (clock_code(slots(8)) @ clock_code(slots(8)).T)[2, 1:4].tolist()]
    [-0.125, 1.0, -0.125]
    """
    angle = math.pi * torch.arange(1, CLOCK // 2 + 1) * u[:, None]
    return torch.cat([angle.cos(), angle.sin()], dim=-1) / (CLOCK // 2) ** 0.5


def has_clock(tokens: Tensor) -> Tensor:
    """Which tokens (..., d_env) are clock tokens, (...); the code of a summary token is zero."""
    return (tokens[..., -CLOCK:].detach() != 0).any(dim=-1)


class Environment(NamedTuple):
    """What a stream sees of the others: tokens (b, n, d_env), and which of them are there, `present` (b, n) bool."""

    tokens: Tensor
    present: Tensor

    @classmethod
    def of(cls, tokens: Sequence[Tensor]) -> Environment:
        """All tokens (b, n_i, d_env) of several streams, one after the other; every one of them is there."""
        joined = torch.cat(list(tokens), dim=1)
        return cls(joined, torch.ones(joined.shape[:2], dtype=torch.bool, device=joined.device))

    def noisy(self, noise: Tensor) -> Environment:
        """The same with `noise` of the tokens' shape added to them, except to their clock codes."""
        return self._replace(tokens=self.tokens + F.pad(noise[..., :-CLOCK], (0, CLOCK)))

    def visible(self, timed: bool) -> Tensor:
        """Which tokens (b, n) a place can attend to: what has no time itself does not attend to clock tokens."""
        return self.present if timed else self.present & ~has_clock(self.tokens)


class EnvironmentEncoder(nn.Module):
    """V_m(z_t, t): (b, *shape) → tokens (b, n, d_env). CoDi sect. 3.4.

    The public code pools each latent to one vector, and attention over one key is a constant. Here every modality has
    `summary` tokens of its content. A token is d_env − CLOCK components of content, of norm √d_env, and then CLOCK
    components of a clock code, which are zero in a summary token.

    Ours: clock tokens. A modality with a time axis has one more token for each video frame. Its clock code has norm
    √CLOCK and is the same in audio and video.

    Args:
        shape: latent shape, (c, l), (c, h, w) or (f, c, h, w).
        patches: einops pattern that cuts features "(b f) c ..." into "b k n e": k times, n patches each, e features.
        sizes: the lengths that `patches` needs, for instance {"p": 2, "q": 2}.
        clock: k, the number of clock tokens; 0 for a modality without time (then k = 1 in the pattern).
        d_env: width of a token. width, layers: of the transformer. summary: number of summary tokens.
        stem: channels of the convolution and the residual block before the patches, a multiple of 8.
    """

    def __init__(
        self,
        shape: Sequence[int],
        patches: str,
        sizes: dict[str, int],
        clock: int = 0,
        d_env: int = 128,
        width: int = 128,
        layers: int = 2,
        stem: int = 32,
        summary: int = 4,
    ):
        super().__init__()
        self.shape, self.clock, self.summary, self.width, self.d_env = tuple(shape), clock, summary, width, d_env
        self.frames = shape[0] if len(shape) == 4 else None
        channels, *sides = shape[-3:] if self.frames else shape
        self.conv_in = conv(len(sides), channels * (3 if self.frames else 1), stem, 3)
        self.res = ResBlock(len(sides), stem, stem, width)
        self.time_mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.patches = Rearrange(patches, **sizes, **({"f": self.frames} if self.frames else {}))
        _, times, places, features = self.patches(torch.zeros(self.frames or 1, stem, *sides)).shape
        if times != max(clock, 1):
            raise ValueError(f"expected patches with {max(clock, 1)} times, got {times} from {patches!r}")
        self.to_token = nn.Linear(features, width)
        self.position = nn.Parameter(0.1 * torch.randn(times, places, width))
        self.queries = nn.Parameter(torch.randn(summary, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, **PRE_NORM)
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, d_env - CLOCK))
        times = slots(clock) if clock else torch.zeros(0)
        code = torch.cat([torch.zeros(summary, CLOCK), CLOCK**0.5 * clock_code(times)])
        self.register_buffer("codes", code, persistent=False)  # torch.fx has a use for the name "code"

    def forward(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Tokens (b, summary + clock, d_env), in this order, for z_t (b, *shape) at zero-based t (b,)."""
        if tuple(z_t.shape[1:]) != self.shape:
            raise ValueError(f"expected z_t {batch_of(self.shape)}, got {tuple(z_t.shape)}")
        emb = self.time_mlp(time_embedding(t, self.width, dtype=self.position.dtype))  # b w
        x = with_motion(z_t).flatten(0, 1) if self.frames else z_t  # (b f) 3c h w, or b c ...
        h = self.res(self.conv_in(x), emb.repeat_interleave(self.frames or 1, dim=0))  # (b f) stem h w, or b stem ...
        h = self.to_token(self.patches(h)) + self.position  # b k n w
        times = h.shape[1]
        queries = repeat(self.queries, "s w -> b s w", b=t.shape[0])  # b s w
        h = torch.cat([queries, rearrange(h, "b k n w -> b (k n) w")], dim=1) + emb[:, None]  # b s+kn w
        h = self.transformer(h)  # b s+kn w
        tokens = h[:, : self.summary]  # b s w
        if self.clock:
            clock = rearrange(h[:, self.summary :], "b (k n) w -> b k n w", k=times).mean(dim=2)  # b k w
            tokens = torch.cat([tokens, clock], dim=1)  # b s+k w
        tokens = F.normalize(self.out(tokens), dim=-1) * self.d_env**0.5  # b s+k d_env−CLOCK
        return torch.cat([tokens, self.codes.expand(t.shape[0], -1, -1)], dim=-1)  # b s+k d_env

    def clock_tokens(self, z0: Tensor) -> Tensor:
        """The clock tokens (b, clock, d_env) of V_m(z_0) at t = 0.

        The prompt C_m describes the content of a finished latent better than the summary does. C_m lacks the times.
        """
        return self(z0, torch.zeros(len(z0), dtype=torch.long, device=z0.device))[:, self.summary :]


def with_motion(z: Tensor) -> Tensor:
    """Ours: each frame of (b, f, c, h, w) between its changes since the last frame and to the next: (b, f, 3c, h, w).

    The first frame has zeros before it, the last one zeros after it.

    A convolution over a spectrogram sees what comes before and after, but one over single frames does not. The first
    motion moves a glyph by less than a cell of the latent.
    """
    change = F.pad(z[:, 1:] - z[:, :-1], (0, 0, 0, 0, 0, 0, 1, 1))
    return torch.cat([change[:, :-1], z, change[:, 1:]], dim=2)
