"""C_image: pictures into the prompt space."""

import torch
from einops.layers.torch import Rearrange
from torch import Tensor, nn

from codi_minimal.layers import ResBlock
from codi_minimal.prompts.base import PromptEncoder

FEATURES = 128  # of one picture, which the trunk returns


class Trunk(nn.Sequential):
    """A residual network from 32×32 pictures "n c h w" to features (n, 128).

    The last map (4×4) is flattened, not averaged, because the video encoder reads motion from positions.
    """

    def __init__(self, width: int):
        super().__init__(
            nn.Conv2d(3, width, 3, stride=2, padding=1),  # (n, w, 16, 16)
            ResBlock(2, width, width),  # (n, w, 16, 16)
            ResBlock(2, width, 2 * width, stride=2),  # (n, 2w, 8, 8)
            ResBlock(2, 2 * width, 4 * width, stride=2),  # (n, 4w, 4, 4)
            nn.GroupNorm(8, 4 * width),
            nn.SiLU(),
            nn.Conv2d(4 * width, width, 1),  # (n, w, 4, 4)
            Rearrange("n c h w -> n (c h w)"),
            nn.Linear(16 * width, FEATURES),  # (n, 128)
        )

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous(memory_format=torch.channels_last))


class ImagePromptEncoder(PromptEncoder):
    """C_image, section 3.2 of the paper (there CLIP's image tower; `openclip.py` can take this place).

    Args:
        d: dimension of the prompt space.
        width: channels of the first stage, a multiple of 8; the next two have twice and four times as many.

    >>> ImagePromptEncoder(d=16, width=8)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16])
    """

    shape, low, high = (3, 32, 32), 0.0, 1.0

    def __init__(self, d: int = 128, width: int = 32):
        super().__init__()
        self.trunk = Trunk(width)
        self.project = nn.Sequential(nn.SiLU(), nn.Linear(FEATURES, d))

    def embed(self, data: Tensor) -> Tensor:
        return self.project(self.trunk(data))
