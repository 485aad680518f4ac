"""The audio autoencoder: waveform → log-mel → VAE latent, and back through a vocoder (CoDi sect. 3.3, AudioLDM)."""

from collections.abc import Sequence

from torch import Tensor, nn

from codi_minimal.autoencoders.base import Autoencoder, moments
from codi_minimal.autoencoders.conv import ConvDecoder, ConvEncoder


class AudioVAE(Autoencoder):
    """Waveforms (b, 8192) in [−1, 1] ↔ z "b c m w" with m coarse mel bands and w coarse times.

    The VAE proper sees the log-mel spectrogram (b, 1, 64, 64), frequency by time; with three halvings the latent's
    time axis has one column a video frame, the clock that audio and video share.

    Args:
        mel: waveform → log-mel (b, 1, m, n), roughly in [−1, 1]; fixed.
        vocoder: log-mel → waveform. Not trained by `loss`: a vocoder has a stage of its own.
        mel_shape: (m, n) of the spectrogram.
        latent_channels, widths, kl_weight: as in `ImageVAE`.
    """

    def __init__(
        self,
        mel: nn.Module,
        vocoder: nn.Module,
        mel_shape: tuple[int, int] = (64, 64),
        latent_channels: int = 8,
        widths: Sequence[int] = (32, 64, 128),
        kl_weight: float = 1e-3,
    ):
        factor = 2 ** len(widths)
        super().__init__((latent_channels, mel_shape[0] // factor, mel_shape[1] // factor), kl_weight)
        self.mel = mel
        self.vocoder = vocoder
        self.encoder = ConvEncoder(1, 2 * latent_channels, widths)
        self.decoder = ConvDecoder(latent_channels, 1, widths)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return moments(self.encoder(self.mel(x)))

    def decode_mel(self, z: Tensor) -> Tensor:
        """The log-mel spectrogram (b, 1, m, n) of a scaled latent: what the vocoder is given."""
        return self.decoder(z / self.scale_factor)

    def decode_raw(self, z: Tensor) -> Tensor:
        return self.vocoder(self.decoder(z))

    def reconstruction(self, x: Tensor, z: Tensor) -> Tensor:
        # L1: a squared error would smear the fine harmonics that a low-dimensional latent cannot place exactly
        return (self.decoder(z) - self.mel(x)).abs().mean()
