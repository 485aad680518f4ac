"""The log-mel spectrogram: the picture of a sound that the audio autoencoder sees and the vocoder undoes."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

SAMPLE_RATE = 8000  # Hz
SAMPLES = 8192  # 1.024 s: 64 whole hops, 8 to a video frame
N_FFT = 512
WIN_LENGTH = 256  # 32 ms
HOP_LENGTH = 128  # 16 ms
N_MELS = 64
N_FRAMES = SAMPLES // HOP_LENGTH

# log10 magnitudes lie in [log10(FLOOR), 0.3] or so: this takes silence to -1 and the loudest vowels to +1
FLOOR = 2e-3  # just above what noise of sigma 0.002 leaves in a band, so that silence is a constant
CENTRE = -1.2
SPREAD = 1.5


class LogMel(nn.Module):
    """Waveform to normalised log-mel spectrogram.

    log_mel[m, n] = (log10 max(sum_k F[m, k] |STFT(x)[k, n]|, FLOOR) - CENTRE) / SPREAD, where F is Slaney's
    mel filter bank (equal area, so that white noise is flat) from 0 to 4000 Hz.

    Paper: CoDi, section 3.3 (audio).
    Elsewhere: torchaudio `MelSpectrogram(power=1, norm="slaney", mel_scale="slaney")`, less the last frame.

    Frame n is centred on sample 128 n (reflected at the borders): a sound that starts at sample s starts in
    column s / 128. Silence is about -1, loud speech about +1. Nothing is learned, and gradients pass.

    >>> LogMel()(torch.zeros(2, 8192)).shape
    torch.Size([2, 1, 64, 64])
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.device("cpu"):  # torchaudio looks at the values, which the device "meta" does not have
            bank = melscale_fbanks(
                N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
            )
        # Constants, not weights: they follow the device and stay out of the checkpoint.
        self.register_buffer("filters", rearrange(bank, "k m -> m k"), persistent=False)
        self.register_buffer("window", torch.hann_window(WIN_LENGTH), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Analyse a batch of sounds.

        Args:
            waveform: "b s", s = 8192 samples at 8 kHz in [-1, 1].

        Returns:
            "b 1 m n", 64 mel bands (low to high) by 64 frames of 16 ms, about [-1, 1].

        Raises:
            ValueError: if the waveform is not of shape (b, 8192).
        """
        if waveform.ndim != 2 or waveform.shape[1] != SAMPLES:
            raise ValueError(f"expected a waveform of shape (b, {SAMPLES}), got {tuple(waveform.shape)}")
        with torch.autocast(waveform.device.type, enabled=False):  # the filters lose the quiet bands in bfloat16
            return self._log_mel(waveform.float())

    def _log_mel(self, waveform: Tensor) -> Tensor:
        # centred on the samples 0, 128, …, 8192 and reflected at both ends
        spectrum = torch.stft(
            waveform, N_FFT, HOP_LENGTH, WIN_LENGTH, self.window, return_complex=True
        )  # b k n+1
        magnitude = spectrum[..., :-1].abs()  # b k n: the 65th frame lies half outside
        mel = self.filters @ magnitude  # b m n
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
