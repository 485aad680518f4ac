"""The convolutional encoder and decoder that the image and the mel-spectrogram VAE are made of."""

from collections.abc import Sequence

from torch import nn

from codi_minimal.layers import ResBlock


class ConvEncoder(nn.Sequential):
    """b c h w → b out_channels h/2^n w/2^n, halving once for each of the n widths.

    The first layer halves by patches: at full resolution nearly all the arithmetic would be spent on black pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]):
        layers: list[nn.Module] = []
        for narrow, wide in zip((in_channels, *widths), widths, strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), ResBlock(2, wide, wide)]
        layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], out_channels, 3, padding=1)]
        super().__init__(*layers)


class ConvDecoder(nn.Sequential):
    """b in_channels h w → b c h·2^n w·2^n, the mirror of `ConvEncoder`; upsampling by sub-pixel shuffles."""

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]):
        wide, *narrower = reversed(widths)
        layers: list[nn.Module] = [nn.Conv2d(in_channels, wide, 3, padding=1), ResBlock(2, wide, wide)]
        layers += [ResBlock(2, wide, wide)]
        for narrow in narrower:
            layers += [nn.Conv2d(wide, 4 * narrow, 3, padding=1), nn.PixelShuffle(2), ResBlock(2, narrow, narrow)]
            wide = narrow
        layers += [nn.GroupNorm(8, wide), nn.SiLU(), nn.Conv2d(wide, 4 * out_channels, 3, padding=1)]
        super().__init__(*layers, nn.PixelShuffle(2))
