"""How a recording sounds elsewhere: played faster, in a room, with noise. Waves are (b, n) at 8 kHz."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torchaudio.functional import add_noise, fftconvolve

from .voices import RATE

ROOM = RATE // 2  # samples of an impulse response
FIRST_ECHO = 0.002  # s


def resampled(waves: Tensor, ratio: Tensor) -> Tensor:
    """Waves played `ratio` (b,) times as fast, linearly interpolated, and cut or followed by zeros."""
    at = torch.arange(waves.shape[1], device=waves.device) * ratio[:, None]
    low = at.long().clamp(max=waves.shape[1])
    padded = F.pad(waves, (0, 2))
    return torch.lerp(padded.gather(1, low), padded.gather(1, low + 1), at - at.floor())


def in_a_room(waves: Tensor, seconds: Tensor, decibels: Tensor, generator: Generator | None = None) -> Tensor:
    """The direct sound, and its reverberation: it is convolved with noise.

    Args:
        seconds: (b,), in which the reverberation decays by 60 dB. decibels: (b,), how much weaker it is in all.
    """
    t = torch.arange(ROOM, device=waves.device) / RATE
    tail = torch.randn(len(waves), ROOM, generator=generator).to(waves.device)
    tail = tail * 10 ** (-3 * t / seconds[:, None]) * (t > FIRST_ECHO)
    response = 10 ** (-decibels[:, None] / 20) * F.normalize(tail, dim=1)
    response[:, 0] = 1
    return fftconvolve(waves, response)[:, : waves.shape[1]]


def with_noise(waves: Tensor, noise: Tensor, decibels: Tensor) -> Tensor:
    """Waves and noise (b, n) that is `decibels` (b,) weaker than the voice in them.

    The voice is taken to be what exceeds a tenth of the peak, because much of a recording is silence.
    """
    loud = waves.abs() > 0.1 * waves.abs().amax(dim=1, keepdim=True)
    share = loud.float().mean(dim=1).clamp(min=1 / waves.shape[1])
    return add_noise(waves, noise, decibels + 10 * share.log10())
