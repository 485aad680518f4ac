"""Ours: C_audio learns from recordings that are made to sound like other voices, in other rooms, by other microphones.

Source: vocal tract length perturbation (Jaitly and Hinton 2013), here by resampling; simulated rooms (Ko et al. 2017).
Buys: digit of two speakers that are left out, in a room: .554 → .860 (n = 1860, "Strangers" in docs/experiments.md).
Without it: remove this file and its lines in `recipes.py`; C_audio then knows the speakers of its data, in quiet rooms.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional as F

from codi_minimal.config import Share, checked
from codi_minimal.data.acoustics import in_a_room, resampled, with_noise
from codi_minimal.data.voices import PEAK, RATE
from codi_minimal.recipe import Addition

SMALLEST = 1e-6  # silence is divided by this, not by zero


@checked
class OtherVoices(Addition):
    """Changes a share of the recordings that bridging alignment draws.

    Args:
        share: how many are changed. tempo: pitch, formants and pace change by a factor of e^-tempo … e^tempo.
    """

    of_digits = True
    share: Share = 0.8
    tempo: Annotated[float, Field(ge=0, le=1)] = 0.25

    def augmentations(self) -> Mapping[str, Callable[[Tensor, Generator], Tensor]]:
        return {"audio": self.recorded}

    def recorded(self, waves: Tensor, generator: Generator | None = None) -> Tensor:
        """Waves (b, n) in [-1, 1]; some of them as another voice would be recorded elsewhere."""
        wave = resampled(waves, uniform(waves, -self.tempo, self.tempo, generator).exp())
        for change, p in ((microphone, 0.7), (room, 0.5), (noise, 0.7), (clipped, 0.2)):
            wave = some(p, change(wave, generator), wave, generator)
        return some(self.share, PEAK * wave / peak(wave), waves, generator)


def uniform(waves: Tensor, low: float, high: float, generator: Generator | None) -> Tensor:
    """A number for each of the waves (b, n): (b,), on their device."""
    return low + (high - low) * torch.rand(len(waves), generator=generator).to(waves.device)


def some(p: float, new: Tensor, old: Tensor, generator: Generator | None) -> Tensor:
    """Each row from `new` with probability p, else from `old`."""
    return torch.where(uniform(old, 0, 1, generator)[:, None] < p, new, old)


def peak(wave: Tensor) -> Tensor:
    """(b, 1)."""
    return wave.abs().amax(dim=1, keepdim=True).clamp(min=SMALLEST)


def microphone(wave: Tensor, generator: Generator | None = None) -> Tensor:
    """A smooth gain of up to ±8 dB over frequency, a lower limit of 20 to 350 Hz, an upper one of 2.2 to 4.8 kHz."""
    b, n = wave.shape
    spectrum = torch.fft.rfft(wave)
    f = torch.linspace(0, RATE / 2, spectrum.shape[1], device=wave.device)
    knots = 16 * torch.rand(b, 1, 7, generator=generator).to(wave.device) - 8
    gain = F.interpolate(knots, len(f), mode="linear", align_corners=True)[:, 0]
    low, high = (uniform(wave, *limits, generator)[:, None] for limits in ((20, 350), (2200, 4800)))
    gain = gain - 10 * torch.log10(1 + (low / f.clamp(min=1)) ** 4) - 10 * torch.log10(1 + (f / high) ** 8)
    return torch.fft.irfft(spectrum * 10 ** (gain / 20), n)


def room(wave: Tensor, generator: Generator | None = None) -> Tensor:
    """Reverberation that decays by 60 dB in .1 to .8 s, and is 18 dB weaker than the direct sound to 3 dB louder."""
    return in_a_room(wave, uniform(wave, 0.1, 0.8, generator), uniform(wave, -3, 18, generator), generator)


def noise(wave: Tensor, generator: Generator | None = None) -> Tensor:
    """Noise, white to brown, or another voice of the batch: 3 to 40 dB weaker than the voice."""
    b, n = wave.shape
    spectrum = torch.fft.rfft(torch.randn(b, n, generator=generator).to(wave.device))
    f = torch.arange(spectrum.shape[1], device=wave.device).clamp(min=4)
    coloured = torch.fft.irfft(spectrum * f ** -(uniform(wave, 0, 1, generator)[:, None]), n)
    shift = int(torch.randint(n, (), generator=generator))
    other = some(0.7, coloured, wave.roll((1, shift), (0, 1)) + SMALLEST * coloured, generator)
    return with_noise(wave, other, uniform(wave, 3, 40, generator))


def clipped(wave: Tensor, generator: Generator | None = None) -> Tensor:
    """Cut off at a fifth of its peak, or higher."""
    limit = uniform(wave, 0.2, 1, generator)[:, None] * peak(wave)
    return wave.clamp(-limit, limit)
