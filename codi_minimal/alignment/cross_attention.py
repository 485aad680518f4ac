"""Cross-attention from a denoiser to the environment of the other streams (CoDi sect. 3.3)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from codi_minimal.denoisers.blocks import zero
from codi_minimal.denoisers.unet import Stage, UNet


class EnvironmentAttention(nn.Module):
    """softmax(q kᵀ) v from the places of one stream to the environment tokens of the others.

    Queries carry a learned position, over all frames at once for video, so that a place can look up its own time among
    the clock tokens. A learned key of value zero lets a place take nothing; a token of zeros stands for an absent
    stream and is masked, and without any token the residual is exactly zero. It starts at zero in any case.

    Args:
        channels: channels of the denoiser's block. d_env: width of an environment token.
        places: number of positions of the block's feature map. frames: frames folded into its batch (1 = none).
    """

    def __init__(self, channels: int, d_env: int, places: int, frames: int = 1, head: int = 32):
        super().__init__()
        self.heads, self.frames = channels // head, frames
        self.norm = nn.LayerNorm(channels)
        self.position = nn.Parameter(0.5 * torch.randn(frames * places, channels))
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(d_env, 2 * channels, bias=False)
        self.nothing = nn.Parameter(torch.randn(self.heads, 1, head))
        self.out = zero(nn.Linear(channels, channels, bias=False))

    def forward(self, h: Tensor, env: Tensor) -> Tensor:
        x = rearrange(self.norm(h), "(b f) n c -> b (f n) c", f=self.frames) + self.position
        q = rearrange(self.q(x), "b n (h d) -> b h n d", h=self.heads)
        k, v = rearrange(self.kv(env), "b n (two h d) -> two b h n d", two=2, h=self.heads)
        k = torch.cat([self.nothing.expand(len(k), -1, -1, -1), k], dim=2)
        v = F.pad(v, (0, 0, 1, 0))
        present = F.pad(env.detach().abs().sum(dim=-1) > 0, (1, 0), value=True)             # b n+1
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=present[:, None, None, :])
        return rearrange(self.out(rearrange(x, "b h n d -> b n (h d)")), "b (f n) c -> (b f) n c", f=self.frames)


def add_environment(denoiser: UNet, d_env: int) -> None:
    """Give every attention block of a denoiser its `EnvironmentAttention`; ε is unchanged until it is trained."""
    frames = getattr(denoiser, "frames", 1)
    for stage, places in stage_places(denoiser).items():
        stage.transformer.environment = EnvironmentAttention(stage.channels, d_env, places, frames)


def stage_places(denoiser: UNet) -> dict[Stage, int]:
    """The number of positions (l, or h·w) of each stage's feature map, found by one forward pass."""
    places: dict[Stage, int] = {}
    hooks = [s.register_forward_hook(lambda m, _, out: places.update({m: out[0, 0].numel()})) for s in denoiser.stages]
    with torch.no_grad():
        p = denoiser.position
        denoiser(p.new_zeros(1, *denoiser.shape), torch.zeros(1, dtype=torch.long, device=p.device))
    for hook in hooks:
        hook.remove()
    return places


def environment_modules(denoiser: UNet) -> list[EnvironmentAttention]:
    """What joint training may change in a denoiser, and no other stage touches: its attention to the environment."""
    return [stage.transformer.environment for stage in denoiser.stages]
