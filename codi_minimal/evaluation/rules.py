"""What can be read without training: colour, motion and onset, by the numbers of the rendering rules.

Images "b 3 h w" and videos "b f 3 h w" are in [0, 1], waveforms "b s" in [-1, 1]. Each rule gives (b,) whole numbers,
-1 where it finds nothing.
"""

from math import inf

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from torch import Tensor

from codi_minimal.data.scenes import COLOURS, MOTIONS, SAMPLES_PER_ONSET
from codi_minimal.data.voices import WINDOW

DIM = 0.2  # a picture whose brightest value is under this shows nothing
QUIET = 0.01  # a sound whose loudest window's RMS is under this says nothing
SHIFT = 1.5  # px a frame
ZOOM = 0.07  # log size a frame, roughly: growing log 1.07, shrinking log 1.09
STIR = 0.4  # of the largest change: growing starts at half of what it comes to, all else more evenly
STILL = 0.005  # root mean square change of a still


def read_colour(image: Tensor) -> Tensor:
    """Index into COLOURS of the hue nearest to the mean colour of the bright pixels, both at full brightness."""
    ink = reduce(image, "b c h w -> b 1 h w", "max")
    peak = reduce(ink, "b 1 h w -> b 1 1 1", "max")
    bright = (ink > peak / 2).to(image)  # edges are scaled copies of the colour, too faint ones mostly noise
    rgb = reduce(image * bright, "b c h w -> b c", "sum")
    palette = torch.tensor(list(COLOURS.values())).to(rgb)
    distance = torch.cdist(*(F.normalize(x, p=inf, eps=1e-6) for x in (rgb, palette)))  # the largest channel is 1
    return torch.where(rearrange(peak, "b 1 1 1 -> b") < DIM, -1, distance.argmin(1))


def read_motion(video: Tensor) -> Tensor:
    """Index into MOTIONS: from the first frame to the last, did the ink move by more steps than its size changed?"""
    centre, size = _moments(video)
    right, down = ((centre[:, -1] - centre[:, 0]) / SHIFT).unbind(1)
    growth = (size[:, -1] / size[:, 0].clamp_min(1e-6)).clamp_min(1e-6).log() / ZOOM
    steps = {"left": -right, "right": right, "up": -down, "down": down, "growing": growth, "shrinking": -growth}
    most, motion = torch.stack([steps[name] for name in MOTIONS], 1).max(1)
    return torch.where((most < 1) | ~_shown(video), -1, motion)


def read_video_onset(video: Tensor) -> Tensor:
    """The first frame, 1 … f - 1, that differs from the one before it by a share of the largest such difference."""
    ink = reduce(video, "b f c h w -> b f h w", "max")
    ink = reduce(ink, "b f (h i) (w j) -> b f h w", "mean", i=2, j=2)  # a flicker of single pixels is no motion
    change = reduce((ink[:, 1:] - ink[:, :-1]).square(), "b f h w -> b f", "mean").sqrt()
    most = reduce(change, "b f -> b 1", "max")
    frame = (change > STIR * most).int().argmax(1) + 1
    return torch.where((most[:, 0] < STILL) | ~_shown(video), -1, frame)


def read_audio_onset(waveform: Tensor) -> Tensor:
    """The frame nearest to the first window of 128 samples whose RMS passes a tenth of the loudest one's."""
    power = reduce(waveform.square(), "b (n w) -> b n", "mean", w=WINDOW)
    loudest = reduce(power, "b n -> b 1", "max")
    start = WINDOW * (power > loudest / 100).int().argmax(1)
    return torch.where(loudest[:, 0] < QUIET**2, -1, (start / SAMPLES_PER_ONSET).round().long())


def _shown(video: Tensor) -> Tensor:
    return reduce(video, "b f c h w -> b", "max") >= DIM


def _moments(video: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (x, y) "b f 2" and root mean square radius "b f" of the ink of every frame, in px."""
    ink = (reduce(video, "b f c h w -> b f h w", "max") - DIM).clamp_min(0)
    ink = ink / reduce(ink, "b f h w -> b f 1 1", "sum").clamp_min(1e-6)
    h, w = (torch.arange(n).to(ink) for n in ink.shape[-2:])
    at = torch.stack(torch.meshgrid(w, h, indexing="xy"))  # xy h w
    centre = einsum(ink, at, "b f h w, xy h w -> b f xy")
    off = at - rearrange(centre, "b f xy -> b f xy 1 1")
    return centre, einsum(ink, off.square(), "b f h w, b f xy h w -> b f").sqrt()
