"""C_image: pictures into the prompt space."""

import torch
from einops.layers.torch import Rearrange
from torch import Tensor, nn

from .base import PromptEncoder
from .conv import ResidualBlock

FEATURES = 128  # length of what the trunk says of one picture


class Trunk(nn.Sequential):
    """A residual network from a 32×32 picture to a feature vector that still knows where things are.

    The last map (4×4) is flattened, not averaged: position is what the video encoder reads motion from.
    """

    def __init__(self, width: int):
        super().__init__(
            nn.Conv2d(3, width, 3, stride=2, padding=1),  # (n, w, 16, 16)
            ResidualBlock(width, width),  # (n, w, 16, 16)
            ResidualBlock(width, 2 * width, stride=2),  # (n, 2w, 8, 8)
            ResidualBlock(2 * width, 4 * width, stride=2),  # (n, 4w, 4, 4)
            nn.GroupNorm(8, 4 * width),
            nn.SiLU(),
            nn.Conv2d(4 * width, width, 1),  # (n, w, 4, 4)
            Rearrange("n c h w -> n (c h w)"),
            nn.Linear(16 * width, FEATURES),  # (n, 128)
        )

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last))


class ImagePromptEncoder(PromptEncoder):
    """C_image, section 3.2 of the paper (there CLIP's image tower; `openclip.py` puts one in this place).

    Args:
        d: dimension of the prompt space.
        width: channels of the first stage, a multiple of 8; the next two have twice and four times as many.

    >>> ImagePromptEncoder(d=16, width=8)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16])
    """

    shape, axes, low, high = (3, 32, 32), "b c h w", 0.0, 1.0

    def __init__(self, d: int = 128, width: int = 32):
        super().__init__(d)
        self.trunk = Trunk(width)
        self.project = nn.Sequential(nn.SiLU(), nn.Linear(FEATURES, d))

    def embed(self, data: Tensor) -> Tensor:
        return self.project(self.trunk(data))
