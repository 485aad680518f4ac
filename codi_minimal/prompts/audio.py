"""C_audio: recordings into the prompt space."""

import torch
from einops import rearrange
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from codi_minimal.layers import ResBlock
from codi_minimal.prompts.base import PromptEncoder
from codi_minimal.spectrogram import MelSpectrogram

FORMANTS = 6  # knots at which the mel axis is bent
DECADES = 5.0  # what lies further below a recording's peak than this (50 dB) counts as silence


class AudioPromptEncoder(PromptEncoder):
    """C_audio: a residual network on a log-mel picture. It ignores loudness and, nearly, when the voice starts.

    Section 3.2 of the paper. The log-mel is relative to its peak, which removes loudness. The mean and the maximum of
    the last map over time remove the onset. There are few recordings and fewer speakers, so in `train()` mode the
    log-mel is also warped and masked (`augment`), and features are dropped.

    Args:
        d: dimension of the prompt space.
        width: channels of the first stage, a multiple of 8.
        dropout: share of the pooled features dropped in training.

    >>> AudioPromptEncoder(d=16, width=8).eval()(torch.zeros(2, 8192)).shape
    torch.Size([2, 16])
    """

    shape, low, high = (8192,), -1.0, 1.0

    def __init__(self, d: int = 128, width: int = 32, dropout: float = 0.3):
        super().__init__()
        self.mel = MelSpectrogram(power=2, scale="htk", norm=None)
        self.trunk = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=2, padding=2),  # (b, w, 32, 32)
            ResBlock(2, width, width, stride=2),  # (b, w, 16, 16)
            ResBlock(2, width, 2 * width, stride=2),  # (b, 2w, 8, 8)
            ResBlock(2, 2 * width, 4 * width, stride=(2, 1)),  # (b, 4w, 4, 8)
            nn.GroupNorm(8, 4 * width),
            nn.SiLU(),
        )
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * 4 * 4 * width, d))

    def log_mel(self, wave: Tensor) -> Tensor:
        """The picture (b, 64 mels, 64 frames) of a wave (b, 8192): 1 at its peak, 0 from 50 dB below."""
        level = self.mel(wave).clamp(min=1e-10).log10()
        return ((level - level.amax(dim=(1, 2), keepdim=True)) / DECADES + 1).clamp(min=0)

    def augment(self, picture: Tensor, generator: Generator | None = None) -> Tensor:
        """Another recording of the same word, roughly.

        Speed ±10 %, start ±8 frames, the mel axis stretched by ±10 %, moved by ±2 and bent by about one (other vocal
        tracts, and vowels of other accents), an equaliser's tilt, then one band of mels and one of frames masked
        (SpecAugment, arXiv 1904.08779). `log_mel` removes the gain, so it is not varied.

        Args:
            picture: (b, 64, 64), 0 is silence.
            generator: on the picture's device; None is torch's own, as for dropout.
        """
        b, mels, frames = picture.shape

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(b, device=picture.device, generator=generator)

        # The map from output to input, x time and y pitch, in units where the picture spans [-1, 1].
        theta = picture.new_zeros(b, 2, 3)
        theta[:, 0, 0], theta[:, 0, 2] = uniform(0.9, 1.1), uniform(-8, 8) * 2 / frames
        theta[:, 1, 1], theta[:, 1, 2] = uniform(0.9, 1.1), uniform(-2, 2) * 2 / mels
        grid = F.affine_grid(theta, [b, 1, mels, frames], align_corners=False)
        knots = torch.randn(b, 1, FORMANTS, device=picture.device, generator=generator) * 2 / mels
        bend = F.interpolate(knots, mels, mode="linear", align_corners=True)[:, 0, :, None]
        grid = torch.stack([grid[..., 0], grid[..., 1] + bend], dim=-1)
        warped = F.grid_sample(picture[:, None], grid, padding_mode="zeros", align_corners=False)[:, 0]

        tilt = uniform(-0.15, 0.15)[:, None] * torch.linspace(-1, 1, mels, device=picture.device)
        warped = (warped + tilt[:, :, None] * (warped > 0)).clamp(min=0)

        for size, pattern in ((mels, "b m -> b m 1"), (frames, "b f -> b 1 f")):
            start, width = uniform(0, size)[:, None], uniform(0, 8)[:, None]
            place = torch.arange(size, device=picture.device)
            warped = warped * rearrange((place < start) | (place >= start + width), pattern)
        return warped

    def embed(self, data: Tensor) -> Tensor:
        picture = self.log_mel(data)  # b m f
        if self.training:
            picture = self.augment(picture)
        h = self.trunk(picture[:, None].contiguous(memory_format=torch.channels_last))
        h = rearrange(h, "b c m f -> b (c m) f")
        return self.project(torch.cat([h.mean(dim=-1), h.amax(dim=-1)], dim=-1))
