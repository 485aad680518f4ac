"""Sounds of 8192 samples at 8 kHz, their mel spectrograms, and the way back."""

import numpy as np
from numpy import ndarray

RATE, SAMPLES, N_FFT, WINDOW, HOP, MELS = 8000, 8192, 512, 256, 128, 64
FLOOR, CENTRE, SPREAD = 2e-3, -1.2, 1.5


def hann(dtype: type) -> ndarray:
    """The periodic window of 256 samples in the middle of 512."""
    w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    return np.pad(w, (N_FFT - WINDOW) // 2).astype(dtype)


def stft(x: ndarray) -> ndarray:
    """Spectra (b, 257, 65) of waves (b, 8192): frame n is centred on sample 128 n, and the ends are reflected."""
    x = np.pad(x, ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT, axis=1)[:, ::HOP]
    return np.fft.rfft(frames * hann(x.dtype), axis=-1).swapaxes(1, 2)


def istft(spectra: ndarray) -> ndarray:
    """Overlapping frames are windowed again, added, and divided by the sum of the squared windows."""
    window = hann(spectra.real.dtype)
    frames = np.fft.irfft(spectra.swapaxes(1, 2), N_FFT, axis=-1) * window
    b, n = frames.shape[:2]
    x, weight = np.zeros((b, N_FFT + HOP * (n - 1))), np.zeros(N_FFT + HOP * (n - 1))
    for i in range(n):
        x[:, HOP * i : HOP * i + N_FFT] += frames[:, i]
        weight[HOP * i : HOP * i + N_FFT] += window**2
    start = N_FFT // 2
    return (x[:, start : start + SAMPLES] / weight[start : start + SAMPLES]).astype(spectra.real.dtype)


def to_mel(hz: ndarray, scale: str) -> ndarray:
    if scale == "htk":
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1) / 1000) * 27 / np.log(6.4))


def to_hz(mel: ndarray, scale: str) -> ndarray:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def filters(scale: str) -> ndarray:
    """64 triangles (64, 257) whose corners are equally far apart in mel from 0 to 4000 Hz; Slaney's have equal area."""
    corners = to_hz(np.linspace(0, to_mel(np.array(RATE / 2.0), scale), MELS + 2), scale)
    bins = np.linspace(0, RATE / 2, N_FFT // 2 + 1)
    slopes = corners[:, None] - bins  # 66 257
    width = np.diff(corners)[:, None]
    bank = np.maximum(0, np.minimum(-slopes[:-2] / width[:-1], slopes[2:] / width[1:]))
    return bank * (2 / (corners[2:] - corners[:-2]))[:, None] if scale == "slaney" else bank


def mel(wave: ndarray, scale: str, power: int) -> ndarray:
    """Mel spectrogram (b, 64, 64) of |STFT|^power, without the 65th frame."""
    return filters(scale).astype(wave.dtype) @ np.abs(stft(wave)[..., :-1]).astype(wave.dtype) ** power


def log_mel(wave: ndarray) -> ndarray:
    """What the autoencoder of sounds encodes: (b, 1, 64, 64), silence at about −1."""
    return ((np.log10(np.maximum(mel(wave, "slaney", 1), FLOOR)) - CENTRE) / SPREAD)[:, None]


def magnitudes(picture: ndarray) -> ndarray:
    """Linear magnitudes (b, 257, 65) whose mel spectrogram is near that of a log-mel (b, 1, 64, 64)."""
    bank = filters("slaney").astype(picture.dtype)
    target = np.maximum(10 ** (picture[:, 0] * SPREAD + CENTRE) - FLOOR, 0)
    spectrum = np.maximum(np.linalg.pinv(bank.astype(np.float64)).astype(bank.dtype) @ target, 1e-6)
    goal = bank.T @ target
    for _ in range(20):  # multiplicative updates
        spectrum = spectrum * goal / np.maximum(bank.T @ (bank @ spectrum), 1e-12)
    return np.concatenate([spectrum, spectrum[..., -1:]], axis=-1)


def griffin_lim(picture: ndarray, rounds: int = 32, momentum: float = 0.99) -> ndarray:
    """Waves (b, 8192) of log-mels; the phase starts at 0."""
    magnitude, momentum = magnitudes(picture), momentum / (1 + momentum)
    angle, before = np.ones_like(magnitude), np.zeros_like(magnitude)
    for _ in range(rounds):
        rebuilt = stft(istft(magnitude * angle + 0j))
        angle = rebuilt - momentum * before
        angle, before = angle / (np.abs(angle) + 1e-16), rebuilt
    return np.clip(istft(magnitude * angle + 0j), -1, 1).astype(picture.dtype)
