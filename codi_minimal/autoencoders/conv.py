"""The convolutional encoder and decoder that the image and the mel-spectrogram VAE are made of."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ResBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the residual block of the VQ-GAN and LDM autoencoders."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)  # each block starts as the identity, so depth costs nothing at first
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class ConvEncoder(nn.Sequential):
    """b c h w → b out_channels h/2^n w/2^n, halving once for each of the n widths.

    The first layer halves by patches: at full resolution nearly all the arithmetic would be spent on black pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]):
        layers: list[nn.Module] = [nn.Conv2d(in_channels, widths[0], 4, stride=2, padding=1), ResBlock(widths[0])]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), ResBlock(wide)]
        layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], out_channels, 3, padding=1)]
        super().__init__(*layers)


class ConvDecoder(nn.Sequential):
    """b in_channels h w → b c h·2^n w·2^n, the mirror of `ConvEncoder`; upsampling by sub-pixel shuffles."""

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]):
        widths = list(reversed(widths))
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, widths[0], 3, padding=1),
            ResBlock(widths[0]),
            ResBlock(widths[0]),
        ]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(wide, 4 * narrow, 3, padding=1), nn.PixelShuffle(2), ResBlock(narrow)]
        layers += [
            nn.GroupNorm(8, widths[-1]),
            nn.SiLU(),
            nn.Conv2d(widths[-1], 4 * out_channels, 3, padding=1),
            nn.PixelShuffle(2),
        ]
        super().__init__(*layers)
