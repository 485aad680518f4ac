"""From log-mel spectrogram back to waveform: fixed (Griffin–Lim), or learned (after Vocos)."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torchaudio.functional import griffinlim

from codi_minimal.autoencoders.mel import LogMel, check_log_mel
from codi_minimal.spectrogram import HOP_LENGTH, N_FFT, N_MELS, SAMPLES, WIN_LENGTH


class GriffinLim(nn.Module):
    """Phase by alternating projections: a sound whose mel spectrogram comes close to the given one.

    Griffin & Lim 1984, in the fast version of Perraudin et al. 2013. Elsewhere: torchaudio `GriffinLim`.
    Deterministic: the phase starts at zero. It needs no training.

    Args:
        iterations: projections to and fro.
        momentum: of the fast version, in [0, 1).
    """

    def __init__(self, iterations: int = 32, momentum: float = 0.99) -> None:
        super().__init__()
        self.iterations, self.momentum = iterations, momentum
        mel = LogMel()
        self.register_buffer("filters", mel.filters, persistent=False)  # m k
        inverse = torch.linalg.pinv(mel.filters.double()).to(mel.filters)  # in double, which no autocast changes
        self.register_buffer("inverse", inverse, persistent=False)  # k m
        self.register_buffer("window", mel.window, persistent=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mel "b 1 m n" to waveform "b s" in [-1, 1], 8 kHz.

        Raises:
            ValueError: if the log-mel is not of shape (b, 1, 64, 64).
        """
        options = {"power": 1.0, "n_iter": self.iterations, "momentum": self.momentum, "rand_init": False}
        with torch.autocast(log_mel.device.type, enabled=False):  # there are no complex numbers of bfloat16
            mel = LogMel.magnitude(log_mel.to(self.window.dtype))  # b m n
            magnitude = repeat_last(self.spectrogram(mel))  # b k n+1
            waveform = griffinlim(magnitude, self.window, N_FFT, HOP_LENGTH, WIN_LENGTH, length=SAMPLES, **options)
        return waveform.clamp(-1, 1)

    def spectrogram(self, mel: Tensor) -> Tensor:
        """Mel magnitudes "b m n" to linear ones "b k n": non-negative S with filters @ S close to `mel`.

        Multiplicative updates from the clamped pseudo-inverse (Lee & Seung 2001): S <- S * F^T mel / F^T F S.
        """
        spectrum = (self.inverse @ mel).clamp_min(1e-6)
        target = self.filters.T @ mel
        for _ in range(20):
            spectrum = spectrum * target / (self.filters.T @ (self.filters @ spectrum)).clamp_min(1e-12)
        return spectrum


class ConvNeXtBlock(nn.Module):
    """x + gamma * MLP(LayerNorm(depthwise(x))) along time, "b c n" (Liu et al. 2022, section 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        h = rearrange(self.depthwise(x), "b c n -> b n c")
        return x + rearrange(self.gamma * self.mlp(self.norm(h)), "b n c -> b c n")


class Vocoder(nn.Module):
    """A network that predicts magnitude and phase of every time-frequency bin, and an inverse STFT.

    waveform = iSTFT(exp(m) * (cos p + i sin p)), with m and (cos p, sin p) at 257 bins by 65 frames.

    Siuzdak 2023 ("Vocos"), section 3, without the adversarial losses; see `training.autoencoders.vocoder_loss`. The
    whole network, of so many channels and ConvNeXt blocks, runs at the mel's frame rate, so it is fast.
    """

    def __init__(self, width: int = 160, blocks: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv1d(N_MELS, width, 7, padding=3)
        self.stem_norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * (N_FFT // 2 + 1))
        nn.init.constant_(self.head.bias[: N_FFT // 2 + 1], -3.0)  # starts quiet: most of a sound is silence
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mel "b 1 m n" to waveform "b s" in [-1, 1], 8 kHz.

        Raises:
            ValueError: if the log-mel is not of shape (b, 1, 64, 64).
        """
        check_log_mel(log_mel)
        x = repeat_last(rearrange(log_mel, "b 1 m n -> b m n"))  # b m n+1
        h = rearrange(self.stem(x), "b c n -> b n c")
        h = self.blocks(rearrange(self.stem_norm(h), "b n c -> b c n"))
        h = self.head(self.norm(rearrange(h, "b c n -> b n c")))  # b n+1 3k
        return self.synthesise(*rearrange(h, "b n (three k) -> three b k n", three=3))

    def synthesise(self, log_magnitude: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """The inverse STFT of the head's outputs, each "b k n": waveform "b s".

        (cosine, sine) is a vector of any length; it is scaled to the unit circle, so that no phase has to wrap.
        """
        # there are no complex numbers of bfloat16
        log_magnitude, cosine, sine = (x.float() for x in (log_magnitude, cosine, sine))
        magnitude = log_magnitude.exp().clamp_max(256.0)  # the window's sum: no sound in [-1, 1] is louder
        length = (cosine.square() + sine.square() + 1e-12).sqrt()
        spectrum = torch.complex(magnitude * cosine / length, magnitude * sine / length)
        waveform = torch.istft(spectrum, N_FFT, HOP_LENGTH, N_FFT, self.window, center=True, length=SAMPLES)
        return waveform.clamp(-1, 1)


def repeat_last(x: Tensor) -> Tensor:
    """Appends the 65th frame, which LogMel leaves out, as a copy of the 64th: "b k n" to "b k n+1"."""
    return torch.cat([x, x[..., -1:]], dim=-1)
