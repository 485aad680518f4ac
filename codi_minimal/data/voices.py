"""Recordings of one voice: their sample rate, and where the voice starts."""

import numpy as np

RATE, WINDOW, PEAK, LONGEST = 8000, 128, 0.8, 8192


def trim(wave: np.ndarray) -> np.ndarray:
    """The recording (n,) from where its voice starts, float32, peak 0.8, at most 8192 samples; see `voice_start`."""
    voice = wave[voice_start(wave) :]
    return (PEAK * voice / np.abs(voice).max()).astype(np.float32)[:LONGEST]


def voice_start(wave: np.ndarray) -> int:
    """The first sample of the voice: it starts with the first window whose RMS exceeds a tenth of the largest RMS.

    Args:
        wave: (n,) samples. Windows have 128 of them; an incomplete last one is ignored.

    Raises:
        ValueError: the recording has several channels, is shorter than a window, is silent, or is not finite.
    """
    if wave.ndim != 1 or len(wave) < WINDOW:
        raise ValueError(f"expected a voice on one channel, {WINDOW} samples or more, got shape {wave.shape}")
    if not np.isfinite(wave).all():
        raise ValueError("expected a voice, got NaN or infinite samples")
    if not wave.any():
        raise ValueError("expected a voice, got silence")
    rms = loudness(wave)
    return WINDOW * int((rms > rms.max() / 10).argmax())


def loudness(wave: np.ndarray) -> np.ndarray:
    """The RMS of each whole window of 128 samples: (n,) → (n // 128,)."""
    windows = wave[: len(wave) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.sqrt((windows.astype(np.float64) ** 2).mean(1))
