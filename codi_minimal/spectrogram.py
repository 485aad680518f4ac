"""The mel spectrogram, from which the audio autoencoder and the audio prompt encoder start."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

SAMPLE_RATE = 8000  # Hz
SAMPLES = 8192  # 1.024 s: 64 whole hops, 8 to a video frame
N_FFT = 512  # with 256, the lowest of 64 bands would fall between two bins and be empty
WIN_LENGTH = 256  # 32 ms
HOP_LENGTH = 128  # 16 ms
N_MELS = 64
N_FRAMES = SAMPLES // HOP_LENGTH


class MelSpectrogram(nn.Module):
    """S[m, n] = Σ_k F[m, k] |STFT(x)[k, n]|^power, with triangular filters F from 0 to 4000 Hz.

    Elsewhere: torchaudio `MelSpectrogram(8000, 512, 256, 128, n_mels=64)`, less the last frame. Frame n is centred on
    sample 128 n, and the sound is reflected at its ends. Nothing is learned, and gradients pass. The filters and the
    window are computed from their formulas. They follow the module's device and are not part of a checkpoint.

    Args:
        power: 1 for magnitudes, 2 for energies.
        scale: "slaney" or "htk", the formula of the mel scale.
        norm: "slaney" gives each filter the same area, so that white noise is flat; None the same height.
    """

    def __init__(self, power: int, scale: str, norm: str | None) -> None:
        super().__init__()
        with torch.device("cpu"):  # torchaudio looks at the values, which the device "meta" does not have
            bank = melscale_fbanks(
                N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, norm=norm, mel_scale=scale
            )
        self.power = power
        self.register_buffer("filters", rearrange(bank, "k m -> m k"), persistent=False)
        self.register_buffer("window", torch.hann_window(WIN_LENGTH), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms "b s", s = 8192 samples at 8 kHz in [-1, 1] → "b m n", 64 bands (low to high), 64 frames of 16 ms.

        Raises:
            ValueError: if the waveform is not of shape (b, 8192).
        """
        if waveform.ndim != 2 or waveform.shape[1] != SAMPLES:
            raise ValueError(f"expected a waveform of shape (b, {SAMPLES}), got {tuple(waveform.shape)}")
        with torch.autocast(waveform.device.type, enabled=False):  # the filters lose the quiet bands in bfloat16
            spectrum = torch.stft(
                waveform.to(self.window.dtype), N_FFT, HOP_LENGTH, WIN_LENGTH, self.window, return_complex=True
            )  # b k n+1
            return self.filters @ spectrum[..., :-1].abs() ** self.power  # the 65th frame lies half outside
