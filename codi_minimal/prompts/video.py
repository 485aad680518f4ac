"""C_video: clips into the prompt space."""

import torch
from einops import rearrange
from torch import Tensor, nn

from codi_minimal.layers import transformer
from codi_minimal.prompts.base import PromptEncoder
from codi_minimal.prompts.image import FEATURES, ImagePromptEncoder, Trunk


class VideoPromptEncoder(PromptEncoder):
    """C_video: the image encoder's trunk on every frame, then attention over the frames.

    Section 3.2 of the paper. There CLIP encodes the frames, and their embeddings are averaged. An average does not
    depend on the order of the frames, so here each has an embedding of its time, and they attend to one another.

    Args:
        d: dimension of the prompt space.
        width: channels of the trunk's first stage, a multiple of 8.
        frames: frames a clip.
        layers, heads: of the transformer over frames.

    >>> VideoPromptEncoder(d=16, width=8)(torch.zeros(2, 8, 3, 32, 32)).shape
    torch.Size([2, 16])
    """

    low, high = 0.0, 1.0

    def __init__(self, d: int = 128, width: int = 32, frames: int = 8, layers: int = 2, heads: int = 4):
        super().__init__()
        self.shape = (frames, 3, 32, 32)
        self.trunk = Trunk(width)
        self.position = nn.Parameter(0.02 * torch.randn(frames, FEATURES))
        self.transformer = transformer(FEATURES, layers, heads, 2 * FEATURES)
        self.project = nn.Linear(FEATURES, d)

    def start_from(self, image: ImagePromptEncoder) -> None:
        """Copies the trunk of a trained image encoder of the same width."""
        self.trunk.load_state_dict(image.trunk.state_dict())

    def embed(self, data: Tensor) -> Tensor:
        h = self.trunk(rearrange(data, "b f c h w -> (b f) c h w"))  # (b f) 128
        h = rearrange(h, "(b f) c -> b f c", f=len(self.position)) + self.position
        return self.project(self.transformer(h).mean(dim=1))
