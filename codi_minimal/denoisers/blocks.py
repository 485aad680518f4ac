"""The block of a U-Net: a residual block, then attention to the condition and to the other streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from einops import rearrange
from torch import Tensor, nn

from codi_minimal.layers import Attention, ResBlock, zero

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment


class TransformerBlock(nn.Module):
    """Self-attention over positions, then cross-attention to the condition and, where there is one, to the environment.

    LDM sect. 3.3; CoDi sect. 3.4. Two slots are filled later: `environment_attention`, a module (h, env) → residual, by
    `alignment.cross_attention`; and `frames`, by the video denoiser. The `frames` of a clip follow one another in the
    batch. Ours: self-attention is over the positions of all frames together.
    """

    def __init__(self, channels: int, context: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.self_attention = Attention(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.cross_attention = Attention(channels, context)
        self.norm3 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), zero(nn.Linear(2 * channels, channels)))
        self.environment_attention: nn.Module | None = None
        self.channels, self.frames = channels, 1

    def forward(self, x: Tensor, context: Tensor, env: Environment | None) -> Tensor:
        """x "b c ..." (frames are folded into b), context "b m e", the environment or None → "b c ..."."""
        h = x.flatten(2).transpose(1, 2)  # b n c
        places = rearrange(self.norm1(h), "(b f) n c -> b (f n) c", f=self.frames)
        h = h + rearrange(self.self_attention(places), "b (f n) c -> (b f) n c", f=self.frames)
        h = h + self.cross_attention(self.norm2(h), context)
        if self.environment_attention is not None and env is not None:
            h = h + self.environment_attention(h, env)
        h = h + self.mlp(self.norm3(h))
        return h.transpose(1, 2).reshape(x.shape)  # b c ...


class UNetBlock(nn.Module):
    """A residual block, then what video adds (the slot `temporal`, a module h → h or None), then attention.

    Args:
        sides: (l,) or (h, w) of its feature maps.
        c_in, c_out: channels. embed: width of the embedding of t and C. context: width of a condition token.
    """

    def __init__(self, sides: Sequence[int], c_in: int, c_out: int, embed: int, context: int):
        super().__init__()
        self.res = ResBlock(len(sides), c_in, c_out, embed)
        self.temporal: nn.Module | None = None
        self.transformer = TransformerBlock(c_out, context)
        self.channels, self.sides = c_out, tuple(sides)

    def forward(self, x: Tensor, emb: Tensor, context: Tensor, env: Environment | None) -> Tensor:
        """x "b c_in ...", emb "b e", context "b m e", the environment or None → "b c_out ..."."""
        h = self.res(x, emb)
        if self.temporal is not None:
            h = self.temporal(h)
        return self.transformer(h, context, env)
