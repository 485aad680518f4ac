"""The video denoiser: the image U-Net on frames, which exchange information by attention and by latent shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from codi_minimal.denoisers.unet import UNet
from codi_minimal.layers import Attention, zero

if TYPE_CHECKING:
    from codi_minimal.alignment.environment import Environment


def latent_shift(x: Tensor, chunks: int = 8) -> Tensor:
    """Delays channel chunk i of "b f c h w" by i frames, and fills with zeros. CoDi sect. 3.3, with k = `chunks`.

    y[:, f, chunk i] = x[:, f − i, chunk i]: every frame gets a slice of each of the frames before it.
    """
    if x.ndim != 5 or x.shape[2] % chunks:
        raise ValueError(f"expected (b, f, c, h, w) with c divisible by {chunks}, got {tuple(x.shape)}")
    shifted = []
    for i, chunk in enumerate(x.chunk(chunks, dim=2)):
        i = min(i, x.shape[1])  # a clip may have fewer frames than chunks
        shifted.append(torch.cat([torch.zeros_like(chunk[:, :i]), chunk[:, : x.shape[1] - i]], dim=1))
    return torch.cat(shifted, dim=2)


class Temporal(nn.Module):
    """h + conv(latent_shift(norm(h))), then attention over the frames at each position.

    Both residuals end in a layer that starts at zero, so that a video U-Net starts as the image U-Net on each frame.
    """

    def __init__(self, channels: int, frames: int, chunks: int = 8):
        super().__init__()
        self.frames, self.chunks = frames, chunks
        self.norm1 = nn.GroupNorm(8, channels)
        self.shifted = zero(nn.Conv2d(channels, channels, 1))
        self.norm2 = nn.LayerNorm(channels)
        self.frame = nn.Parameter(torch.zeros(frames, channels))
        nn.init.normal_(self.frame, std=0.5)
        self.attention = Attention(channels)

    def forward(self, h: Tensor) -> Tensor:
        f, (_, _, height, width) = self.frames, h.shape
        shifted = latent_shift(rearrange(self.norm1(h), "(b f) c h w -> b f c h w", f=f), self.chunks)
        h = h + self.shifted(rearrange(shifted, "b f c h w -> (b f) c h w"))
        x = rearrange(h, "(b f) c h w -> (b h w) f c", f=f)
        x = self.attention(self.norm2(x) + self.frame)
        return h + rearrange(x, "(b h w) f c -> (b f) c h w", h=height, w=width)


class FrameEmbedding(nn.Module):
    """The embedding e of t and C for each frame f: (b, e) → (b f, e), e + W σ(U e + u_f), W = 0 at first. Ours.

    The position of a glyph in frame f depends on f and on the prompt's verb together. Temporal attention alone would
    have to find that product in its values. Here it modulates every residual block.
    """

    def __init__(self, embed: int, frames: int):
        super().__init__()
        self.project = nn.Linear(embed, embed)
        self.frame = nn.Parameter(torch.randn(frames, embed))
        self.out = zero(nn.Linear(embed, embed))

    def forward(self, emb: Tensor) -> Tensor:
        x = self.project(emb)[:, None] + self.frame  # b f e
        return rearrange(emb[:, None] + self.out(F.silu(x)), "b f e -> (b f) e")


class VideoUNet(UNet):
    """ε_video over latents "b f c h w": an image `UNet` with `FrameEmbedding`, and `Temporal` in every block.

    Its self-attention is over the positions of all frames together. With attention over time at each position alone, a
    clip changes its colour where no prompt gives one, because a moving glyph is never twice at the same position.
    CoDi sect. 3.3; the embedding of the frame and the attention across positions are ours.

    Args:
        shape: latent shape (f, c, h, w).
        chunks: k of the latent shift. The others: as in `UNet`.
    """

    def __init__(self, shape: Sequence[int], chunks: int = 8, **unet):
        frames, *frame_shape = shape
        super().__init__(frame_shape, **unet)
        self.frames = frames
        self.shape = tuple(shape)
        for block in self.blocks:
            block.temporal = Temporal(block.channels, frames, chunks)
            block.transformer.frames = frames
        self.frame_embedding = FrameEmbedding(self.embed, frames)

    def start_from(self, image: UNet) -> None:
        """Copies the weights of a trained image denoiser of the same sizes, except its attention to other streams."""
        shared = {name: p for name, p in image.state_dict().items() if "environment_attention." not in name}
        own = self.state_dict()
        if wrong := [name for name, p in shared.items() if name not in own or own[name].shape != p.shape]:
            raise ValueError(f"expected an image U-Net of the same sizes, got one that differs in {', '.join(wrong)}")
        self.load_state_dict(shared, strict=False)

    def trunk(self, x: Tensor, emb: Tensor, context: Tensor, env: Environment | None) -> Tensor:
        f = self.frames
        emb, context = self.frame_embedding(emb), repeat(context, "b n e -> (b f) n e", f=f)
        v = super().trunk(rearrange(x, "b f c h w -> (b f) c h w"), emb, context, env)
        return rearrange(v, "(b f) c h w -> b f c h w", f=f)
