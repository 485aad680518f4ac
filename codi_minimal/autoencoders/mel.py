"""The log-mel spectrogram: the picture of a sound that the audio autoencoder encodes and the vocoder inverts."""

from einops import rearrange
from torch import Tensor

from codi_minimal.spectrogram import N_FRAMES, N_MELS, MelSpectrogram

# log10 magnitudes lie in [log10(FLOOR), 0.3] or so: this takes silence to -1 and the loudest vowels to +1
FLOOR = 2e-3  # just above what noise of sigma 0.002 leaves in a band, so that silence is a constant
CENTRE = -1.2
SPREAD = 1.5


class LogMel(MelSpectrogram):
    """Waveform to normalised log-mel spectrogram (CoDi, section 3.3).

    log_mel[m, n] = (log10 max(S[m, n], FLOOR) - CENTRE) / SPREAD, where S is the `MelSpectrogram` of magnitudes with
    Slaney's filters.

    A sound that starts at sample s starts in column s / 128. Silence is about -1, loud speech about +1.

    >>> import torch
    >>> LogMel()(torch.zeros(2, 8192)).shape
    torch.Size([2, 1, 64, 64])
    """

    def __init__(self) -> None:
        super().__init__(power=1, scale="slaney", norm="slaney")

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms "b s" → "b 1 m n", about [-1, 1]; see `MelSpectrogram.forward`."""
        mel = super().forward(waveform)  # b m n
        return rearrange((mel.clamp_min(FLOOR).log10() - CENTRE) / SPREAD, "b m n -> b 1 m n")

    @staticmethod
    def magnitude(log_mel: Tensor) -> Tensor:
        """Undo normalisation and logarithm: "b 1 m n" to mel magnitudes "b m n"; what was at the floor is 0.

        Raises:
            ValueError: if the log-mel is not of shape (b, 1, 64, 64).
        """
        check_log_mel(log_mel)
        return (10 ** (rearrange(log_mel, "b 1 m n -> b m n") * SPREAD + CENTRE) - FLOOR).clamp_min(0)


def check_log_mel(log_mel: Tensor) -> None:
    """Raise a ValueError unless `log_mel` is "b 1 m n" with m = n = 64."""
    if log_mel.ndim != 4 or log_mel.shape[1:] != (1, N_MELS, N_FRAMES):
        shape = tuple(log_mel.shape)
        raise ValueError(f"expected a log-mel of shape (b, 1, {N_MELS}, {N_FRAMES}), got {shape}")
