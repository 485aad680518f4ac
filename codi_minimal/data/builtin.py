"""The built-in sample: scikit-learn's handwriting, and voices that are synthesised by formants."""

import numpy as np

from .voices import RATE

_GLYPHS = 1437  # of 1797; the rest are the test split. The set is ordered by writer, so that few writers are in both
_TAKES = {"train": range(0, 5), "test": range(5, 7)}
_HIGHEST = 3700  # Hz; harmonics end below half the rate
_BREATH = 0.003  # a gap in a word is quiet, not digital silence
_HOP = 16  # samples between two values of the formants

# A sound is (voice, noise, noise's centre in Hz, three formants at its start, at its end (Hz), seconds).
# Formants roughly after Peterson & Barney 1952.
_SOUNDS = {
    "iy": (1.0, 0.0, 0, (280, 2300, 2900), (280, 2300, 2900), 0.16),
    "ih": (1.0, 0.0, 0, (400, 1950, 2550), (400, 1950, 2550), 0.10),
    "eh": (1.0, 0.0, 0, (550, 1800, 2500), (550, 1800, 2500), 0.11),
    "ah": (1.0, 0.0, 0, (640, 1200, 2400), (600, 1250, 2400), 0.14),
    "uh": (0.7, 0.0, 0, (480, 1300, 2400), (450, 1300, 2400), 0.07),
    "ao": (1.0, 0.0, 0, (570, 840, 2400), (560, 850, 2300), 0.18),
    "uw": (1.0, 0.0, 0, (330, 1150, 2300), (300, 800, 2250), 0.22),
    "ow": (1.0, 0.0, 0, (520, 950, 2400), (350, 780, 2300), 0.20),
    "ey": (1.0, 0.0, 0, (500, 1950, 2550), (320, 2280, 2800), 0.20),
    "ay": (1.0, 0.0, 0, (740, 1150, 2450), (340, 2150, 2600), 0.24),
    "r": (0.8, 0.0, 0, (330, 1100, 1550), (400, 1150, 1600), 0.08),
    "w": (0.7, 0.0, 0, (300, 620, 2200), (450, 900, 2300), 0.09),
    "n": (0.5, 0.0, 0, (250, 1150, 2200), (250, 1150, 2200), 0.10),
    "v": (0.4, 0.1, 1800, (300, 1000, 2200), (300, 1000, 2200), 0.07),
    "z": (0.3, 0.3, 3500, (300, 1600, 2500), (300, 1600, 2500), 0.09),
    "s": (0.0, 0.5, 3600, (300, 1600, 2500), (300, 1600, 2500), 0.12),
    "f": (0.0, 0.3, 2200, (300, 1000, 2200), (300, 1000, 2200), 0.11),
    "th": (0.0, 0.3, 2800, (300, 1300, 2400), (300, 1300, 2400), 0.10),
    "t": (0.0, 0.6, 3300, (350, 1700, 2600), (350, 1700, 2600), 0.04),
    "k": (0.0, 0.5, 1800, (350, 1700, 2600), (350, 1700, 2600), 0.04),
    "-": (0.0, 0.0, 0, (350, 1700, 2600), (350, 1700, 2600), 0.05),
}
_WORDS = ["z iy r ow", "w ah n", "t uw", "th r iy", "f ao r", "f ay v", "s ih - k s", "s eh v uh n", "ey - t", "n ay n"]
# pitch in Hz, factor on formants, rate
_SPEAKERS = (100, 0.92, 1.1), (115, 0.97, 1.0), (132, 1.0, 0.9), (180, 1.08, 1.0), (203, 1.12, 1.05), (226, 1.16, 0.95)


def handwriting(split: str) -> tuple[np.ndarray, list[int]]:
    """scikit-learn's 8x8 digits, bilinear to 20 px inside a margin of 4: glyphs uint8 "n 28 28", labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    part = slice(None, _GLYPHS) if split == "train" else slice(_GLYPHS, None)
    at = ((np.arange(20) + 0.5) * 8 / 20 - 0.5).clip(0, 7)
    weight = (1 - np.abs(at[:, None] - np.arange(8))).clip(0)
    scaled = weight @ (images[part].reshape(-1, 8, 8) * 255 / 16) @ weight.T
    return np.pad(scaled.round().astype(np.uint8), ((0, 0), (4, 4), (4, 4))), labels[part].tolist()


def voices(split: str) -> tuple[list[np.ndarray], list[int], list[str]]:
    """Several recordings of each digit by six synthetic speakers: waves at 8 kHz, digits, speakers."""
    said = [(d, s, take) for d in range(10) for s in range(len(_SPEAKERS)) for take in _TAKES[split]]
    waves = [speak(d, *_SPEAKERS[s], np.random.default_rng((d, s, take))) for d, s, take in said]
    return waves, [d for d, _, _ in said], [f"voice {s}" for _, s, _ in said]


def speak(digit: int, pitch: float, scale: float, rate: float, rng: np.random.Generator) -> np.ndarray:
    """A synthetic recording of one digit: x(t) = Σ_k A(k f0, t) sin(2π k ∫f0) + noise in each sound's band.

    `pitch`: f0 in Hz, which falls by a tenth over the word. `scale`: factor on all formants; short vocal tracts have
    high ones. `rate`: speed of speech. `rng` draws small changes of all three. Returns at most 8192 samples at 8 kHz.
    """
    pitch, scale, rate = np.array((pitch, scale, rate)) * (1 + rng.uniform(-1, 1, 3) * (0.05, 0.03, 0.1))
    sounds = [_SOUNDS[name] for name in _WORDS[digit].split()]
    lengths = [int(seconds / rate * RATE) for *_, seconds in sounds]
    tracks = [np.linspace(start, end, n) for (*_, start, end, _), n in zip(sounds, lengths, strict=True)]
    formants = scale * _glide(np.concatenate(tracks))
    voiced = _glide(np.repeat([[voice] for voice, *_ in sounds], lengths, axis=0))[:, 0]

    f0 = pitch * np.linspace(1.05, 0.95, len(formants))
    k = np.arange(1, int(_HIGHEST / f0.min()))[:, None]
    distance = (k * f0[::_HOP])[..., None] - formants[::_HOP]  # harmonic, hop, formant
    envelope = ((1.0, 0.5, 0.25) / (1 + (distance / (80, 110, 150)) ** 2)).sum(-1)
    envelope[k * f0[::_HOP] > _HIGHEST] = 0
    harmonics = np.sin(2 * np.pi * k * np.cumsum(f0) / RATE)
    wave = voiced * (envelope.repeat(_HOP, axis=1)[:, : len(f0)] * harmonics).sum(0)

    bands = zip(sounds, lengths, strict=True)
    hiss = [noise * _band(rng.standard_normal(n), centre) for (_, noise, centre, *_), n in bands]
    return wave + np.concatenate(hiss) + _BREATH * rng.standard_normal(len(wave))


def _glide(track: np.ndarray) -> np.ndarray:
    """Moving average over 20 ms: formants change gradually."""
    n = RATE // 50
    total = np.pad(track, ((n // 2 + 1, n - n // 2), (0, 0)), mode="edge").cumsum(0)
    return ((total[n:] - total[:-n]) / n)[: len(track)]


def _band(noise: np.ndarray, centre: float) -> np.ndarray:
    """White noise shaped to a band of 600 Hz around the centre, at unit RMS, with soft ends."""
    off_centre = (np.fft.rfftfreq(len(noise), 1 / RATE) - centre) / 600
    shaped = np.fft.irfft(np.fft.rfft(noise) * np.exp(-0.5 * off_centre**2), len(noise))
    ends = np.minimum(1, np.minimum(np.arange(len(noise)), np.arange(len(noise))[::-1]) / 40 + 0.1)
    return ends * shaped / np.sqrt((shaped**2).mean())
