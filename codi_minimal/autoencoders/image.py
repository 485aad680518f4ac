"""The image VAE: (b, 3, 32, 32) in [0, 1] ↔ z (b, 4, 8, 8)."""

from collections.abc import Sequence

from torch import Tensor

from codi_minimal.autoencoders.base import Autoencoder, moments
from codi_minimal.autoencoders.conv import ConvDecoder, ConvEncoder
from codi_minimal.inputs import batch_of


class ImageVAE(Autoencoder):
    """A convolutional VAE of RGB images, each side of the latent 2^len(widths) times shorter (LDM, sect. 3.1).

    The reconstruction term is the mean squared error over pixels in [−1, 1]: glyphs on black need no perceptual loss.

    Args:
        size: height and width of the images in pixels.
        latent_channels: c of the latent "c h w".
        widths: channels after each halving, fine to coarse.
        kl_weight: weight of the KL term a latent component; small, as in LDM, since diffusion learns the prior.
    """

    def __init__(
        self, size: int = 32, latent_channels: int = 4, widths: Sequence[int] = (32, 96), kl_weight: float = 1e-4
    ):
        side = size // 2 ** len(widths)
        super().__init__((latent_channels, side, side), kl_weight)
        self.data_shape = (3, size, size)
        self.encoder = ConvEncoder(3, 2 * latent_channels, widths)
        self.decoder = ConvDecoder(latent_channels, 3, widths)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if tuple(x.shape[1:]) != self.data_shape:
            raise ValueError(f"expected images {batch_of(self.data_shape)}, got {tuple(x.shape)}")
        return moments(self.encoder(2 * x - 1))

    def decode_raw(self, z: Tensor) -> Tensor:
        return (0.5 * self.decoder(z) + 0.5).clamp(0, 1)

    def reconstruction(self, x: Tensor, z: Tensor) -> Tensor:
        return (self.decoder(z) - (2 * x - 1)).square().mean()
