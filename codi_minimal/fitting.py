"""Fits what people have (a digit photographed on paper, a voice memo, a screen recording) to the world.

The rules are the world's own: light ink on black in an MNIST digit's framing, 8 kHz with the voice at a peak
of 0.8, eight frames of 32 x 32. What is in the world's exact format already is kept as it is.
"""

import torch
import torch.nn.functional as F
import torchaudio
from einops import rearrange, reduce
from torch import Tensor

from codi_minimal.data.scenes import CANVAS, SAMPLES, SAMPLES_PER_ONSET, SILENCE, VIDEO_WIDTH
from codi_minimal.data.sources import RATE, trim

INK = VIDEO_WIDTH * 20 / 28  # px: an MNIST digit fills 20 of its 28 px, and the world draws those 22 px wide


def fit_image(pixels: Tensor) -> Tensor:
    """Frames a drawing as MNIST does: the ink's longer side 15.7 px, its centre of mass in the middle.

    A light-on-black picture of 32 x 32 is in the world already and is returned as it is.

    Args:
        pixels: "3 h w" in [0, 1]; dark ink on light paper or light ink on black, in one colour. Black or
            grey ink becomes white, coloured ink keeps its hue at full brightness.
    Returns:
        "3 32 32" in [0, 1].
    Raises:
        ValueError: if nothing is drawn.
    """
    paper = _paper(pixels[None])
    if pixels.shape[-2:] == (CANVAS, CANVAS) and paper.max() < 0.1 and pixels.max() > 0.1:
        return pixels
    coverage, colour = _ink(pixels[None], paper)
    ys, xs = torch.nonzero(coverage[0, 0] > 0.3, as_tuple=True)
    glyph = coverage[..., ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    scale = INK / max(glyph.shape[-2:])
    h, w = (max(1, round(n * scale)) for n in glyph.shape[-2:])
    glyph = F.interpolate(glyph, (h, w), mode="bicubic", antialias=True)[0, 0].clamp(0, 1)
    glyph = glyph / glyph.max()  # a thin pen on a large sheet would fade
    top, left = _centred(glyph.sum(1)), _centred(glyph.sum(0))
    canvas = torch.zeros(CANVAS, CANVAS)
    canvas[top : top + h, left : left + w] = glyph
    return colour[:, None, None] * canvas


def fit_video(frames: Tensor) -> Tensor:
    """Keeps the middle square of every frame, and makes dark ink on light paper light ink on black.

    Args:
        frames: "8 3 h w" in [0, 1].
    Returns:
        "8 3 32 32" in [0, 1].
    Raises:
        ValueError: if nothing is drawn on a light background.
    """
    paper = _paper(frames)
    if paper.max() >= 0.1:
        coverage, colour = _ink(frames, paper)
        frames = colour[:, None, None] * coverage
    h, w = frames.shape[-2:]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = frames[..., top : top + side, left : left + side]
    return F.interpolate(square, (CANVAS, CANVAS), mode="area")  # exact where a pixel was repeated k times


def fit_audio(wave: Tensor, rate: int) -> Tensor:
    """Trims a recording to where the voice starts and lays it, at peak 0.8, into 8192 samples at 8 kHz.

    It starts at sample 2000 (onset 2), or at 1000 if it would not fit, and is cut at the end. Around it lies
    the world's silence, a fixed noise. Exactly 8192 samples at 8 kHz are returned as they are.

    Args:
        wave: "n", mono.
        rate: samples a second.
    Returns:
        "8192" in [-1, 1].
    Raises:
        ValueError: for silence, less than 128 samples, NaN, or a rate outside 2 to 192 kHz.
    """
    if not torch.isfinite(wave).all():
        raise ValueError("expected finite samples, got NaN or infinity")
    if not 2000 <= rate <= 192_000:
        raise ValueError(f"expected 2,000 to 192,000 samples a second, got {rate:,}")
    if wave.numel() == 0 or wave.abs().max() < 1e-3:
        raise ValueError("expected a voice, got silence")
    if rate == RATE and wave.numel() == SAMPLES:
        return wave.clamp(-1, 1)
    rate = 25 * round(rate / 25)  # a rate coprime with 8000 would need a filter bank of gigabytes
    voice = torch.from_numpy(trim(torchaudio.functional.resample(wave, rate, RATE).numpy()))
    onset = 2 if len(voice) <= SAMPLES - 2 * SAMPLES_PER_ONSET else 1
    out = SILENCE * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    heard = out[onset * SAMPLES_PER_ONSET :][: len(voice)]
    heard[:] = voice[: len(heard)]
    return out


def _paper(frames: Tensor) -> Tensor:
    """The colour of the background, "3": the median along the border."""
    edges = [frames[..., 0, :], frames[..., -1, :], frames[..., :, 0], frames[..., :, -1]]
    return rearrange(torch.cat(edges, dim=-1), "n c l -> c (n l)").median(dim=1).values


def _ink(frames: Tensor, paper: Tensor) -> tuple[Tensor, Tensor]:
    """Where ink covers the paper, "n 1 h w" in [0, 1], and that ink's colour, "3", at full brightness."""
    distance = reduce((frames - paper[:, None, None]).abs(), "n c h w -> n 1 h w", "max")
    if distance.max() < 0.1:
        raise ValueError("expected something drawn on a plain background, got a blank picture")
    coverage = distance / distance.max()
    full = coverage > 0.6
    colour = (frames * full).sum((0, 2, 3)) / full.sum()
    grey = colour.max() - colour.min() < 0.15
    colour = torch.ones(3) if grey else colour / colour.max()
    return coverage * ((coverage - 0.1) / 0.2).clamp(0, 1), colour  # the grain of the paper is not ink


def _centred(mass: Tensor) -> int:
    """Where a glyph with this profile starts, so that its centre of mass is the canvas's middle."""
    centre = (mass * (torch.arange(len(mass)) + 0.5)).sum() / mass.sum()
    return min(max(round(CANVAS / 2 - centre.item()), 0), CANVAS - len(mass))
