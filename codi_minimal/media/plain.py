"""Fits files of any content, without a guess at what they show: the middle square, the first second."""

import torch.nn.functional as F
import torchaudio
from torch import Tensor

from codi_minimal.data.scenes import CANVAS, FRAMES, SAMPLES
from codi_minimal.data.voices import RATE
from codi_minimal.inputs import check_number, check_tensor


def plain_image(pixels: Tensor) -> Tensor:
    """The middle square of a picture "3 h w" in [0, 1] as "3 32 32"."""
    return _square(check_tensor("pixels", pixels, (3, "h", "w"), 0, 1)[None])[0]


def plain_video(frames: Tensor) -> Tensor:
    """The middle square of each frame of "8 3 h w" in [0, 1] as "8 3 32 32"."""
    return _square(check_tensor("frames", frames, (FRAMES, 3, "h", "w"), 0, 1))


def plain_audio(wave: Tensor, rate: int) -> Tensor:
    """The first 1.024 s of a recording "n" as "8192" at 8 kHz in [-1, 1], followed by silence if it is shorter.

    `rate`: 2,000 to 192,000 samples a second.
    """
    wave = check_tensor("samples", wave, ("n",)).detach().cpu().float()
    check_number("samples a second", rate, 2000, 192_000)
    rate = 25 * round(rate / 25)  # a rate coprime with 8000 would need a filter bank of gigabytes
    wave = torchaudio.functional.resample(wave[: SAMPLES * rate // RATE + rate], rate, RATE)[:SAMPLES]
    return F.pad(wave, (0, SAMPLES - len(wave))).clamp(-1, 1)


def _square(frames: Tensor) -> Tensor:
    """The middle squares of "n 3 h w", averaged over areas to "n 3 32 32"; a smaller picture is enlarged."""
    h, w = frames.shape[-2:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = frames.detach().cpu().float()[..., top : top + side, left : left + side]
    how = {"mode": "area"} if side >= CANVAS else {"mode": "bilinear"}
    return F.interpolate(square, (CANVAS, CANVAS), **how)
