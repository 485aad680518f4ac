"""Ours: C_image learns from pictures that are drawn as if by other hands, with other pens.

Source: elastic distortions (Simard et al. 2003), and the usual affine ones.
Buys: not measured by itself; with it, .983 of the digits of `load_digits` are right ("Strangers" in
docs/experiments.md).
Without it: remove this file and its lines in `recipes.py`; C_image then knows the handwriting of its data.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from codi_minimal.config import Share, checked
from codi_minimal.recipe import Addition

TURN, SLANT, STRETCH, MOVE = math.radians(12), 0.35, 0.2, 2 / 32  # at most; MOVE in canvases
ELASTIC, KNOTS = 0.06, 5  # the size of bends, in half canvases, and how many of them lie side by side


@checked
class OtherHands(Addition):
    """Changes a share of the pictures that bridging alignment draws; their colours stay."""

    of_digits = True
    share: Share = 0.8

    def augmentations(self) -> Mapping[str, Callable[[Tensor, Generator], Tensor]]:
        return {"image": self.redrawn}

    def redrawn(self, pictures: Tensor, generator: Generator | None = None) -> Tensor:
        """Pictures (b, 3, h, w) in [0, 1]; some of them as another hand would draw them."""
        changed = pen(bent(pictures, generator), generator)
        chosen = torch.rand(len(pictures), 1, 1, 1, generator=generator) < self.share
        return torch.where(chosen.to(pictures.device), changed, pictures)


def bent(pictures: Tensor, generator: Generator | None = None) -> Tensor:
    """Pictures (b, c, h, w), each turned, slanted, stretched, moved and bent at random."""
    b = len(pictures)

    def within(most: float) -> Tensor:
        return most * (2 * torch.rand(b, generator=generator) - 1)

    turn, slant, wide, high = within(TURN), within(SLANT), within(STRETCH).exp(), within(STRETCH).exp()
    cos, sin = turn.cos(), turn.sin()
    # the map from output to input: rotation times slant and stretch
    x = (cos * wide, cos * slant - sin * high, within(2 * MOVE))
    y = (sin * wide, sin * slant + cos * high, within(2 * MOVE))
    theta = torch.stack([*x, *y], dim=1).view(b, 2, 3)
    with torch.autocast(pictures.device.type, enabled=False):  # bfloat16 has too few places for coordinates
        grid = F.affine_grid(theta.to(pictures.device), list(pictures.shape), align_corners=False)
    bends = ELASTIC * torch.randn(b, 2, KNOTS, KNOTS, generator=generator)
    bends = F.interpolate(bends.to(pictures.device), pictures.shape[2:], mode="bicubic", align_corners=True)
    return F.grid_sample(pictures, grid + bends.permute(0, 2, 3, 1), padding_mode="zeros", align_corners=False)


def pen(pictures: Tensor, generator: Generator | None = None) -> Tensor:
    """Strokes (b, c, h, w) up to 2 px thicker or 1 px thinner, of another hardness; some at a lower resolution.

    The lower resolution is the same for all of a batch.
    """
    b, _, h, w = pictures.shape

    def uniform() -> Tensor:
        return torch.rand(b, 1, 1, 1, generator=generator).to(pictures.device)

    width = (2 * uniform() - 1) * (uniform() < 0.7)
    thick, thin = F.max_pool2d(pictures, 3, 1, 1), -F.max_pool2d(-pictures, 3, 1, 1)
    drawn = torch.where(width > 0, torch.lerp(pictures, thick, width), torch.lerp(pictures, thin, 0.5 * -width))
    side = int(torch.randint(12, 24, (), generator=generator))
    coarse = F.interpolate(F.interpolate(drawn, (side, side), mode="area"), (h, w), mode="bilinear")
    drawn = torch.where(uniform() < 0.3, coarse, drawn)
    ink = drawn.amax(dim=1, keepdim=True).clamp(min=1e-6)  # a power of it leaves the colour as it is
    hardness = (1.4 * uniform() - 0.7).exp()
    bright = ink**hardness / ink
    full = (drawn * bright).amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return (drawn * bright / full).clamp(0, 1)
