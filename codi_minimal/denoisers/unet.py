"""The U-Net ε_m that denoises text, images and audio, and on which the video denoiser builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from codi_minimal.denoisers.blocks import UNetBlock
from codi_minimal.inputs import batch_of
from codi_minimal.layers import conv, time_embedding, zero

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment


class UNet(nn.Module):
    """ε_m(z_t, t, C, V): predicts v (or ε) of a latent "b c l" or "b c h w". CoDi sect. 3.1; LDM; DDPM, app. B.

    The condition C (b, d) is used twice: it is added to the time embedding, and it becomes `tokens` tokens to attend
    to. Attention over a single token would be a constant. A row of zeros in C means "no prompt".

    Args:
        shape: latent shape (c, l) or (c, h, w).
        d: dimension of the prompt space.
        widths: channels at each resolution; each resolution is half of the one before.
        depth: blocks a resolution on the way down; one more on the way up.
        embed: width of the time embedding. tokens: number of condition tokens, each `embed` wide.
    """

    def __init__(
        self,
        shape: Sequence[int],
        d: int = 128,
        widths: Sequence[int] = (64, 96),
        depth: int = 1,
        embed: int = 160,
        tokens: int = 4,
    ):
        super().__init__()
        channels, *sides = shape
        factor = 2 ** (len(widths) - 1)
        if any(side % factor for side in sides):
            raise ValueError(f"expected sides divisible by {factor} for {len(widths)} resolutions, got {tuple(sides)}")
        dims = len(sides)
        self.shape, self.d, self.embed, self.tokens = tuple(shape), d, embed, tokens
        self.time_mlp = nn.Sequential(nn.Linear(embed, embed), nn.SiLU(), nn.Linear(embed, embed))
        self.cond_mlp = nn.Sequential(nn.Linear(d, embed), nn.SiLU(), nn.Linear(embed, embed))
        self.cond_tokens = nn.Linear(d, tokens * embed)
        self.environment_attention: nn.Module | None = None  # a slot, as in `TransformerBlock`: (C, env) → residual

        width = widths[0]
        self.conv_in = conv(dims, channels, width, 3)
        self.position = nn.Parameter(torch.zeros(width, *sides))  # onset and pitch are positions
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [width], width

        def block(level: int, c_in: int, c_out: int) -> UNetBlock:
            return UNetBlock([side // 2**level for side in sides], c_in, c_out, embed, embed)

        for level, w in enumerate(widths):
            for _ in range(depth):
                self.down.append(block(level, c, w))
                c = w
                skips.append(c)
            if level < len(widths) - 1:
                self.down.append(conv(dims, c, c, 3, stride=2))
                skips.append(c)
        self.middle = block(len(widths) - 1, c, c)
        for level, w in reversed(list(enumerate(widths))):
            for _ in range(depth + 1):
                self.up.append(block(level, c + skips.pop(), w))
                c = w
            if level:
                self.up.append(conv(dims, c, c, 3))
        self.out = nn.Sequential(nn.GroupNorm(8, c), nn.SiLU(), zero(conv(dims, c, channels, 3)))

    @property
    def blocks(self) -> list[UNetBlock]:
        """All blocks from first to last: where `temporal` and `transformer.environment_attention` can be filled."""
        return [m for m in self.modules() if isinstance(m, UNetBlock)]

    def embed_condition(self, t: Tensor, cond: Tensor | None, env: Environment | None = None) -> tuple[Tensor, Tensor]:
        """Embedding (b, embed) and condition tokens (b, tokens, embed) of zero-based t (b,) and C (b, d) or None.

        Ours: attention to the environment adds a residual to C, because other streams are unfinished prompts.
        """
        b = t.shape[0]  # not len(t), which torch.export takes for a constant
        cond = t.new_zeros((b, self.d), dtype=self.position.dtype) if cond is None else cond
        if tuple(cond.shape) != (b, self.d):
            raise ValueError(f"expected a condition ({b}, {self.d}), got {tuple(cond.shape)}")
        if self.environment_attention is not None and env is not None:
            cond = cond + self.environment_attention(cond[:, None], env)[:, 0]
        c = cond * self.d**0.5  # unit norm → unit variance a component
        emb = self.time_mlp(time_embedding(t, self.embed, dtype=self.position.dtype)) + self.cond_mlp(c)
        return emb, rearrange(self.cond_tokens(c), "b (n e) -> b n e", n=self.tokens)

    def forward(self, z_t: Tensor, t: Tensor, cond: Tensor | None = None, env: Environment | None = None) -> Tensor:
        """The prediction (b, *shape) for z_t (b, *shape) at t (b,), given C (b, d) and the environment."""
        if tuple(z_t.shape[1:]) != self.shape or t.shape != z_t.shape[:1]:
            got = f"{tuple(z_t.shape)} and {tuple(t.shape)}"
            raise ValueError(f"expected z_t {batch_of(self.shape)} and t (b,), got {got}")
        return self.trunk(z_t, *self.embed_condition(t, cond, env), env)

    def trunk(self, x: Tensor, emb: Tensor, context: Tensor, env: Environment | None) -> Tensor:
        """The U itself, down, middle and up with skips: x (b, c, ...) → (b, c, ...)."""
        h = self.conv_in(x) + self.position
        skips = [h]
        for layer in self.down:
            h = layer(h, emb, context, env) if isinstance(layer, UNetBlock) else layer(h)
            skips.append(h)
        h = self.middle(h, emb, context, env)
        for layer in self.up:
            if isinstance(layer, UNetBlock):
                h = layer(torch.cat([h, skips.pop()], dim=1), emb, context, env)
            else:
                h = layer(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.out(h)
